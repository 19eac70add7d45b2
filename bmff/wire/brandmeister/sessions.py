"""
Calls as BrandMeister's MQTT API tells of them: sessions, each with a UUID of version 1 (RFC 9562).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from bmff.wire.brandmeister.payloads import encodeObject

# Kinds of sessions: 5 and 7 are published, so bit 0 is voice and bit 1 a group; 4 and 6 follow.
_VOICE: Final = 1
_GROUP: Final = 2
_DIGITAL: Final = 4

_GREGORIAN: Final = 0x01B21DD213814000  # from 1582 to 1970, in 100 ns
_MULTICAST: Final = 1 << 40  # marks a node of a UUID that is no network card's


def sessionID(network: int, stream: int, started: float) -> UUID:
    """
    The ID of a session: the same for one call of one node, whoever works it out.

    @param started: seconds since 1970.
    """
    ticks = round(started * 1e7) + _GREGORIAN
    return UUID(
        fields=(
            ticks & 0xFFFFFFFF,
            ticks >> 32 & 0xFFFF,
            ticks >> 48 & 0x0FFF | 0x1000,
            0x80 | stream >> 24 & 0x3F,
            stream >> 16 & 0xFF,
            _MULTICAST | (network & 0xFFFFFF) << 16 | stream & 0xFFFF,
        )
    )


@dataclass(frozen=True, slots=True)
class Session:
    """
    A call.

    @ivar network: the node that tells of it.
    @ivar stream: its stream ID.
    @ivar source: the radio ID that talks.
    @ivar destination: a talkgroup, or a radio ID when C{private}.
    @ivar private: whether it is for one radio.
    @ivar data: whether it carries data, not voice.
    @ivar link: what it came over, by name.
    @ivar context: the peer that it came from.
    @ivar callsign: of that peer; empty when unknown.
    @ivar slot: 1 or 2.
    @ivar route: how many slots hear it.
    @ivar started: seconds since 1970.
    @ivar alias: the name that the radio has sent; empty when none.
    """

    network: int
    stream: int
    source: int
    destination: int
    private: bool
    data: bool
    link: str
    context: int
    callsign: str
    slot: int
    route: int
    started: float
    alias: str = ""

    @property
    def kind(self) -> int:
        """
        Its kind as a number.
        """
        return _DIGITAL | (0 if self.data else _VOICE) | (0 if self.private else _GROUP)

    @property
    def sessionID(self) -> str:
        """
        Its ID as text.
        """
        return str(sessionID(self.network, self.stream, self.started))

    def start(self) -> bytes:
        """
        It has begun.
        """
        return self._encode("Session-Start")

    def update(self) -> bytes:
        """
        Something is known of it that was not before.
        """
        return self._encode("Session-Update")

    def stop(self, *, state: str, stopped: float, frames: int, lost: int, late: int = 0) -> bytes:
        """
        It is over.

        @param state: why.
        @param stopped: seconds since 1970.
        @param frames: how many came, 60 ms each.
        @param lost: how many did not.
        @param late: how many came too late.
        """
        return self._encode(
            "Session-Stop",
            State=state,
            DataCount=frames,
            LossCount=lost,
            TotalCount=frames + lost,
            LateCount=late,
            Stop=round(stopped, 3),
        )

    def signalStrength(self, strength: int) -> bytes:
        """
        How strongly its radio is received.

        @param strength: dBm.
        """
        return encodeObject(
            Event="Signal-Strength",
            Master=self.network,
            SessionID=self.sessionID,
            Strength=strength,
        )

    def lossRate(self, lost: int, total: int) -> bytes:
        """
        How much of it is lost.

        @param lost: frames that did not come.
        @param total: frames that should have come.
        """
        return encodeObject(
            Event="Loss-Rate",
            Master=self.network,
            SessionID=self.sessionID,
            LossCount=lost,
            TotalCount=total,
        )

    def _encode(self, event: str, **more: object) -> bytes:
        return encodeObject(
            Event=event,
            Master=self.network,
            SessionID=self.sessionID,
            SessionType=self.kind,
            LinkName=self.link,
            ContextID=self.context,
            LinkCall=self.callsign or None,
            Slot=self.slot,
            SourceID=self.source,
            DestinationID=self.destination,
            Route=self.route,
            TalkerAlias=self.alias or None,
            Start=round(self.started, 3),
            **more,
        )
