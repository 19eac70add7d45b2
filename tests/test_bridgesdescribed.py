"""
Tests of what L{bmff.bridges} says of its bridges, for people and programs, and when.
"""

from __future__ import annotations

from typing import Any, Final

from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from bmff.bridges import LOOKUP_INTERVAL, BridgeService
from bmff.dmr.voice import voiceCall
from bmff.events import BridgeEnded, BridgeMoved, BridgeStarted, Event
from bmff.protocols.turn import Turn
from bmff.router.call import Peer
from bmff.router.router import Router
from bmff.sections.openbridge import BridgeEntry, OpenBridge
from bmff.sections.values import Address, Talkgroups
from bmff.sockets.addresses import packAddress
from tests.test_bridges import NamingClock, SomeKeys
from tests.wire import openbridgecase as other

THERE: Final = "192.0.2.1:62035"
SILENT: Final = "no sign of life"


class Dark:
    """
    Where nobody listens.
    """

    def openSink(self, slot: int) -> Any:
        raise AssertionError("nobody listens here")


class DescribeTestCase(SynchronousTestCase):
    """
    A service with real sockets, which are not read, on a virtual clock.
    """

    def setUp(self) -> None:
        self.clock = NamingClock()
        self.events: list[Event] = []
        self.router = Router(lambda event: None)
        self.turn = Turn(self.clock, self.router)

    def start(self, **more: Any) -> BridgeService:
        """
        A service with one bridge.
        """
        said = {"host": "192.0.2.1", "send": (Talkgroups(((91, 91), (2350, 2359))),), **more}
        service = BridgeService(
            self.clock,
            self.turn,
            OpenBridge((Address("127.0.0.1", 0),), (BridgeEntry("theirs", other.THEIRS, **said),)),
            other.OURS,
            SomeKeys(),
            lambda: other.WALL + self.clock.seconds(),
            publish=self.events.append,
        )
        self.addCleanup(self.turn.stop)
        self.addCleanup(service.stopService)
        service.startService()
        return service

    def hear(self, service: BridgeService, *packets: bytes, host: str = "192.0.2.1") -> None:
        """
        Datagrams come in.
        """
        (receiver,) = service.openBridge._ports.values()
        for packet in packets:
            receiver.datagramReceived(packet, packAddress(host, 62035), self.clock.seconds())
        receiver.flush()

    def said(self, service: BridgeService) -> dict[str, Any]:
        """
        What is said of the one bridge.
        """
        (row,) = service.describe()
        return row


