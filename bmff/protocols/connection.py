"""
One transport connection of FastForward: its packets go to handshakes and to its path.
"""

from __future__ import annotations

import os
from collections import Counter
from math import inf
from typing import Final, Protocol, cast

from twisted.internet.defer import Deferred
from zope.interface import implementer

from bmff.errors import ProtocolError, TransportUnavailable
from bmff.ibmff import IConversation, IPathReceiver, IPathTransport
from bmff.wire.fastforward.cookie import COOKIE
from bmff.wire.fastforward.handshake import (
    INITIATION,
    RESPONSE,
    Established,
    InitiatorHandshake,
    PreSharedKey,
)
from bmff.wire.fastforward.link import Link
from bmff.wire.fastforward.messages import Challenge
from bmff.wire.fastforward.path import Path
from bmff.wire.fastforward.session import DATA

REPEAT: Final = 0.5  # seconds until an initiation is sent anew, doubled with each further one
GIVE_UP: Final = 5.0  # seconds until a handshake has failed
UNKNOWN_TIME: Final = 10.0  # seconds that a connection may go without a session
CHALLENGE_INTERVAL: Final = 0.25  # seconds
_DATA: Final = bytes((DATA,))


class HandshakeMaker(Protocol):
    """
    Makes the handshakes that this end begins, see L{bmff.protocols.handshakes.Handshakes}.
    """

    def begin(self, connection: Connection, keyID: str, key: PreSharedKey) -> InitiatorHandshake:
        """
        A first one.
        """

    def renew(self, handshake: InitiatorHandshake) -> InitiatorHandshake:
        """
        The same begun anew.
        """


class ConnectionOwner(Protocol):
    """
    The node's side of all connections, L{bmff.protocols.fastforward.FastForward}.

    @ivar nodeID: this node's.
    @ivar handshakes: makes those that a connection begins.
    @ivar dropped: packets that had no effect, by reason.
    """

    nodeID: int
    dropped: Counter[str]

    @property
    def handshakes(self) -> HandshakeMaker: ...

    def now(self) -> float:
        """
        Monotonic seconds.
        """

    def turnEnded(self) -> None:
        """
        All that was read at once has been dealt with.
        """

    def initiationReceived(self, data: bytes, connection: Connection, now: float) -> None:
        """
        The other end begins a handshake.
        """

    def establish(
        self, connection: Connection, established: Established, initiator: bool, now: float
    ) -> None:
        """
        A connection has a new session.
        """

    def pathProved(self, connection: Connection, now: float) -> None:
        """
        The other end is who it says.
        """

    def connectionEnded(self, connection: Connection, reason: str, sudden: bool = False) -> None:
        """
        A connection is over.
        """


