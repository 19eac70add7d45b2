"""
What radios, hotspots and nodes say beside calls, as payloads: registration, location and telemetry
by the words of BrandMeister's MQTT API, the rest by our own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bmff.wire.brandmeister.payloads import encodeObject

ONLINE: Final = "online"
OFFLINE: Final = "offline"


def registration(source: int, kind: str, *, here: bool = True) -> bytes:
    """
    A radio has said that it is there, or that it goes.

    @param source: its ID.
    @param kind: how it said so, such as C{"ARS"}.
    """
    event = "Registration" if here else "De-Registration"
    return encodeObject(Event=event, RegisterType=kind, SourceID=source)


def location(source: int, latitude: float, longitude: float, **more: float | None) -> bytes:
    """
    Where a radio is.

    @param latitude: degrees, north positive.
    @param longitude: degrees, east positive.
    @param more: C{Altitude} (m), C{Speed} (km/h), C{Course} (degrees), as far as known.
    """
    return encodeObject(
        Event="Location-Report",
        SourceID=source,
        Latitude=round(latitude, 6),
        Longitude=round(longitude, 6),
        **more,
    )


def telemetry(source: int, destination: int, values: Mapping[str, Any]) -> bytes:
    """
    What a radio has measured.

    @param values: by name.
    """
    return encodeObject(
        Event="Telemetry-Report", SourceID=source, DestinationID=destination, Values=dict(values)
    )


def nodeState(state: str, boot: int, since: float) -> bytes:
    """
    Whether a node is there.

    @param state: L{ONLINE} or L{OFFLINE}.
    @param boot: of its process, 64 random bits.
    @param since: when it was started, seconds since 1970.
    """
    return encodeObject(State=state, Boot=f"{boot:016x}", Since=round(since, 3))


def system(event: str, node: int, **more: object) -> bytes:
    """
    Something has become of a link to another node.
    """
    return encodeObject(Event=event, Node=node, **more)


def network(event: str, peer: int, name: str, **more: object) -> bytes:
    """
    Something has become of a bridge or an uplink to another network.

    @param peer: what it is in sessions.
    @param name: the operator's name for it.
    """
    return encodeObject(Event=event, ContextID=peer, Name=name, **more)


def report(identifier: str, done: bool, reason: str = "") -> bytes:
    """
    What has become of a command.

    @param identifier: of the command.
    @param reason: why it was not done.
    """
    return encodeObject(Event="Command-Report", ID=identifier, Done=done, Reason=reason or None)


@dataclass(frozen=True, slots=True)
class Repeater:
    """
    A hotspot or repeater.

    @ivar peer: its ID.
    @ivar callsign: as it says.
    @ivar verified: whether it has proved that it knows its secret.
    @ivar since: when it has logged in, seconds since 1970.
    """

    peer: int
    callsign: str
    verified: bool
    since: float

    def event(self, name: str, reason: str | None = None) -> bytes:
        """
        Something has become of it.

        @param reason: for people.
        """
        return encodeObject(Event=name, ContextID=self.peer, LinkCall=self.callsign, Reason=reason)

    def state(self, slots: Mapping[int, tuple[Sequence[int], Sequence[int]]]) -> bytes:
        """
        All that there is to know of it.

        @param slots: static and dynamic talkgroups by slot.
        """
        return encodeObject(
            State=ONLINE,
            ContextID=self.peer,
            LinkCall=self.callsign,
            Verified=self.verified,
            Since=round(self.since, 3),
            Slots={
                str(slot): {"Static": list(static), "Dynamic": list(dynamic)}
                for slot, (static, dynamic) in sorted(slots.items())
            },
        )
