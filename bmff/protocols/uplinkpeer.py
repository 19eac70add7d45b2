"""
What crosses an uplink: the other network as a peer of the router, with slots as a hotspot's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final, TypeAlias

from bmff.dmr.frame import DATA_SYNC, DATA_TYPE, KIND, SLOT_2, TERMINATOR, Frame
from bmff.dmr.numbers import isLocal, isService
from bmff.dmr.ranges import Ranges
from bmff.router.call import WAY, Peer
from bmff.router.inward import Inward
from bmff.router.locations import Location
from bmff.router.router import Router
from bmff.router.translation import Form, Translation
from bmff.wire.homebrew import Station
from bmff.wire.homebrewclient import PING

LARGEST: Final = 64  # streams that are known at once; the one begun first is forgotten
# How long a talkgroup that only comes in counts as keyed after a call. The shortest there is.
_MOMENT: Final = 0.001  # seconds
_END: Final = DATA_SYNC | TERMINATOR

Deliver: TypeAlias = Callable[[Frame, float], None]


@dataclass(frozen=True, slots=True)
class UplinkSettings:
    """
    What the operator says of an uplink.

    @ivar name: what people call it.
    @ivar network: the name of the network that it leads to; no call returns to one.
    @ivar masters: host names or addresses, each with its port, in the order they are tried in.
    @ivar station: what we say of ourselves there, our ID among it; its C{slots} decide which slots
        there are here.
    @ivar options: the text of RPTO; none is sent when it is empty.
    @ivar static: the talkgroups that cross both ways, by slot and by our numbers.
    @ivar accepted: the talkgroups that may come in beside those, by our numbers.
    @ivar refused: the radios whose calls do not cross.
    @ivar private: whether private calls cross.
    @ivar translation: their numbers and ours.
    @ivar ping: seconds between two pings.
    @ivar radios: radios of ours that are numbers of theirs, so that they are to be found there,
        each with its slot.
    """

    name: str
    network: str
    masters: tuple[tuple[str, int], ...]
    station: Station
    options: str = ""
    static: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    accepted: Ranges = field(default_factory=Ranges)
    refused: Ranges = field(default_factory=Ranges)
    private: bool = False
    translation: Translation = field(default_factory=Translation)
    ping: float = PING
    radios: tuple[tuple[int, int], ...] = ()


class UplinkPeer(Peer):
    """
    An uplink as the router sees it, and as its frames do.

    @ivar settings: what the operator says of it.
    @ivar framesSent: frames that went out.
    @ivar framesReceived: frames that came in, also those that may not.
    @ivar dropped: streams that may not cross, by reason.
    """

    __slots__ = (
        "_route",
        "_router",
        "_send",
        "_static",
        "_streams",
        "dropped",
        "framesReceived",
        "framesSent",
        "settings",
    )

    def __init__(
        self,
        peerID: int,
        settings: UplinkSettings,
        router: Router,
        send: Callable[[bytes, bytes], None],
    ) -> None:
        """
        @param peerID: what it is known by in the router and in events, as our ID there may be that
            of a hotspot or of another uplink.
        @param send: takes a frame's addressing and body.
        """
        station = settings.station
        super().__init__(
            peerID,
            self,
            slots=station.slots,
            simplex=station.simplex,
            dynamicTimeout=_MOMENT,
            network=settings.network,
        )
        self.translation = settings.translation
        self.settings = settings
        self.framesSent = 0
        self.framesReceived = 0
        self.dropped: Counter[str] = Counter()
        self._router = router
        self._send = send
        self._route: Deliver = (
            Inward(router, self).frameReceived
            if settings.translation
            else partial(router.route, self)
        )
        self._streams: dict[tuple[int, int, int, int], Deliver] = {}
        self._static: dict[int, frozenset[int]] = {}

    @property
    def wanted(self) -> dict[int, frozenset[int]]:
        """
        The talkgroups that are to go out, by slot and by our numbers.
        """
        wanted: dict[int, frozenset[int]] = {}
        for slot, talkgroups in self.settings.static.items():
            number = self.slot(slot).number
            free = frozenset(each for each in talkgroups if not isLocal(each))
            wanted[number] = wanted.get(number, frozenset()) | free
        return wanted

    def join(self, now: float) -> None:
        """
        Calls may come in, and private ones go out; talkgroups do after L{hear}.
        """
        self._static = {}
        self._router.addPeer(self, now)
        for radio, slot in self.settings.radios:
            if not self._heardHere(radio):
                self._router.reach.locations.heard(radio, Location(self.peerID, slot, now))

    def _heardHere(self, radio: int) -> bool:
        """
        Whether a radio was heard by another peer of this node, so that it is no number of theirs
        but one of ours that they know under another.
        """
        reach = self._router.reach
        known = reach.locations.get(radio)
        return (
            known is not None
            and known.remote is None
            and known.peerID != self.peerID
            and known.peerID in reach.peers
        )

    def leave(self, now: float) -> None:
        """
        Nothing crosses any longer.
        """
        self._streams.clear()
        self._router.removePeer(self, now)

    def hear(self, static: Mapping[int, Iterable[int]], now: float) -> None:
        """
        Send these talkgroups out from now on, a part of L{wanted}.
        """
        named = {slot: frozenset(talkgroups) for slot, talkgroups in static.items()}
        self._router.setStatic(self, named, now)
        self._static = named  # only now: a call that is left in its middle is ended there first

    # Out.

    def openSink(self, slot: int) -> UplinkSink:
        """
        See L{bmff.router.call.Outlet}.
        """
        return UplinkSink(self, slot)

    def maySend(self, slot: int, frame: Frame) -> bool:
        """
        Whether a stream may go out.

        @param frame: its first one, by their numbers.
        """
        theirs = Form(frame.destination, frame.private)
        rule = self.settings.translation.inward(slot, theirs)
        ours = rule or theirs
        reason = None
        if frame.source in self.settings.refused:
            reason = "radio not permitted"
        elif ours.private:
            reason = None if rule or self.settings.private else "private call"
        elif ours.destination not in self._static.get(slot, ()):
            reason = "talkgroup only comes in"
        if reason is not None:
            self.dropped[reason] += 1
        return reason is None

    def send(self, addressing: bytes, body: bytes) -> None:
        """
        Send a frame, see L{Frame}.
        """
        self.framesSent += 1
        self._send(addressing, body)

    # In.

    def frameReceived(self, frame: Frame, now: float) -> None:
        """
        The other network has sent a frame.

        @param now: monotonic seconds.
        """
        self.framesReceived += 1
        # All that decides is in the key, so that a stream that changes is looked at again.
        key = (frame.stream, frame.source, frame.destination, frame.flags & WAY)
        try:
            deliver = self._streams[key]
        except KeyError:
            deliver = self._admit(key, frame)
        if frame.flags & (KIND | DATA_TYPE) == _END:
            del self._streams[key]
        deliver(frame, now)

    def _admit(self, key: tuple[int, int, int, int], frame: Frame) -> Deliver:
        """
        What takes the frames of a stream that comes in.
        """
        if len(self._streams) >= LARGEST:
            del self._streams[next(iter(self._streams))]
        reason = self._inadmissible(frame)
        if reason is not None:
            self.dropped[reason] += 1
        deliver = self._streams[key] = self._route if reason is None else _drop
        return deliver

    def _inadmissible(self, frame: Frame) -> str | None:
        """
        Why a stream may not come in.
        """
        settings = self.settings
        slot = self.slot(frame.slot).number
        theirs = Form(frame.destination, frame.private)
        rule = settings.translation.inward(slot, theirs)
        ours = rule or theirs
        number = ours.destination
        reason = None
        if frame.source in settings.refused:
            reason = "radio not permitted"
        elif isService(number) or (isLocal(number) and not ours.private):
            reason = "local number"
        elif ours.private:
            reason = None if rule or settings.private else "private call"
        elif number not in self.wanted.get(slot, ()) and number not in settings.accepted:
            # Not as L{hear} says: what goes out over another uplink may come in over either.
            reason = "talkgroup not permitted"
        return reason


class UplinkSink:
    """
    Sends the frames of one call to the other network.
    """

    __slots__ = ("_listens", "_passes", "_peer", "_slot", "_slotFlag", "_stream")

    def __init__(self, peer: UplinkPeer, slot: int) -> None:
        self._peer = peer
        self._slot = slot
        self._slotFlag = SLOT_2 if slot == 2 else 0
        self._listens = False
        self._stream = 0
        self._passes = False

    def add(self, peer: Peer) -> None:
        """
        See L{bmff.router.call.Sink}.
        """
        self._listens = True

    def remove(self, peer: Peer) -> None:
        """
        See L{bmff.router.call.Sink}.
        """
        self._listens = False

    def sendFrame(self, frame: Frame) -> None:
        """
        See L{bmff.router.call.Sink}.
        """
        if frame.stream != self._stream:
            self._stream = frame.stream
            self._passes = self._peer.maySend(self._slot, frame)
        if self._listens and self._passes:
            body = frame.body
            if (frame.flags ^ self._slotFlag) & SLOT_2:
                body = bytes((frame.flags ^ SLOT_2,)) + body[1:]
            self._peer.send(frame.addressing, body)

    def close(self) -> None:
        """
        See L{bmff.router.call.Sink}.
        """
        self._listens = False


def _drop(frame: Frame, now: float) -> None:
    """
    The frame's stream may not cross, and was counted.
    """
