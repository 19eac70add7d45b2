"""
The handshake of FastForward, at both ends: an initiation, a response, and fresh keys for a path.

Noise (L{bmff.wire.fastforward.noise}) inside of messages that can be refused cheaply, as
WireGuard's are (J. A. Donenfeld, "WireGuard: Next Generation Kernel Network Tunnel", NDSS 2017,
§5.4). Every packet of FastForward begins with its type: 1 initiation, 2 response, 3 cookie reply
(L{bmff.wire.fastforward.cookie}), 4 data. Numbers are big-endian.

An initiation, 124 to 202 bytes::

    1    type: 1
    4    session index of the initiator, random: what packets to it name the session by
    22+  prologue (L{bmff.wire.fastforward.prologue})
    32   Noise message 1: the initiator's ephemeral public key,
    33     sealed: timestamp (8), boot ID (8), flags (1), tag (16)
    16   mac1: BLAKE2s-128 of all before it
    16   mac2: BLAKE2s-128 of all before it, keyed with the cookie; zero without one

A response, 82 bytes::

    1    type: 2
    4    session index of the responder, random
    4    session index of the initiator
    32   Noise message 2: the responder's ephemeral public key,
    25     sealed: boot ID (8), flags (1), tag (16)
    16   mac1: BLAKE2s-128 of all before it

The key of a C{mac1} is BLAKE2s-256("bmff-ff-mac1", PSK, node ID (4 bytes) of who the message is
for). The timestamp is the initiator's wall clock in microseconds, greater than in any initiation
that it sent before. The prologue as sent is the prologue of Noise. Both ends check that the other's
node ID is listed for the key. A key that lists no node is a group key: whoever holds it can speak
as every node. Noise does not cover the session indexes, C{mac1} does.

Of the flags one has a meaning, L{TRUSTS}: the kernel vouches to the sender for the other end, and
the sender asks for no seal. The packets of the session go unsealed only where both ends ask for it,
and as the flags stand under the tags, nobody between them can. The other bits are zero when sent
and ignored when received.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import blake2s
from hmac import compare_digest
from struct import Struct
from typing import Final

from bmff.errors import ConfigurationError, Mistake, ProtocolError
from bmff.wire.fastforward.cookie import MAC_SIZE, Cookies, mac, openCookie
from bmff.wire.fastforward.noise import OVERHEAD, Initiator, Keys, Responder
from bmff.wire.fastforward.prologue import Prologue

INITIATION: Final = 1  # type of an initiation
RESPONSE: Final = 2  # type of a response
TRUSTS: Final = 1  # flag: the kernel vouches to the sender for the other end
LARGEST_TIMESTAMPS: Final = 4096  # pairs of node and path of which the last initiation is known

_LABEL: Final = b"bmff-ff-mac1"
_initiation: Final = Struct(">BI")
_response: Final = Struct(">BII")
_greeting: Final = Struct(">QQB")  # timestamp, boot ID, flags
_reply: Final = Struct(">QB")  # boot ID, flags

_NOISE_1_SIZE: Final = OVERHEAD + _greeting.size
_TAIL_SIZE: Final = _NOISE_1_SIZE + 2 * MAC_SIZE  # what comes after the prologue
_RESPONSE_SIZE: Final = _response.size + OVERHEAD + _reply.size + MAC_SIZE


@dataclass(frozen=True, slots=True)
class PreSharedKey:
    """
    A secret that nodes share.

    @ivar psk: 32 bytes.
    @ivar nodes: the node IDs that it proves; every one when empty.
    """

    psk: bytes = field(repr=False)
    nodes: frozenset[int] = frozenset()

    def proves(self, nodeID: int) -> bool:
        """
        Whether who has the key may be L{nodeID}.
        """
        return not self.nodes or nodeID in self.nodes

    def macKey(self, nodeID: int) -> bytes:
        """
        The key of the C{mac1} in messages for a node, 32 bytes.
        """
        return blake2s(b"".join((_LABEL, self.psk, nodeID.to_bytes(4)))).digest()


@dataclass(frozen=True, slots=True)
class Established:
    """
    A session that both ends have keys for.

    @ivar keys: this end's.
    @ivar localIndex: what packets from the peer name the session by, 32 bits.
    @ivar remoteIndex: what packets to the peer name it by, 32 bits.
    @ivar bootID: the peer's, 64 bits, another one after each start.
    @ivar trusted: whether both ends trust, so that packets go unsealed; the same at both.
    """

    keys: Keys
    localIndex: int
    remoteIndex: int
    bootID: int
    trusted: bool


@dataclass(frozen=True, slots=True)
class Admitted:
    """
    An initiation that has passed all checks, and is not answered yet.

    @ivar prologue: the initiation's; what it says of the initiator is proved.
    @ivar key: the key that it is under.
    @ivar noise: this end of Noise, message 1 read.
    @ivar remoteIndex: the initiator's session index.
    @ivar bootID: the initiator's.
    @ivar trusts: whether the initiator trusts this end.
    """

    prologue: Prologue
    key: PreSharedKey
    noise: Responder
    remoteIndex: int
    bootID: int
    trusts: bool


@dataclass(frozen=True, slots=True)
class Accepted:
    """
    An initiation that was let in. The session becomes current with its first authenticated packet.

    @ivar answer: the response, to be sent where the initiation came from.
    @ivar prologue: the initiation's; what it says of the initiator is proved.
    @ivar established: the session.
    """

    answer: bytes
    prologue: Prologue
    established: Established


@dataclass(frozen=True, slots=True)
class CookieDemanded:
    """
    An initiation that has to come again with a cookie.

    @ivar answer: the cookie reply, to be sent where the initiation came from.
    """

    answer: bytes


class InitiatorHandshake:
    """
    One handshake at the end that begins it.

    The responder takes an initiation once. So one that was lost may be sent again as it is, and so
    may one that was answered with a cookie; but if the response may have been lost, begin anew with
    L{renewed}.

    @ivar prologue: who speaks to whom.
    @ivar index: this end's session index.
    @ivar timestamp: the initiation's, microseconds.
    """

    __slots__ = (
        "_bootID",
        "_established",
        "_key",
        "_message",
        "_noise",
        "_trusts",
        "index",
        "prologue",
        "timestamp",
    )

    def __init__(
        self,
        prologue: Prologue,
        key: PreSharedKey,
        *,
        index: int,
        bootID: int,
        wall: int,
        ephemeral: bytes,
        trusts: bool = False,
    ) -> None:
        """
        @param key: the key that the prologue names.
        @param index: a session index, 32 random bits that no other session of this node has.
        @param bootID: this node's, 64 bits.
        @param wall: microseconds of the wall clock, more than in any initiation before.
        @param ephemeral: 32 random bytes that are used for nothing else.
        @param trusts: whether the kernel vouches to this end for the other.
        @raise ConfigurationError: the responder is not listed for the key.
        """
        if not key.proves(prologue.responder):
            place = f"fastforward.{prologue.key}.nodes"
            raise ConfigurationError([Mistake(place, f"does not list {prologue.responder}")])
        self.prologue = prologue
        self.index = index
        self.timestamp = wall
        self._key = key
        self._bootID = bootID
        self._trusts = trusts
        self._established = False
        encoded = prologue.encode()
        self._noise = Initiator(encoded, key.psk, ephemeral)
        noise = self._noise.writeMessage1(_greeting.pack(wall, bootID, TRUSTS * trusts))
        covered = _initiation.pack(INITIATION, index) + encoded + noise
        self._message = covered + mac(key.macKey(prologue.responder), covered)

    def renewed(self, *, index: int, wall: int, ephemeral: bytes) -> InitiatorHandshake:
        """
        The same handshake begun anew, with a timestamp after this one's even if the wall clock
        was set back. A cookie that was given to this one is good for it too.

        @param index: a session index, 32 random bits that no other session of this node has.
        @param wall: microseconds of the wall clock.
        @param ephemeral: 32 random bytes that are used for nothing else.
        """
        return InitiatorHandshake(
            self.prologue,
            self._key,
            index=index,
            bootID=self._bootID,
            wall=max(wall, self.timestamp + 1),
            ephemeral=ephemeral,
            trusts=self._trusts,
        )

    def initiation(self, cookie: bytes | None = None) -> bytes:
        """
        The first message; always the same for the same cookie.

        @param cookie: as from L{cookieReceived}, 16 bytes.
        """
        mac2 = bytes(MAC_SIZE) if cookie is None else mac(cookie, self._message)
        return self._message + mac2

    def cookieReceived(self, data: bytes) -> bytes:
        """
        Take a cookie reply.

        @return: the cookie to send the initiation again with, 16 bytes.
        @raise ProtocolError: it is no reply to this initiation from somebody who has the key.
        """
        return openCookie(
            data,
            index=self.index,
            mac1=self._message[-MAC_SIZE:],
            psk=self._key.psk,
            responder=self.prologue.responder,
        )

    def responseReceived(self, data: bytes) -> Established:
        """
        Take a response. One that is refused leaves the handshake as it was.

        @raise ProtocolError: it does not answer this initiation, is not from somebody who has the
            key, or is the second one: the same keys twice would mean the same nonces twice.
        """
        if data[:1] != bytes((RESPONSE,)):
            raise ProtocolError("wrong type")
        if len(data) != _RESPONSE_SIZE:
            raise ProtocolError("wrong length")
        _, remoteIndex, index = _response.unpack_from(data)
        if index != self.index:
            raise ProtocolError("session index")
        covered, mac1 = data[:-MAC_SIZE], data[-MAC_SIZE:]
        if not compare_digest(mac1, mac(self._key.macKey(self.prologue.initiator), covered)):
            raise ProtocolError("mac1")
        if self._established:
            raise ProtocolError("repeated response")
        bootID, flags = _reply.unpack(self._noise.readMessage2(covered[_response.size :]))
        self._established = True
        trusted = self._trusts and bool(flags & TRUSTS)
        return Established(self._noise.split(), self.index, remoteIndex, bootID, trusted)


class HandshakeResponder:
    """
    A node's side of all handshakes that others begin.

    Each check is cheaper than those after it, and before the last nothing is kept.

    A node's last timestamp is kept by key and transport, so that who holds a group key cannot shut
    out a node that speaks under a key of its own, and paths that are made at once do not overtake
    one another. When the table is full, the node that came longest ago is forgotten: an initiation
    of its past would be answered once more, and nobody could use what it made.

    @ivar dropped: initiations that were refused, by reason.
    @ivar accepted: how many were let in.
    @ivar cookiesDemanded: how many were answered with a cookie.
    """

    def __init__(
        self,
        *,
        nodeID: int,
        environment: str,
        keys: Callable[[str], PreSharedKey | None],
        bootID: int,
        secret: bytes,
        capacity: int = LARGEST_TIMESTAMPS,
    ) -> None:
        """
        @param nodeID: this node's.
        @param environment: this node's.
        @param keys: gives the key that an id names, L{None} when there is none.
        @param bootID: this node's, 64 random bits, new at each start.
        @param secret: 16 to 32 random bytes, new at each start.
        @param capacity: timestamps.
        """
        self.dropped: Counter[str] = Counter()
        self.accepted = 0
        self.cookiesDemanded = 0
        self._nodeID = nodeID
        self._environment = environment
        self._keys = keys
        self._bootID = bootID
        self._cookies = Cookies(secret)
        self._capacity = capacity
        self._timestamps: dict[tuple[int, str, str], int] = {}

    def initiationReceived(
        self,
        data: bytes,
        addressKey: bytes,
        now: float,
        newIndex: int,
        ephemeral: bytes,
        transport: str,
        trusts: bool = False,
    ) -> Accepted | CookieDemanded:
        """
        Take an initiation and answer it, where it is known beforehand who is to be trusted.

        @see: L{admit} and L{respond}, for the parameters too.
        @raise ProtocolError: it is refused.
        """
        admitted = self.admit(data, addressKey, now, transport)
        if isinstance(admitted, CookieDemanded):
            return admitted
        return self.respond(admitted, newIndex, ephemeral, trusts)

    def admit(
        self, data: bytes, addressKey: bytes, now: float, transport: str
    ) -> Admitted | CookieDemanded:
        """
        Take an initiation. What is refused is counted here.

        @param addressKey: where it came from, an opaque key.
        @param now: monotonic seconds.
        @param transport: the name of the transport that it came over.
        @raise ProtocolError: it is refused.
        """
        try:
            return self._admit(data, addressKey, now, transport)
        except ProtocolError as error:
            self.dropped[error.reason] += 1
            raise

    def respond(
        self, admitted: Admitted, newIndex: int, ephemeral: bytes, trusts: bool = False
    ) -> Accepted:
        """
        Answer an initiation, once. What is refused even now is counted here.

        @param newIndex: a session index, 32 random bits that no other session of this node has.
        @param ephemeral: 32 random bytes that are used for nothing else.
        @param trusts: whether the kernel vouches to this end for the initiator.
        @raise ProtocolError: it is refused.
        """
        noise, prologue = admitted.noise, admitted.prologue
        try:
            message = noise.writeMessage2(_reply.pack(self._bootID, TRUSTS * trusts), ephemeral)
        except ProtocolError as error:
            self.dropped[error.reason] += 1
            raise
        answer = _response.pack(RESPONSE, newIndex, admitted.remoteIndex) + message
        answer += mac(admitted.key.macKey(prologue.initiator), answer)
        self.accepted += 1
        trusted = trusts and admitted.trusts
        established = Established(
            noise.split(), newIndex, admitted.remoteIndex, admitted.bootID, trusted
        )
        return Accepted(answer, prologue, established)

    def _admit(
        self, data: bytes, addressKey: bytes, now: float, transport: str
    ) -> Admitted | CookieDemanded:
        if data[:1] != bytes((INITIATION,)):
            raise ProtocolError("wrong type")
        if len(data) < _initiation.size + _TAIL_SIZE:
            raise ProtocolError("truncated")
        encoded = data[_initiation.size : -_TAIL_SIZE]
        prologue = Prologue.decode(encoded)
        self._checkPrologue(prologue, transport)
        key = self._keys(prologue.key)
        if key is None:
            raise ProtocolError("unknown key")
        covered, mac1 = data[: -2 * MAC_SIZE], data[-2 * MAC_SIZE : -MAC_SIZE]
        if not compare_digest(mac1, mac(key.macKey(self._nodeID), covered)):
            raise ProtocolError("mac1")
        _, remoteIndex = _initiation.unpack_from(data)
        if self._cookies.crowded(now) and not self._cookies.verify(data, addressKey, now):
            self.cookiesDemanded += 1
            return CookieDemanded(
                self._cookies.reply(
                    index=remoteIndex,
                    mac1=mac1,
                    psk=key.psk,
                    responder=self._nodeID,
                    address=addressKey,
                    now=now,
                )
            )
        noise = Responder(encoded, key.psk)
        timestamp, bootID, flags = _greeting.unpack(noise.readMessage1(covered[-_NOISE_1_SIZE:]))
        if not key.proves(prologue.initiator):
            raise ProtocolError("identity")
        self._checkTimestamp(prologue, timestamp)
        return Admitted(prologue, key, noise, remoteIndex, bootID, bool(flags & TRUSTS))

    def _checkPrologue(self, prologue: Prologue, transport: str) -> None:
        """
        @raise ProtocolError: it is not one of a handshake with this node.
        """
        if prologue.environment != self._environment:
            raise ProtocolError("environment")
        if prologue.initiator == self._nodeID:
            raise ProtocolError("reflected")
        if prologue.responder != self._nodeID:
            raise ProtocolError("responder")
        if prologue.transport != transport:
            raise ProtocolError("transport")

    def _checkTimestamp(self, prologue: Prologue, timestamp: int) -> None:
        """
        Keep the timestamp of an initiation that is let in.

        @raise ProtocolError: one as late or later was let in before.
        """
        sender = (prologue.initiator, prologue.key, prologue.transport)
        last = self._timestamps.get(sender)
        if last is not None:
            if timestamp <= last:
                raise ProtocolError("replayed initiation")
            del self._timestamps[sender]  # so that it goes to the end, as the one that came last
        elif len(self._timestamps) >= self._capacity:
            del self._timestamps[next(iter(self._timestamps))]
        self._timestamps[sender] = timestamp
