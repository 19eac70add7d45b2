"""
Tests of L{bmff.web.feed} and L{bmff.web.stream}: who hears what, and who is sent away.
"""

from __future__ import annotations

import json
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.task import Clock, deferLater
from twisted.trial.unittest import SynchronousTestCase

from bmff.events import PeerRegistered, RadioPositionReceived
from bmff.web.feed import HEARTBEAT, PACE, TURN, Feed
from tests.web.apicase import READER, STATION, ApiTestCase
from tests.web.case import Caller

reactor: Any = _reactor  # mypy does not know which reactor there is
HELLO = "retry: 2000\n\nid: a-0\nevent: hello\ndata: {}\n\n"


class SomeListener:
    """
    Listens, and takes nothing while it is full.
    """

    def __init__(self, *, exact: bool = True) -> None:
        self.exact = exact
        self.full = False
        self.position = 0
        self.heard = ""
        self.allowed = True
        self.gone = False

    def send(self, data: bytes) -> None:
        assert not self.gone
        self.heard += data.decode()

    def mayStay(self) -> bool:
        return self.allowed

    def leave(self) -> None:
        self.gone = True

    def take(self) -> str:
        """
        What was heard since the last time.
        """
        heard, self.heard = self.heard, ""
        return heard


class FeedTests(SynchronousTestCase):
    """
    A feed.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.feed = Feed(self.clock, "a", kept=10, most=50)
        self.addCleanup(self.feed.stop)
        self.made = 0

    def join(self, last: str = "", *, exact: bool = True) -> SomeListener:
        """
        Somebody listens.
        """
        listener = SomeListener(exact=exact)
        self.feed.join(listener, last)
        return listener

    def publish(self, number: int) -> None:
        """
        Something happens.
        """

        def make(exact: bool) -> dict[str, Any]:
            self.made += 1
            return {"n": number, "exact": exact}

        self.feed.publish("Thing", make)

    def text(self, number: int, exact: str = "true") -> str:
        """
        What is heard of that.
        """
        return f'id: a-{number}\nevent: Thing\ndata: {{"n":{number},"exact":{exact}}}\n\n'

    def test_hear(self) -> None:
        """
        Listeners hear what happens after a moment, each as it may; a text is made once for all.
        """
        one, other, vague = self.join(), self.join(), self.join(exact=False)
        self.assertEqual(one.take(), HELLO)
        vague.take()
        self.publish(1)
        self.publish(2)
        self.assertEqual(one.take(), "")
        self.clock.advance(PACE)
        self.assertEqual(one.take(), self.text(1) + self.text(2))
        self.assertTrue(other.take().endswith(self.text(2)))
        self.assertEqual(vague.take(), self.text(1, "false") + self.text(2, "false"))
        self.assertEqual(self.made, 4)

    def test_nobody(self) -> None:
        """
        Where nobody listens nothing is made, and the reactor has nothing to do.
        """
        self.publish(1)
        self.assertEqual((self.made, self.clock.getDelayedCalls()), (0, []))
        listener = self.join()
        self.feed.leave(listener)
        self.publish(2)
        self.assertEqual((self.made, self.clock.getDelayedCalls()), (0, []))

    def test_back(self) -> None:
        """
        Who comes back gets what it has missed, and nothing twice.
        """
        for number in range(1, 6):
            self.publish(number)
        self.assertEqual(self.join("a-3").take(), "retry: 2000\n\n" + self.text(4) + self.text(5))
        self.assertEqual(self.join("a-5").take(), "retry: 2000\n\n")

    def test_forgotten(self) -> None:
        """
        Who has missed too much, or comes from another process, is told to look anew.
        """
        for number in range(1, 21):
            self.publish(number)
        reset = "retry: 2000\n\nid: a-20\nevent: reset\ndata: {}\n\n"
        for last in ("a-9", "b-20", "a-21", "nonsense", "a-", "-", "a-²", "a--1"):
            self.assertEqual((last, self.join(last).take()), (last, reset))
        self.assertNotIn("reset", self.join("a-10").take())

    def test_slow(self) -> None:
        """
        For a listener that takes nothing nothing is kept; it hears the rest when it takes again,
        and is sent away when that is forgotten.
        """
        slow, dead, quick = self.join(), self.join(), self.join()
        for each in (slow, dead, quick):
            each.take()
        slow.full = dead.full = True
        for number in range(1, 9):
            self.publish(number)
            self.clock.advance(PACE)
        self.assertEqual((slow.take(), dead.take()), ("", ""))
        slow.full = False
        self.feed.serve(slow)
        self.assertEqual(slow.take(), "".join(map(self.text, range(1, 9))))
        for number in range(9, 12):
            self.publish(number)
            self.clock.advance(PACE)
        dead.full = False
        self.feed.serve(dead)
        self.assertTrue(dead.gone)
        self.assertEqual((self.feed.dropped, len(self.feed)), (1, 2))
        self.assertEqual(slow.take(), "".join(map(self.text, range(9, 12))))

    def test_heartbeat(self) -> None:
        """
        In silence there is a sign of life; who takes nothing, or may not listen any more, is sent
        away then.
        """
        one, full, revoked = self.join(), self.join(), self.join()
        one.take()
        full.full, revoked.allowed = True, False
        self.clock.pump([1.0] * int(HEARTBEAT))
        self.assertEqual(one.take(), ":\n\n")
        self.assertEqual((full.gone, revoked.gone, one.gone), (True, True, False))
        self.assertEqual((len(self.feed), self.feed.dropped), (1, 1))

    def test_turns(self) -> None:
        """
        Many listeners are served in many turns, as frames wait meanwhile.
        """
        listeners = [self.join() for _ in range(TURN * 2 + 1)]
        turns: list[int] = []
        later = self.clock.callLater

        def callLater(delay: float, what: Any, *words: Any) -> Any:
            def turn() -> None:
                before = sum(bool(each.heard) for each in listeners)
                what(*words)
                turns.append(sum(bool(each.heard) for each in listeners) - before)

            return later(delay, turn)

        self.patch(self.clock, "callLater", callLater)
        for listener in listeners:
            listener.take()
        self.publish(1)
        self.clock.advance(PACE)
        self.assertEqual(turns, [TURN, TURN, 1])
        self.assertTrue(all(each.heard == self.text(1) for each in listeners))

    def test_beat(self) -> None:
        """
        What is told from time to time is made while somebody listens, and a mistake in it ends
        nothing.
        """
        beats: list[float] = []

        def beat() -> None:
            beats.append(self.clock.seconds())
            if len(beats) == 2:
                raise ValueError("a mistake")

        feed = Feed(self.clock, "a", beat=beat)
        self.addCleanup(feed.stop)
        self.clock.pump([1.0] * 3)
        self.assertEqual(beats, [])
        feed.join(SomeListener(), "")
        self.clock.pump([1.0] * 3)
        self.assertEqual(len(beats), 3)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)


class StreamTests(ApiTestCase):
    """
    Streams over TCP.
    """

    async def stream(self, resource: str, headers: str = "", token: str = "") -> Caller:
        """
        Begin to listen.
        """
        if token:
            headers += f"Authorization: Bearer {token}\r\n"
        return await self.connect(
            f"GET {resource} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n".encode()
        )

    async def hears(self, caller: Caller, count: int) -> list[tuple[str, dict[str, Any]]]:
        """
        Wait for so many events.

        @return: name and content of each.
        """
        while True:
            self.node.advance(PACE)
            events = self.events(caller)
            if len(events) >= count:
                return events
            await deferLater(reactor, 0.005)

    def events(self, caller: Caller) -> list[tuple[str, dict[str, Any]]]:
        """
        What was heard until now.
        """
        text = b"".join(caller._received).decode()
        names = [line[7:] for line in text.splitlines() if line.startswith("event: ")]
        data = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: ")]
        return list(zip(names, data, strict=False))

    async def test_events(self) -> None:
        """
        All that happens is heard, by the name of its class, and once a second how links do.
        """
        caller = await self.stream("/events")
        await self.hears(caller, 1)
        head = b"".join(caller._received).decode().lower()
        self.assertIn("content-type: text/event-stream", head)
        hotspot = self.node.hotspot(STATION)
        self.node.call(hotspot, frames=0)
        found = dict(await self.hears(caller, 6))
        for name in ("hello", "PeerRegistered", "SubscriptionChanged", "CallStarted", "CallEnded"):
            self.assertIn(name, found)
        self.assertEqual(found["CallStarted"]["stream"], "0000beef")
        self.assertTrue(found["CallStarted"]["at"].startswith("2026-01-01T12:00:0"))
        self.node.advance(1.0)
        while "LinksMeasured" not in dict(await self.hears(caller, 7)):
            self.node.advance(1.0)

    async def test_vague(self) -> None:
        """
        Exact positions and addresses are heard with a token only.
        """
        vague, exact = await self.stream("/events"), await self.stream("/events", token=READER)
        for caller in (vague, exact):
            await self.hears(caller, 1)
        position = RadioPositionReceived(
            2340001, 51.5074, -0.1278, "LRRP", altitude=20.5, speed=1.5, direction=90, moment=1.5e9
        )
        self.node.events.publish(position)
        self.node.events.publish(PeerRegistered(2340002, "G4TST", "192.0.2.9:4000"))
        places = []
        for caller in (vague, exact):
            found = dict(await self.hears(caller, 3))
            said = found["RadioPositionReceived"]
            way = (said["altitude"], said["speed"], said["direction"])
            places.append((said["latitude"], way, found["PeerRegistered"]["address"]))
        self.assertEqual(
            places,
            [(51.5, (None, None, None), None), (51.5074, (20.5, 1.5, 90), "192.0.2.9:4000")],
        )

    async def test_lastHeard(self) -> None:
        """
        Calls are heard with the fields of BrandMeister's feed, and are there to be read after.
        """
        caller = await self.stream("/lastheard/stream")
        await self.hears(caller, 1)
        hotspot = self.node.hotspot(STATION)
        self.node.call(hotspot, frames=0)
        (_, (start, begun), (stop, ended)) = await self.hears(caller, 3)
        self.assertEqual((start, stop), ("Session-Start", "Session-Stop"))
        self.assertEqual((begun["Stop"], begun["SessionID"]), (0, ended["SessionID"]))
        self.assertEqual(
            {name: ended[name] for name in ("SourceID", "DestinationID", "ContextID", "Slot")},
            {"SourceID": 2340001, "DestinationID": 91, "ContextID": 2340002, "Slot": 1},
        )
        self.assertEqual((ended["SessionType"], ended["Master"]), (7, 25011))
        self.assertGreater(ended["TotalCount"], 10)
        (row,) = (await self.request("/lastheard")).content["lastheard"]
        self.assertEqual(row, ended)

    async def test_back(self) -> None:
        """
        Who comes back says what it had last, and has missed nothing.
        """
        self.node.events.publish(PeerRegistered(1, "A", ""))
        self.node.events.publish(PeerRegistered(2, "B", ""))
        caller = await self.stream("/events", "Last-Event-ID: 00001234-1\r\n")
        (event,) = await self.hears(caller, 1)
        self.assertEqual(event[1]["peer"], 2)

    async def test_many(self) -> None:
        """
        There are never more streams than so many; who goes makes room.
        """
        callers = [await self.stream("/events") for _ in range(3)]
        for caller in callers:
            await self.hears(caller, 1)
        answer = await self.request("/events")
        self.assertEqual((answer.status, answer.headers["retry-after"]), (503, "10"))
        assert callers[0].transport is not None
        callers[0].transport.loseConnection()
        while self.node.api.events.full:
            await deferLater(reactor, 0.005)
        await self.hears(await self.stream("/events"), 1)

    async def test_slow(self) -> None:
        """
        Who reads nothing is cut off, and the others hear on.
        """
        slow, quick = await self.stream("/events"), await self.stream("/events")
        await self.hears(slow, 1)
        await self.hears(quick, 1)
        reading: Any = slow.transport
        reading.pauseProducing()
        name = "x" * 100_000
        for number in range(300):
            self.node.events.publish(PeerRegistered(number, name, ""))
        self.node.advance(2 * PACE)  # sums of steps are not exact
        listeners = self.node.api.events._listeners
        while sorted(each.full for each in listeners) != [False, True]:
            await deferLater(reactor, 0.005)
        while not self.node.api.events.dropped:
            self.node.clock.advance(HEARTBEAT)
            await deferLater(reactor, 0.001)
        reading.resumeProducing()
        await slow.ended
        self.assertFalse(quick.ended.called)
        self.assertEqual(self.node.refusals.counts, {"stream read too slowly": 1})

    async def test_head(self) -> None:
        """
        HEAD says what the stream is, and ends.
        """
        answer = await self.request("/events", method="HEAD")
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.headers["content-type"], "text/event-stream")
