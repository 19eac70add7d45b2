"""
Dial a talkgroup: a private call to its number links it to talkgroup 9 on slot 2.
"""

from __future__ import annotations

from typing import Final

from bmff.dmr.frame import Frame
from bmff.dmr.numbers import REFLECTOR, isService
from bmff.router.call import Call, Peer, RemoteSink
from bmff.router.subscriptions import Subscriptions

LOWEST: Final = 5
HIGHEST: Final = 999_999  # what is longer is a radio's ID
NOT_DIALLED: Final = range(4000, 5001)  # numbers that mean something else where this is in use


def mayBeDialled(number: int) -> bool:
    """
    Whether a private call to a number is taken for a talkgroup.
    """
    return (
        LOWEST <= number <= HIGHEST
        and number not in {8, REFLECTOR}
        and number not in NOT_DIALLED
        and not isService(number)
    )


class Dialling:
    """
    Takes private calls to talkgroups' numbers.
    """

    def __init__(self, subscriptions: Subscriptions) -> None:
        self._subscriptions = subscriptions

    def takes(self, peer: Peer, frame: Frame) -> bool:
        """
        See L{bmff.router.service.Service}.
        """
        return peer.dials and frame.private and not frame.isData and mayBeDialled(frame.destination)

    def begin(self, call: Call, now: float) -> RemoteSink | None:
        """
        See L{bmff.router.service.Service}.
        """
        if isinstance(call.ingress, Peer):
            self._subscriptions.dial(call.ingress, call.destination, now)
        return None
