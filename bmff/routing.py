"""
What an operator's own rule is asked when a call begins, and what it may answer.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Destination:
    """
    Whom a call is for.

    @ivar number: a talkgroup, or a radio ID when C{private}, 1 to 16777214.
    @ivar private: whether it is for one radio.
    """

    number: int
    private: bool = False


@dataclass(frozen=True, slots=True)
class CallRequest:
    """
    A call that is about to begin.

    @ivar stream: its stream ID, 32 bits.
    @ivar source: the radio ID that talks.
    @ivar destination: whom it is for.
    @ivar data: whether it carries data, not voice.
    @ivar peer: the hotspot, repeater or bridge that it comes from.
    @ivar slot: the slot that it comes on, 1 or 2.
    @ivar network: the other network that it comes from; empty when it comes from none.
    """

    stream: int
    source: int
    destination: Destination
    data: bool
    peer: int
    slot: int
    network: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """
    What is to become of a call.

    @ivar refused: why it may not go anywhere, for people; empty when it may.
    @ivar stay: whether it goes to its own destination too.
    @ivar also: where it is to go beside that, or in place of that.
    @ivar talkLimit: seconds that it may last, 0 for any; L{None} for what the node has.
    """

    refused: str = ""
    stay: bool = True
    also: tuple[Destination, ...] = ()
    talkLimit: float | None = None
