"""
FastForward on transports: handshakes, the paths that they make, and the links that paths carry.

The packets are those of L{bmff.wire.fastforward}; this is where they meet transports and the
reactor. Which node is to be reached how is decided elsewhere (L{bmff.cluster}).
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from functools import partial
from math import inf
from typing import Final, Protocol

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from bmff.errors import ProtocolError, TransportUnavailable
from bmff.ibmff import IAcceptor, IConversation, ITransport
from bmff.protocols.alarm import Alarm
from bmff.protocols.connection import Connection
from bmff.protocols.handshakes import Handshakes, KeyRing
from bmff.wire.fastforward.handshake import (
    INITIATION,
    CookieDemanded,
    Established,
)
from bmff.wire.fastforward.link import Link, LinkWatcher, NodeState
from bmff.wire.fastforward.messages import Goodbye
from bmff.wire.fastforward.path import Path, Traits
from bmff.wire.fastforward.session import DATA, Session

TICK: Final = 0.005  # seconds
DUPLICATE: Final = 60.0  # seconds within which a boot ID that was replaced must not come back
KEY_GRACE: Final = 10.0  # seconds that a session outlives its key's removal
MOST_CONNECTIONS: Final = 4096
RENEWAL: Final = 0.5  # seconds between two looks at which sessions are to be renewed
LEFT: Final = 0.2  # seconds, and two round trips, that a path is read which nobody needs any more
STALL: Final = 1.5  # seconds between two rings of the alarm at which this process was not there


class LinkKeeper(LinkWatcher, Protocol):
    """
    Wants to know of links, and of what they tell.
    """

    def linkStarted(self, link: Link) -> None:
        """
        A link has come up.
        """

    def linkEnded(self, link: Link, reason: str) -> None:
        """
        A link has ended.
        """

    def pathChanged(self, link: Link, path: Path) -> None:
        """
        A link has another path than before.
        """

    def pathStarted(self, link: Link, transport: str) -> None:
        """
        A link has one more path, which may carry it or stand by.
        """

    def pathEnded(self, link: Link, transport: str, reason: str) -> None:
        """
        A path of a link has ended; perhaps its last one.
        """

    def rankPaths(self, link: Link, transports: Collection[str]) -> list[str]:
        """
        The transports of a link's paths, the one to be used first, the one to stand by next.
        """

    def duplicateNode(self, node: int, remote: str) -> None:
        """
        Two processes speak as one node.
        """


@implementer(IAcceptor)
class FastForward:
    """
    All of a node's connections, and the links that they carry.

    @ivar nodeID: this node's.
    @ivar bootID: this process's, 64 random bits.
    @ivar handshakes: those that are begun and let in.
    @ivar transports: by name.
    @ivar links: by node ID.
    @ivar dropped: packets that had no effect, by reason.
    @ivar turnEnded: called when everything that came at once has been dealt with.
    @ivar keyLog: called with each new session whose packets are sealed; L{None} when it is off.
    """

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        nodeID: int,
        environment: str,
        keys: KeyRing,
        state: NodeState,
        keeper: LinkKeeper,
        turnEnded: Callable[[], None],
        wallClock: Callable[[], float],
    ) -> None:
        """
        @param clock: monotonic.
        @param turnEnded: called when everything that came at once has been dealt with.
        @param wallClock: seconds since 1970, for the time stamps of handshakes alone.
        """
        self.nodeID = nodeID
        self.transports: Mapping[str, ITransport] = {}
        self.links: dict[int, Link] = {}
        self.dropped: Counter[str] = Counter()
        self.connections: list[Connection] = []
        self.turnEnded = turnEnded
        self.keyLog: Callable[[Established], None] | None = None
        self._clock = clock
        self._keys = keys
        self._state = state
        self._keeper = keeper
        self._rang = clock.seconds()
        self._renewAt = -inf
        self._stopped = False
        self._replaced: dict[tuple[int, int], float] = {}
        self.handshakes = Handshakes(nodeID, environment, keys, wallClock)
        self.bootID = self.handshakes.bootID
        self._alarm = Alarm(clock, self.deadline, self._due, TICK)

    def now(self) -> float:
        """
        Monotonic seconds.
        """
        return self._clock.seconds()

    # Making paths.

    async def connect(
        self, node: int, transport: str, address: str, port: int, keyID: str
    ) -> Connection:
        """
        Make a path to a node.

        @return: the connection, its session established.
        @raise TransportUnavailable: it cannot be made.
        """
        key = self._keys.fastForwardKey(keyID)
        if key is None:
            raise TransportUnavailable(f"no key {keyID!r} in the secrets file")
        if not key.proves(node):
            raise TransportUnavailable(f"key {keyID!r} does not list node {node}")
        carrier = self.transports.get(transport)
        if carrier is None:
            raise TransportUnavailable(f"no transport {transport!r} here")
        connection = Connection(self, node, keyID, self.nodeID)
        connection.transport = await carrier.connect(address, port, connection)
        self._add(connection)
        established = connection.begin(keyID, key, self.now())
        self._alarm.rearm()
        try:
            return await established
        except TransportUnavailable:
            connection.close("not established")
            raise

    def _add(self, connection: Connection) -> None:
        if not self.connections:  # the alarm has not rung for want of anything to ring for
            self._rang = self.now()
        self.connections.append(connection)

    def establish(
        self, connection: Connection, established: Established, initiator: bool, now: float
    ) -> None:
        """
        A connection has a new session.
        """
        link = self._linkFor(connection, established.bootID, now)
        transport = connection.transport
        if self.keyLog is not None and not established.trusted:
            self.keyLog(established)
        session = Session(
            established.keys.send,
            established.keys.receive,
            established.localIndex,
            established.remoteIndex,
            initiator=initiator,
            now=now,
            sealed=not established.trusted,
        )
        traits = Traits(transport.name, transport.reliable, established.trusted)
        path = connection.path
        if path is not None and path.owner is link:
            path.traits = traits  # the other end may think otherwise of us than before
        else:
            path = Path(link, traits, transport.remote, transport.sendPacket, now)
            path.proved = partial(connection.proved, path)
            if initiator or connection.path is None:
                connection.path, connection.pending = path, None
                connection.link = link
                connection.up = False
            else:
                connection.pending = path  # another process: it takes over with its first packet
        if initiator:
            path.useSession(session, now)
        else:
            path.expectSession(session)
        self.handshakes.index(connection)
        if initiator and not connection.up:
            self.pathProved(connection, now)
        self._alarm.rearm()

    def _linkFor(self, connection: Connection, bootID: int, now: float) -> Link:
        """
        The link that a session with a process belongs to; not yet a new one's turn.
        """
        for link in (connection.link, self.links.get(connection.node)):
            if link is not None and link.bootID == bootID:
                return link
        name = int.from_bytes(os.urandom(4), "big") or 1
        link = Link(connection.node, bootID, self._state, self._keeper, now, name)
        link.wake = self._alarm.rearm
        return link

    def pathProved(self, connection: Connection, now: float) -> None:
        """
        The other end of a connection is who it says: its path may carry its link.
        """
        link = connection.link
        assert link is not None
        connection.up = True
        before = self.links.get(connection.node)
        if before is not None and before.bootID != link.bootID:
            if now < self._replaced.get((link.node, link.bootID), -inf) + DUPLICATE:
                self._keeper.duplicateNode(link.node, connection.transport.remote)
                self._refuse(connection, "duplicate node ID", now)
                return
            self._replaced = {
                boot: at for boot, at in self._replaced.items() if now < at + DUPLICATE
            }
            self._replaced[before.node, before.bootID] = now
            self._endLink(before, "the node has started anew")
            before = None
        if before is not None and before is not link:
            # Both ends began at once, and neither knew of the other's.
            connection.link = link = before
            assert connection.path is not None
            connection.path.owner = link
        if before is None:
            self.links[link.node] = link
            link.begin()
            self._choose(link)
            self._keeper.linkStarted(link)
        else:
            self._choose(link)
        if not connection.closed:
            self._keeper.pathStarted(link, connection.transport.name)
        link.flush(now)
        self._alarm.rearm()

    def _choose(self, link: Link) -> None:
        """
        Use the best path of a link, and keep one more to fall back to. Of two over one transport
        the one stays that the lower node ID began.
        """
        mine = [one for one in self.connections if one.link is link and one.up and not one.closed]
        if not mine:
            return
        kept: dict[str, Connection] = {}
        # Of two that one end began, the older is the one that it has given up.
        for one in sorted(mine, key=lambda one: (one.initiator, -one.made)):
            kept.setdefault(one.transport.name, one)
        best, *others = (kept[name] for name in self._keeper.rankPaths(link, kept))
        assert best.path is not None
        if link.path is not best.path:
            link.usePath(best.path)
            self._keeper.pathChanged(link, best.path)
        needed = (best, *others[:1])
        for one in needed:
            one.needless = inf
        if self.nodeID < link.node:  # one end decides, so that two do not close each other's
            now = self.now()
            for one in mine:
                if one not in needed and one.path is not None:
                    # What is on its way there is still to be read: the other end may have used it
                    # for a moment, as it knew of no other.
                    one.needless = min(one.needless, now + LEFT + 2 * one.path.roundTrip)

    def reconsider(self, node: int) -> None:
        """
        Another path may be the best one of a link than before.
        """
        link = self.links.get(node)
        if link is not None:
            self._choose(link)
            link.flush(self.now())

    def hasPath(self, node: int, transport: str) -> bool:
        """
        Whether a link has a path over a transport.
        """
        link = self.links.get(node)
        return link is not None and any(
            one.link is link and one.up and not one.closed and one.transport.name == transport
            for one in self.connections
        )

    # What transports call.

    def strayReceived(self, data: bytes, conversation: IConversation, now: float) -> None:
        """
        See L{IAcceptor}.
        """
        kind = data[0] if data else 0
        if self._stopped:
            return
        try:
            if kind == INITIATION:
                self._strange(data, conversation, now)
                return
            if kind == DATA and len(data) > 5:
                connection = self.handshakes.find(int.from_bytes(data[1:5], "big"))
                if connection is not None and not connection.closed:
                    self._strayData(data, connection, conversation, now)
                    return
            raise ProtocolError("unknown session")
        except ProtocolError as error:
            self.dropped[error.reason] += 1
        except TransportUnavailable:
            self.dropped["gone before it was let in"] += 1

    def flush(self) -> None:
        """
        See L{IAcceptor}.
        """
        self.turnEnded()

    def _strange(self, data: bytes, conversation: IConversation, now: float) -> None:
        """
        Somebody unknown begins a handshake.
        """
        try:
            admitted = self.handshakes.admit(data, conversation.key, now, conversation.name)
        except ProtocolError:
            return  # the responder has counted it
        if isinstance(admitted, CookieDemanded):
            conversation.sendPacket(admitted.answer)
            return
        if len(self.connections) >= MOST_CONNECTIONS:
            raise ProtocolError("too many connections")
        prologue = admitted.prologue
        connection = Connection(self, prologue.initiator, prologue.key, prologue.initiator)
        # Only the opened connection says whether it is trusted, and the answer has to say so.
        connection.transport = transport = conversation.open(connection)
        try:
            accepted = self.handshakes.respond(admitted, transport.trusted)
        except ProtocolError:
            transport.loseConnection()
            return  # the responder has counted it
        self._add(connection)
        self.establish(connection, accepted.established, False, now)
        transport.sendPacket(accepted.answer)

    def initiationReceived(self, data: bytes, connection: Connection, now: float) -> None:
        """
        The other end of a connection begins a handshake: the next session, or a new process.

        @raise ProtocolError: it is refused.
        """
        if self._stopped:
            return
        transport = connection.transport
        try:
            admitted = self.handshakes.admit(data, transport.remote.encode(), now, transport.name)
            if isinstance(admitted, CookieDemanded):
                transport.sendPacket(admitted.answer)
                return
            accepted = self.handshakes.respond(admitted, transport.trusted)
        except ProtocolError:
            return  # the responder has counted it
        if accepted.prologue.initiator != connection.node:
            raise ProtocolError("another node on the connection")
        connection.giveWay()
        connection.keyID = accepted.prologue.key
        connection.keyGone = inf
        self.establish(connection, accepted.established, False, now)
        transport.sendPacket(accepted.answer)

    def _strayData(
        self, data: bytes, connection: Connection, conversation: IConversation, now: float
    ) -> None:
        """
        A packet of a known session from an address that is not its own.
        """
        path = connection.path
        session = path.session if path is not None else None
        highest = session.highest if session is not None else -1
        self._answerFrom = conversation.key
        try:
            connection.dataReceived(data, now)
        finally:
            self._answerFrom = None
        connection.answer(now)
        if session is None or path is not connection.path or connection.closed:
            return
        if path is not None and path.session is session and session.highest > highest:
            connection.challenge(conversation, now)

    _answerFrom: bytes | None = None

    def challengeAnswered(self, path: Path, value: int) -> None:
        """
        The other end of a path has answered a challenge.
        """
        for connection in self.connections:
            if connection.path is path:
                connection.answered(value, self._answerFrom)

    # How connections end.

    def connectionEnded(self, connection: Connection, reason: str, sudden: bool = False) -> None:
        """
        A connection is over.

        @param sudden: whether the other process may be gone.
        """
        if connection.closed:
            return
        connection.ended(reason)
        if connection in self.connections:
            self.connections.remove(connection)
        self.handshakes.index(connection)
        link, path = connection.link, connection.path
        if link is None or path is None or self.links.get(link.node) is not link:
            return
        if link.path is path:
            now = self.now()
            link.path = None
            self._choose(link)
            if link.path is not None:
                link.pathLost(path, now)
                link.flush(now)
                if sudden:
                    self._doubt(link, now)
                self._alarm.rearm()
        if connection.up:
            self._keeper.pathEnded(link, connection.transport.name, reason)
        if link.path is None and self.links.get(link.node) is link:
            self._endLink(link, reason)

    def _doubt(self, link: Link, now: float) -> None:
        """
        The process at the other end of a link may be gone: see whether its other paths live.
        """
        for connection in self.connections:
            if connection.link is link and connection.up and connection.path is not None:
                connection.path.doubt(now)

    def goodbyeReceived(self, path: Path, reason: str) -> None:
        """
        The other end of a path ends it.
        """
        for connection in tuple(self.connections):
            if connection.path is path:
                connection.close(reason or "closed by the other node")

    def _refuse(self, connection: Connection, reason: str, now: float) -> None:
        """
        End a connection, saying so.
        """
        if connection.path is not None:
            connection.path.sendMessage(Goodbye(reason))
            connection.path.flush(now)
        connection.close(reason)

    def _endLink(self, link: Link, reason: str) -> None:
        if self.links.get(link.node) is link:
            del self.links[link.node]
        for connection in tuple(self.connections):
            if connection.link is link:
                connection.close(reason)
        self._keeper.linkEnded(link, reason)

    def disconnect(self, node: int, reason: str) -> None:
        """
        End the link with a node, saying so.
        """
        link = self.links.get(node)
        if link is None:
            return
        now = self.now()
        for connection in self.connections:
            if connection.link is link and connection.path is not None:
                connection.path.sendMessage(Goodbye(reason))
                connection.path.flush(now)
        self._endLink(link, reason)

    def stop(self, reason: str) -> None:
        """
        End everything; what comes from now on is passed over.
        """
        self._stopped = True
        for node in tuple(self.links):
            self.disconnect(node, reason)
        for connection in tuple(self.connections):
            connection.close(reason)
        self._alarm.stop()

    # Time.

    def rearm(self) -> None:
        """
        The turn is over: set the alarm.
        """
        self._alarm.rearm()

    def deadline(self) -> float:
        """
        When something is due.
        """
        due = inf
        for connection in self.connections:
            due = min(due, connection.deadline())
        for link in self.links.values():
            due = min(due, link.deadline())
        return due

    def _due(self, now: float) -> None:
        rang, self._rang = self._rang, now
        if now > rang + STALL:
            self._stalled(now)
        for connection in tuple(self.connections):
            if not connection.closed and now >= connection.deadline():
                connection.timeout(now)
        if now >= self._renewAt:
            self._renewAt = now + RENEWAL
            for connection in tuple(self.connections):
                if now >= connection.needless:
                    self._refuse(connection, "not needed any more", now)
                self._renew(connection, now)
        for link in tuple(self.links.values()):
            if now >= link.deadline():
                link.timeout(now)
        self.turnEnded()

    def _stalled(self, now: float) -> None:
        """
        This process was not there for a while. Others may have ended its links meanwhile: new
        sessions bring them back, whether they have or not.
        """
        for connection in self.connections:
            if connection.path is not None:
                connection.path.stalled(now)
            key = self._keys.fastForwardKey(connection.keyID)
            if connection.up and key is not None and key.proves(connection.node):
                connection.rekey(connection.keyID, key, now)

    def _renew(self, connection: Connection, now: float) -> None:
        """
        Make a connection's next session when that is due, or when its key is gone.
        """
        session = connection.path.session if connection.path is not None else None
        if session is None or connection.closed or not connection.up:
            return
        key = self._keys.fastForwardKey(connection.keyID)
        if key is not None and key.proves(connection.node):
            connection.keyGone = inf
            if session.wantsRekey(now):
                connection.rekey(connection.keyID, key, now)
        elif connection.keyGone == inf:
            connection.keyGone = now
        elif now >= connection.keyGone + KEY_GRACE:
            connection.close("its key was taken out")

    def switchKey(self, keyID: str, before: str | None = None) -> None:
        """
        Make new sessions under another key.

        @param before: only where this one was used, so that a key that two nodes have for
            themselves is not given up for one that many have; everywhere when absent.
        """
        key = self._keys.fastForwardKey(keyID)
        if key is None:
            return
        now = self.now()
        for connection in tuple(self.connections):
            meant = connection.keyID != keyID and before in {None, connection.keyID}
            if meant and connection.up and key.proves(connection.node):
                connection.rekey(keyID, key, now)