@implementer(IPathReceiver)
class Connection:
    """
    One transport connection: hands its packets to handshakes and to its path.

    @ivar node: the other node's ID.
    @ivar keyID: the id of the key of its newest session.
    @ivar indexes: those of its sessions that are read.
    @ivar transport: the connection itself.
    @ivar link: the link that its path belongs to.
    @ivar path: its path, as soon as there is a session.
    @ivar pending: the path to another process at the same end, until that has proved itself.
    @ivar initiator: the node ID that began it.
    @ivar up: whether the other end has proved itself.
    @ivar closed: whether it is over.
    """

    transport: IPathTransport

    def __init__(self, owner: ConnectionOwner, node: int, keyID: str, initiator: int) -> None:
        self.node = node
        self.keyID = keyID
        self.initiator = initiator
        self.link: Link | None = None
        self.path: Path | None = None
        self.pending: Path | None = None
        self.indexes: frozenset[int] = frozenset()
        self.up = False
        self.closed = False
        self.handshake: InitiatorHandshake | None = None
        self.made = owner.now()
        self.needless = inf  # when it is to be closed, as the link has better ones
        self.keyGone = inf  # when its key was found missing
        self._owner = owner
        self._cookie: bytes | None = None
        self._repeatAt = inf
        self._pause = REPEAT
        self._giveUpAt = inf
        self._established: Deferred[Connection] | None = None
        self._challenge: tuple[int, IConversation] | None = None
        self._challengedAt = -inf

    # What the transport calls.

    def packetReceived(self, data: bytes, now: float) -> None:
        """
        See L{IPathReceiver}.
        """
        if data[:1] == _DATA:
            if self.up and self.pending is None and self.path is not None:
                self.path.packetReceived(data, now)
            else:
                self.dataReceived(data, now)
            return
        kind = data[0] if data else 0
        try:
            if kind == INITIATION:
                if self.handshake is not None and self._owner.nodeID < self.node:
                    raise ProtocolError("simultaneous handshake")
                self._owner.initiationReceived(data, self, now)
            elif kind == RESPONSE and self.handshake is not None:
                established = self.handshake.responseReceived(data)
                self.keyID = self.handshake.prologue.key
                self._owner.establish(self, established, True, now)
                self.settle()
            elif kind == COOKIE and self.handshake is not None:
                self._cookie = self.handshake.cookieReceived(data)
                self.transport.sendPacket(self.handshake.initiation(self._cookie))
            else:
                raise ProtocolError("unexpected packet")
        except ProtocolError as error:
            self._owner.dropped[error.reason] += 1

    def dataReceived(self, data: bytes, now: float) -> None:
        """
        Take a data packet, wherever it came from.
        """
        path = self.path
        if self.pending is not None and int.from_bytes(data[1:5], "big") in self.pending.indexes:
            path = self.pending
        if path is None:
            return
        path.packetReceived(data, now)

    def proved(self, path: Path, now: float) -> None:
        """
        The other end of a path uses a session that it has begun, so it is who it says.
        """
        if path is self.pending:
            self.path, self.pending = path, None
            self.link = cast(Link, path.owner)
            self.up = False
        if not self.up and path is self.path and not self.closed:
            self._owner.pathProved(self, now)
            self.settle()

    def flush(self) -> None:
        """
        See L{IPathReceiver}.
        """
        self._owner.turnEnded()
        # What the turn has for the other node is on its way, and this with it in most cases.
        if self.link is not None and (self.link.unanswered or self.path is not self.link.path):
            self.answer(self._owner.now())

    def answer(self, now: float) -> None:
        """
        Send what the packets of this turn ask for: acknowledgements, answers to challenges.
        """
        if self.path is not None and not self.closed:
            if self.link is not None:
                self.link.flush(now)
            self.path.flush(now)

    def writable(self) -> None:
        """
        See L{IPathReceiver}.
        """
        if self.path is not None:
            now = self._owner.now()
            self.path.writable(now)
            self.answer(now)

    def connectionLost(self, reason: str) -> None:
        """
        See L{IPathReceiver}.
        """
        self._owner.connectionEnded(self, reason, sudden=True)

    # Handshakes that this end begins.

    def begin(self, keyID: str, key: PreSharedKey, now: float) -> Deferred[Connection]:
        """
        Make a session.

        @return: fires when there is one, fails with L{TransportUnavailable}.
        """
        self._established = Deferred(lambda _: self.close("given up"))
        self.handshake = self._owner.handshakes.begin(self, keyID, key)
        self._giveUpAt = now + GIVE_UP
        self._pause = REPEAT
        self._sendInitiation(now)
        return self._established

    def _sendInitiation(self, now: float) -> None:
        assert self.handshake is not None
        self._repeatAt = now + self._pause
        self._pause *= 2  # so that on a long way the answer is not always that to the one before
        self.transport.sendPacket(self.handshake.initiation(self._cookie))

    def giveWay(self) -> None:
        """
        Both ends have begun a handshake here: the one of the lower node ID, not ours, goes on.
        """
        self.handshake = None
        self._repeatAt = inf

    def settle(self) -> None:
        """
        There is a session that both ends have: whoever waits for one has it.
        """
        self.handshake = None
        self._repeatAt = self._giveUpAt = inf
        waiting, self._established = self._established, None
        if waiting is not None and not waiting.called and not self.closed:
            waiting.callback(self)

    def deadline(self) -> float:
        """
        When L{timeout} is to be called at the latest.
        """
        due = min(self._repeatAt, self._giveUpAt)
        if self.path is not None:
            due = min(due, self.path.deadline())
        return due

    def timeout(self, now: float) -> None:
        """
        Do what is due.
        """
        if now >= self._giveUpAt:
            self.handshake = None
            self._repeatAt = self._giveUpAt = inf
            waiting, self._established = self._established, None
            if waiting is not None:
                waiting.errback(TransportUnavailable("no answer to the handshake"))
        elif self.handshake is not None and now >= self._repeatAt:
            self.handshake = self._owner.handshakes.renew(self.handshake)
            self._sendInitiation(now)
        path = self.path
        if path is not None and now >= path.deadline() and not path.timeout(now):
            self.close("silent", sudden=True)
        elif path is None and self.handshake is None and now >= self.made + UNKNOWN_TIME:
            self.close("no session")

    def rekey(self, keyID: str, key: PreSharedKey, now: float) -> None:
        """
        Make the next session, unless that is under way.
        """
        if self.handshake is None and self._giveUpAt == inf:
            self.begin(keyID, key, now).addErrback(lambda _: None)

    # A datagram path whose other end has another address.

    def challenge(self, conversation: IConversation, now: float) -> None:
        """
        Ask whether the other end lives at the address that an authentic packet came from.
        """
        if self.path is None or now < self._challengedAt + CHALLENGE_INTERVAL:
            return
        value = int.from_bytes(os.urandom(8), "big")
        packet = self.path.sealed(Challenge(value), now)
        if packet is not None:
            self._challengedAt = now
            self._challenge = (value, conversation)
            conversation.sendPacket(packet)

    def answered(self, value: int, key: bytes | None) -> None:
        """
        An answer to a challenge has come, from the address L{key} if from a new one.
        """
        if self._challenge is not None and self._challenge[0] == value:
            conversation = self._challenge[1]
            self._challenge = None
            if key == conversation.key and self.path is not None:
                self.transport.moveTo(conversation)
                self.path.remote = self.transport.remote

    def close(self, reason: str, sudden: bool = False) -> None:
        """
        End it.

        @param sudden: whether the other process may be gone.
        """
        if not self.closed:
            transport = getattr(self, "transport", None)
            self._owner.connectionEnded(self, reason, sudden)
            if transport is not None:
                transport.loseConnection()

    def ended(self, reason: str) -> None:
        """
        It is over: whoever waits for it hears so.
        """
        self.closed = True
        waiting, self._established = self._established, None
        if waiting is not None and not waiting.called:
            waiting.errback(TransportUnavailable(reason))
