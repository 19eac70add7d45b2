"""
Tests of L{bmff.router.router}: other nodes, and the networks that nodes and peers lead to.
"""

from __future__ import annotations

from bmff.dmr.frame import (
    DATA_HEADER,
    DATA_SYNC,
    PRIVATE,
    SLOT_2,
    TERMINATOR,
    VOICE_HEADER,
    VOICE_SYNC,
    Frame,
)
from bmff.router.call import Call, Peer
from bmff.router.locations import Location
from tests.router.case import BURST, RouterTestCase

LOCALS = (*range(10), 4000, 5000, *range(9990, 10_000))


class SomeSink:
    """
    Remembers what one node was sent of one call.
    """

    def __init__(self, remote: SomeRemote, call: Call) -> None:
        self._remote = remote
        self._call = call
        self.open = True

    def sendFrame(self, frame: Frame) -> None:
        assert self.open
        self._remote.heard.append((self._call.index, frame))

    def close(self) -> None:
        assert self.open
        self.open = False


class SomeRemote:
    """
    Another node.

    @ivar heard: the frames that it was sent, each with its number in the call.
    """

    def __init__(self, peerID: int, *talkgroups: int) -> None:
        self.peerID = peerID
        self.talkgroups = set(talkgroups)
        self.heard: list[tuple[int, Frame]] = []
        self.sinks: list[SomeSink] = []

    def hears(self, talkgroup: int) -> bool:
        return talkgroup in self.talkgroups

    def openSink(self, call: Call) -> SomeSink:
        self.sinks.append(SomeSink(self, call))
        return self.sinks[-1]

    @property
    def streams(self) -> list[int]:
        """
        The streams that it heard, each once, in order.
        """
        return list(dict.fromkeys(frame.stream for _, frame in self.heard))


class RemotesTestCase(RouterTestCase):
    """
    A router with other nodes.
    """

    def remote(self, peerID: int, *talkgroups: int) -> SomeRemote:
        remote = SomeRemote(peerID, *talkgroups)
        self.router.reach.addRemote(remote)
        return remote

    def route(
        self,
        ingress: Peer | SomeRemote,
        first: int = 0,
        frames: int = 3,
        *,
        destination: int = 91,
        stream: int = 77,
        source: int = 2340001,
        private: bool = False,
        end: bool = False,
    ) -> None:
        """
        Frames of a call, the first one a header when it is number 0.
        """
        for number in range(first, first + frames):
            flags = VOICE_SYNC if number else DATA_SYNC | VOICE_HEADER
            if end and number == first + frames - 1:
                flags = DATA_SYNC | TERMINATOR
            frame = Frame.make(
                sequence=number,
                source=source,
                destination=destination,
                flags=flags | SLOT_2 | (PRIVATE if private else 0),
                stream=stream,
                burst=BURST,
            )
            self.router.route(ingress, frame, self.now)
            self.advance(0.06)