class DescribeTests(DescribeTestCase):
    """
    What is said.
    """

    def test_plain(self) -> None:
        """
        All that there is to say of a plain bridge, by these names: before and after it was heard.
        """
        service = self.start()
        silent = {
            "name": "theirs",
            "network": "theirs",
            "peer": other.THEIRS,
            "id": other.OURS,
            "enhanced": False,
            "version": None,
            "state": "up",
            "reason": None,
            "address": THERE,
            "heard": None,
            "talkgroups": "91, 2350-2359",
            "frames_sent": 0,
            "frames_received": 0,
            "frames_quenched": 0,
            "quenches_sent": 0,
            "quenches_received": 0,
            "dropped": {},
        }
        self.assertEqual(self.said(service), silent)
        self.hear(service, other.plain(0, flags=0x21), other.plain(1), b"DMRD", b"BREW")
        self.clock.advance(1.5)
        self.assertEqual(
            self.said(service),
            {
                **silent,
                "heard": 1.5,
                "frames_received": 2,
                "dropped": {"wrong length": 1, "unknown tag": 1},
            },
        )

    def test_sent(self) -> None:
        """
        Frames that went out are counted.
        """
        service = self.start()
        peer = Peer(7, Dark())
        self.router.addPeer(peer, 0.0)
        frames = list(voiceCall(source=2340001, destination=91, stream=7, superframes=1))
        for frame in frames:
            self.router.route(peer, frame, self.clock.seconds())
        self.assertEqual(self.said(service)["frames_sent"], len(frames))

    def test_strangers(self) -> None:
        """
        What no bridge has sent is counted beside them, and what no socket could send.
        """
        service = self.start()
        self.assertEqual(service.dropped, {})
        self.hear(service, other.plain(0), host="198.51.100.9")
        self.assertEqual(service.dropped, {"stranger": 1})
        service.openBridge.send(b"", packAddress("2001:db8::1", 62035))
        self.assertEqual(service.dropped, {"stranger": 1, "no socket": 1})

    def test_version(self) -> None:
        """
        The version of an enhanced bridge is that which was heard.
        """
        service = self.start(enhanced=True)
        self.assertIsNone(self.said(service)["version"])
        self.hear(service, other.control(b"BCVE", b"\x04"), other.control(b"BCKA"))
        said = self.said(service)
        self.assertEqual((said["enhanced"], said["version"]), (True, 4))

    def test_silent(self) -> None:
        """
        An enhanced bridge is down until its other end says that it is there, and again when it
        falls silent; how long ago it was heard is told all the time.
        """
        service = self.start(enhanced=True)
        said = self.said(service)
        self.assertEqual(
            (said["state"], said["reason"], said["heard"]),
            ("down", "no sign of life yet", None),
        )
        self.hear(service, other.control(b"BCKA"))
        said = self.said(service)
        self.assertEqual((said["state"], said["reason"], said["heard"]), ("up", None, 0.0))
        self.clock.pump([1.0] * 90)
        said = self.said(service)
        self.assertEqual((said["state"], said["reason"], said["heard"]), ("down", SILENT, 90.0))

    def test_noName(self) -> None:
        """
        A bridge whose name leads nowhere says so, and one whose addresses no socket reaches, for as
        long as that is so.
        """
        service = self.start(host="them.example")
        said = self.said(service)
        self.assertEqual(
            (said["state"], said["reason"], said["address"]),
            ("down", "no address for them.example", None),
        )
        self.clock.names["them.example"] = ["2001:db8::7"]
        for _ in range(2):
            self.clock.advance(LOOKUP_INTERVAL)
            self.assertEqual(self.said(service)["reason"], "no address that we can reach")
        self.clock.names["them.example"] = ["192.0.2.7"]
        self.clock.advance(LOOKUP_INTERVAL)
        said = self.said(service)
        self.assertEqual(
            (said["state"], said["reason"], said["address"]), ("up", None, "192.0.2.7:62035")
        )

    def test_roaming(self) -> None:
        """
        A bridge that waits for its other end says that it has not come.
        """
        said = self.said(self.start(host="", roaming=True))
        self.assertEqual(
            (said["state"], said["reason"], said["address"]),
            ("down", "the other end has not come yet", None),
        )


class EventsTests(DescribeTestCase):
    """
    What is told when it happens.
    """

    def test_enhanced(self) -> None:
        """
        A bridge is told when it comes up, when its other end has moved, and when it is down, each
        once and with a reason; nothing but the node's journal writes lines of it.
        """
        service = self.start(enhanced=True, roaming=True)
        self.assertEqual(self.events, [])
        peer, there = other.THEIRS, "198.51.100.9:62035"
        with capturedLogs() as logs:
            self.hear(service, other.control(b"BCKA"))
            self.hear(service, other.control(b"BCKA"))
            self.assertEqual(self.events, [BridgeStarted(peer, "theirs", THERE)])
            self.clock.pump([1.0] * 30)
            self.hear(service, other.control(b"BCKA"), host="198.51.100.9")
            self.assertEqual(self.events[1:], [BridgeMoved(peer, "theirs", there)])
            self.clock.pump([1.0] * 200)
        self.assertEqual(self.events[2:], [BridgeEnded(peer, "theirs", SILENT)])
        self.assertEqual(logs, [])

    def test_end(self) -> None:
        """
        The end of the node is the end of a bridge.
        """
        service = self.start()
        service.stopService()
        self.assertEqual(
            self.events,
            [
                BridgeStarted(other.THEIRS, "theirs", THERE),
                BridgeEnded(other.THEIRS, "theirs", "closed"),
            ],
        )
        self.assertEqual(service.describe(), [])