class RemoteTests(RemotesTestCase):
    """
    What other nodes hear and say.
    """

    def test_wanted(self) -> None:
        """
        A node hears, each frame under its number in the call, what it wants to hear and no more.
        """
        talker = self.peer(1)
        wants, other = self.remote(2502, 91), self.remote(2503, 92)
        self.route(talker, end=True)
        self.assertEqual([index for index, _ in wants.heard], [0, 1, 2])
        self.assertEqual(wants.heard[-1][1].dataType, TERMINATOR)
        self.assertEqual((other.heard, other.sinks), ([], []))
        self.assertFalse(wants.sinks[0].open)

    def test_fromRemote(self) -> None:
        """
        A call from a node is heard by the peers here, and never goes out to a node, neither to
        another nor back, whoever comes or changes meanwhile.
        """
        self.peer(1, {2: (91,)})
        one, other = self.remote(2502, 91), self.remote(2503, 91)
        self.route(one)
        later = self.remote(2504, 91)
        for each in (one, other):
            self.router.reach.remoteChanged(each, [91], [])
        self.route(one, 3, end=True)
        self.assertEqual(len(self.heardBy(1)), 6)
        self.assertEqual((one.sinks, other.sinks, later.sinks), ([], [], []))
        (ended,) = self.ended()
        self.assertEqual((ended.peer, ended.reason), (2502, "terminator"))

    def test_localOut(self) -> None:
        """
        Local talkgroups and service numbers never go out to a node that claims to want them.
        """
        talker = self.peer(1)
        remote = self.remote(2502, *LOCALS, 91)
        for number in (*LOCALS, 91):
            self.route(talker, destination=number, stream=number + 1, end=True)
            self.advance(1)
        self.assertEqual(remote.streams, [92])

    def test_localIn(self) -> None:
        """
        A call of a node to a local talkgroup or a service number is refused and counted.
        """
        self.peer(1, {2: (9,)})
        remote = self.remote(2502)
        for number in LOCALS:
            self.route(remote, destination=number, stream=number + 1, frames=1)
        self.assertEqual((self.outlet.heard, self.router.calls), ([], {}))
        self.assertEqual(self.router.dropped["local talkgroup of another node"], len(LOCALS))

    def test_servicePrivate(self) -> None:
        """
        A private call to a service number crosses neither way, though a node tells of such a radio.
        """
        talker, remote = self.peer(1), self.remote(2502)
        self.router.reach.locations.told(9990, Location(1, 2, self.now, remote))
        self.route(talker, destination=9990, private=True, frames=1)
        self.route(remote, destination=9990, private=True, frames=1, stream=78)
        self.assertEqual((remote.sinks, self.outlet.heard), ([], []))
        self.assertEqual(self.router.dropped, {"service number": 2})

    def test_changed(self) -> None:
        """
        A node that begins to want a talkgroup in mid-call hears the rest of the call, and nothing
        from the moment on that it no longer wants it; other talkgroups change nothing.
        """
        talker, remote = self.peer(1), self.remote(2502)
        self.route(talker)
        remote.talkgroups.add(91)
        self.router.reach.remoteChanged(remote, [91], [])
        self.router.reach.remoteChanged(remote, [91, 92], [93])
        self.route(talker, 3)
        remote.talkgroups.clear()
        self.router.reach.remoteChanged(remote, [], [91])
        self.route(talker, 6, end=True)
        self.assertEqual([index for index, _ in remote.heard], [3, 4, 5])
        self.assertEqual([sink.open for sink in remote.sinks], [False])

    def test_addedInMidCall(self) -> None:
        """
        A node that is linked in mid-call hears the rest of what it wants.
        """
        talker = self.peer(1)
        self.route(talker)
        remote = self.remote(2502, 91)
        self.route(talker, 3, end=True)
        self.assertEqual([index for index, _ in remote.heard], [3, 4, 5])

    def test_removed(self) -> None:
        """
        When a node is gone its calls end, with a terminator for those who heard them, and calls
        of others no longer go to it.
        """
        talker = self.peer(1)
        self.peer(2, {2: (92,)})
        gone, stays = self.remote(2502, 91), self.remote(2503, 91)
        self.route(talker)
        self.route(gone, destination=92, stream=78)
        self.router.removeRemote(gone, self.now)
        self.route(talker, 3, end=True)
        self.assertEqual(len(gone.heard), 3)
        self.assertEqual(len(stays.heard), 6)
        self.assertEqual(self.heardBy(2)[-1][1].dataType, TERMINATOR)
        self.assertEqual(len(self.heardBy(2)), 4)
        self.assertEqual(
            [(ended.stream, ended.reason) for ended in self.ended()],
            [(78, "link lost"), (77, "terminator")],
        )

    def test_private(self) -> None:
        """
        A private call goes to the one node where its radio was heard, though no talkgroup is
        wanted there.
        """
        talker = self.peer(1)
        self.peer(3, {2: (91,)})
        there, other = self.remote(2502), self.remote(2503, 91)
        self.route(there, source=555, stream=1, end=True)
        self.outlet.heard.clear()
        self.route(talker, source=444, destination=555, stream=2, private=True, end=True)
        self.assertEqual([index for index, _ in there.heard], [0, 1, 2])
        self.assertEqual((other.heard, self.outlet.heard), ([], []))

    def test_privateFromRemote(self) -> None:
        """
        A private call from a node reaches a radio heard here, and is not passed on to a third node
        that has heard it.
        """
        here = self.peer(1)
        caller, third = self.remote(2502), self.remote(2503)
        self.route(here, source=555, destination=92, stream=1, end=True)
        self.advance(6)  # its slot is kept for the talkgroup until then
        self.route(caller, source=444, destination=555, stream=2, private=True, end=True)
        self.assertEqual(self.streamsHeardBy(1), [2])
        self.router.reach.locations.told(555, Location(0, 2, self.now, third))
        self.route(caller, source=444, destination=555, stream=3, private=True, end=True)
        self.assertEqual((self.streamsHeardBy(1), third.sinks), ([2], []))

    def test_streamOfAnother(self) -> None:
        """
        A stream that is live from one ingress is refused from any other, and counted.
        """
        talker = self.peer(1)
        self.peer(2, {2: (91,)})
        one, other = self.remote(2502), self.remote(2503)
        self.route(one)
        self.route(other)
        self.route(talker)
        self.assertEqual(len(self.heardBy(2)), 3)
        self.assertEqual(self.router.dropped, {"stream of another ingress": 6})
        self.route(one, 3, end=True)
        self.assertEqual(len(self.heardBy(2)), 6)


class NetworkTests(RemotesTestCase):
    """
    Peers that lead to another network.
    """

    def bridge(self, peerID: int, network: str, *talkgroups: int) -> Peer:
        """
        A peer that leads to a network.
        """
        bridge = Peer(peerID, self.outlet, network=network)
        self.router.addPeer(bridge, self.now)
        self.router.setStatic(bridge, {2: talkgroups}, self.now)
        return bridge

    def networks(
        self, remote: SomeRemote, names: tuple[str, ...] = (), standBy: tuple[str, ...] = ()
    ) -> None:
        self.router.reach.setNetworks(remote, frozenset(names), frozenset(standBy), self.now)

    def test_neverBack(self) -> None:
        """
        A call that comes from a network is heard by everybody but that network's peers, also by
        those that join in mid-call.
        """
        bridge = self.bridge(1, "north", 91)
        self.bridge(2, "north", 91)
        self.bridge(3, "south", 91)
        self.peer(4, {2: (91,)})
        self.route(bridge)
        self.bridge(5, "north", 91)
        self.route(bridge, 3, end=True)
        self.assertEqual([len(self.heardBy(each)) for each in (1, 2, 3, 4, 5)], [0, 0, 6, 6, 0])

    def test_neverBackPrivate(self) -> None:
        """
        A private call from a network is not sent back to it, though its radio was heard there.
        """
        one, two = self.bridge(1, "north"), self.bridge(2, "north")
        self.route(two, source=555, stream=1, end=True)
        self.advance(6)
        self.route(one, source=444, destination=555, stream=2, private=True, end=True)
        self.assertEqual(self.outlet.heard, [])

    def test_live(self) -> None:
        """
        A network is live while a peer that leads to it is logged in, and the watcher is told of
        the first and the last alone.
        """
        flushed: list[tuple[str, ...]] = []

        class Watcher:
            def flush(watcher, now: float) -> None:
                flushed.append(tuple(self.router.reach.networks.live))

        self.router.reach.interestWatcher = Watcher()
        self.peer(9)
        peers = [self.bridge(1, "north"), self.bridge(2, "north"), self.bridge(1, "north")]
        self.router.flush(self.now)
        for peer in (peers[1], peers[2], peers[2]):
            self.router.removePeer(peer, self.now)
            self.router.flush(self.now)
        self.assertEqual(flushed, [("north",), ()])

    def test_standBy(self) -> None:
        """
        While this node stands by for a network no group call goes out to it, those of others do.
        """
        talker, remote = self.peer(1), self.remote(2500)
        self.bridge(2, "north", 91)
        self.bridge(3, "south", 91)
        self.networks(remote, ("north",), ("north",))
        self.route(talker, end=True)
        self.assertEqual([len(self.heardBy(each)) for each in (2, 3)], [0, 3])

    def test_standByInMidCall(self) -> None:
        """
        A node that goes on stand-by in mid-call sends nothing more, no end either, as another goes
        on with the stream; when that one is gone it takes over with the next frame.
        """
        talker, remote = self.peer(1), self.remote(2500)
        self.bridge(2, "north", 91)
        self.route(talker)
        self.networks(remote, ("north",), ("north",))
        self.route(talker, 3)
        self.networks(remote)
        self.route(talker, 6, end=True)
        self.assertEqual([frame.sequence for _, frame in self.heardBy(2)], [0, 1, 2, *range(6, 9)])
        self.assertEqual(self.heardBy(2)[-1][1].dataType, TERMINATOR)

    def test_standByPrivate(self) -> None:
        """
        A private call goes to the one bridge that its radio was heard by, on stand-by or not, also
        when the stand-by begins in mid-call.
        """
        talker, remote = self.peer(1), self.remote(2500)
        bridge = self.bridge(2, "north")
        self.route(bridge, source=555, stream=1, end=True)
        self.advance(6)  # its slot is kept for the talkgroup until then
        self.route(talker, source=444, destination=555, stream=2, private=True)
        self.networks(remote, ("north",), ("north",))
        self.route(talker, 3, source=444, destination=555, stream=2, private=True, end=True)
        self.route(talker, source=444, destination=555, stream=3, private=True, end=True)
        self.assertEqual(len(self.heardBy(2)), 9)

    def test_ownStreamOnStandBy(self) -> None:
        """
        What comes from the network is heard here although this node stands by for it, and a change
        of the stand-by does not send it back.
        """
        remote = self.remote(2500)
        bridge = self.bridge(2, "north", 91)
        self.peer(1, {2: (91,)})
        self.networks(remote, ("north",), ("north",))
        self.route(bridge)
        self.networks(remote)
        self.route(bridge, 3, end=True)
        self.assertEqual((len(self.heardBy(1)), self.heardBy(2)), (6, []))

    def test_notToItsNodes(self) -> None:
        """
        A call from a network does not go to a node that has a peer there itself, as that one would
        send it back; it goes to the others.
        """
        bridge = self.bridge(1, "north")
        there, other = self.remote(2502, 91), self.remote(2503, 91)
        self.networks(there, ("north", "south"))
        self.route(bridge)
        self.networks(other, ("north",))
        self.networks(there)
        self.route(bridge, 3, end=True)
        self.assertEqual([index for index, _ in there.heard], [3, 4, 5])
        self.assertEqual([index for index, _ in other.heard], [0, 1, 2])

    def test_privateNotToItsNodes(self) -> None:
        """
        Nor does a private call, to a radio that was heard there.
        """
        bridge, remote = self.bridge(1, "north"), self.remote(2502)
        self.route(remote, source=555, destination=92, stream=1, end=True)
        self.networks(remote, ("north",))
        self.route(bridge, source=444, destination=555, stream=2, private=True, end=True)
        self.networks(remote)
        self.route(bridge, source=444, destination=555, stream=3, private=True, end=True)
        self.assertEqual(remote.streams, [3])

    def test_goneWithItsNetworks(self) -> None:
        """
        A node that is gone, and its networks with it, gets nothing of a call from one of them.
        """
        bridge, remote = self.bridge(1, "north"), self.remote(2502, 91)
        self.networks(remote, ("north",))
        self.route(bridge)
        self.router.removeRemote(remote, self.now)
        self.networks(remote)
        self.route(bridge, 3, end=True)
        self.assertEqual(remote.sinks, [])

    def test_standByEnds(self) -> None:
        """
        When a stand-by ends the network hears neither a private call to the number of a talkgroup
        nor a data call that has let go of its slots, before that goes on.
        """
        talker, other, remote = self.peer(1), self.peer(4), self.remote(2500)
        self.bridge(2, "north", 91, 92)
        self.networks(remote, ("north",), ("north",))
        self.route(talker, destination=91, private=True)
        self.send(other, 0, flags=DATA_SYNC | DATA_HEADER, destination=92, stream=78)
        self.advance(0.5)
        self.networks(remote)
        self.assertIsNone(self.router.reach.peers[2].slot(2).call)
        self.assertEqual(self.heardBy(2), [])

    def test_plain(self) -> None:
        """
        Peers that lead nowhere hear each other and cross, whatever networks nodes have.
        """
        talker, remote = self.peer(1), self.remote(2502, 91)
        self.peer(2, {2: (91,)})
        self.networks(remote, ("north",), ("north",))
        self.route(talker, end=True)
        self.assertEqual((len(self.heardBy(2)), len(remote.heard)), (3, 3))
