"""
The connections of vSockets: records on C{SOCK_SEQPACKET}, and streams whose packets may go as
datagrams beside them (vsock(7) of Linux).

Linux has sent a part of a record when it says that there is no room for it: as much as there was
room for, and without the record's end (net/vmw_vsock/af_vsock.c; seen with 6.1). The next record is
then stuck to that part. So each packet has one byte behind it that says it is whole, and after a
refusal a record of the other byte goes out before anything else: what it ends is void.
"""

from __future__ import annotations

import errno
import socket
from abc import ABC
from collections.abc import Callable
from struct import Struct
from typing import Any, Final, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall

from bmff.errors import TransportUnavailable
from bmff.ibmff import IPathReceiver
from bmff.sockets.descriptor import (
    LARGEST,
    TURN,
    Connection,
    ConnectionReactor,
    StreamConnection,
)
from bmff.sockets.fanout import FULL

LAST_WORDS: Final = 1.0  # seconds to read what came from an end that is gone
WHOLE: Final = b"\1"
VOID: Final = b"\0"

# No length that a packet has on a stream, what it is, and where and under which number datagrams
# are to be sent to who says so.
_OFFER: Final = Struct("!H8sII")
_GONE: Final = (errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN)
_NO_LENGTH: Final = 0
_MAGIC: Final = b"bmff-vs1"


class LastWords(Connection, ABC):
    """
    A connection whose other end can have the last word. Where this end has closed a vSocket for
    both directions the kernel forgets what has come in and was not read, so it is left open.
    """

    _end: IDelayedCall | None = None

    def _hangUp(self, error: OSError) -> None:
        """
        @see: L{Connection._hangUp}
        """
        if error.errno not in _GONE:
            super()._hangUp(error)
        elif self._socket is not None and self._end is None:
            reason = self._reason = error.strerror or str(error)
            self._end = self._reactor.callLater(LAST_WORDS, self._lose, reason)

    def _close(self) -> None:
        if self._end is not None and self._end.active():
            self._end.cancel()
        super()._close()


class RecordConnection(LastWords):
    """
    Packets on C{SOCK_SEQPACKET}, each a record of its own.

    @ivar voids: records that were none: what is left of packets that the kernel refused.
    """

    # The longest void record is all but the end of a packet; one byte more shows what is too long.
    room = LARGEST + len(WHOLE) + 1

    def __init__(self, *args: Any, **kw: Any) -> None:
        super().__init__(*args, **kw)
        self.voids = 0

    def sendPacket(self, data: bytes) -> bool:
        """
        @see: L{bmff.ibmff.IPathTransport.sendPacket}
        """
        if self._blocked or not 0 < len(data) <= LARGEST:
            return self._refuse()
        try:
            self._send(data + WHOLE)
        except OSError as error:
            if error.errno in FULL:
                self._rest = VOID  # sent as soon as there is room
            return self._sendFailed(error)
        self.packetsSent += 1
        return True

    def doRead(self) -> None:
        """
        Read at most L{TURN} records and hand over what is whole.
        """
        now = self._reactor.seconds()
        first, buffer = self.receiver, self._buffer
        count = 0
        ended = ""
        for _ in range(TURN):
            try:
                size = self._receiveInto(buffer)
            except BlockingIOError:
                break
            except OSError as error:
                ended = error.strerror or str(error)
                break
            if not 0 < size < self.room:
                ended = "a packet too long" if size else self._reason
                break
            last = buffer[size - 1]
            if last == VOID[0]:
                self.voids += 1
                continue
            if last != WHOLE[0] or size == len(WHOLE):
                ended = "a record that is no packet"
                break
            try:
                self.receiver.packetReceived(buffer[: size - 1].tobytes(), now)
            except Exception:
                self._receiverFailed(now)
            count += 1
            if self._socket is None:  # the receiver closed it
                break
        if count:
            self.packetsReceived += count
            self._flush(first, now)
        if ended:
            self._lose(ended)


class Datagrams(Protocol):
    """
    A node's socket for datagrams; see L{bmff.transports.vsockdatagrams}.
    """

    @property
    def port(self) -> int: ...

    def doRead(self) -> None: ...

    def register(self, hearer: AgreeingConnection, cid: int) -> int: ...

    def forget(self, number: int) -> None: ...

    def sender(self, cid: int, port: int, number: int) -> Callable[[bytes], bool]: ...


class AgreeingConnection(LastWords, StreamConnection):
    """
    Packets on a stream, until both ends agree to send them as datagrams. The stream is then the
    sign of life, and carries nothing more.
    """

    def __init__(
        self,
        reactor: ConnectionReactor,
        sock: socket.socket,
        receiver: IPathReceiver,
        *,
        datagrams: Datagrams | None,
        cid: int,
        **kw: Any,
    ) -> None:
        """
        @param datagrams: the node's, if it has any.
        @param cid: the other end's context ID.
        @param kw: as L{Connection} takes it.
        """
        super().__init__(reactor, sock, receiver, **kw)
        self._datagrams = datagrams
        self._cid = cid
        self._number = 0  # under which this end hears
        self._beside: Callable[[bytes], bool] | None = None  # sends a datagram to the other end
        self._begun = False  # something has come on the stream
        self._agreed: Deferred[None] | None = None

    def offer(self) -> Deferred[None]:
        """
        Offer datagrams, as the first thing that is said.

        @return: a C{Deferred} that fires when the other end takes them; it fails with
            L{TransportUnavailable} when that end closes the connection or says something else.
        """
        agreed = self._agreed = Deferred(lambda _: self.loseConnection())
        if self._datagrams is None:
            self._lose("there are no datagrams here")
        else:
            self._speak(self._datagrams)
        return agreed

    def _speak(self, datagrams: Datagrams) -> None:
        """
        Say where this end hears datagrams.
        """
        self._number = datagrams.register(self, self._cid)
        message = _OFFER.pack(_NO_LENGTH, _MAGIC, datagrams.port, self._number)
        try:
            taken = self._send(message)
        except OSError as error:
            self._hangUp(error)
            return
        if taken < len(message):
            self._lose("no room for the first words")

    def sendPacket(self, data: bytes) -> bool:
        """
        @see: L{bmff.ibmff.IPathTransport.sendPacket}
        """
        if self._beside is None:
            return super().sendPacket(data)
        if self._socket is None or not 0 < len(data) <= LARGEST or not self._beside(data):
            return self._refuse()
        self.packetsSent += 1
        return True

    def doRead(self) -> None:
        """
        Read from the stream; where that is only the sign of life, what has come before it ended.
        """
        if self._beside is not None and self._datagrams is not None:
            self._datagrams.doRead()
        super().doRead()

    def datagramReceived(self, data: bytes, now: float) -> None:
        """
        One packet has come beside the stream.
        """
        self.packetsReceived += 1
        try:
            self.receiver.packetReceived(data, now)
        except Exception:
            self._receiverFailed(now)

    def datagramsRead(self, now: float) -> None:
        """
        These were all of this turn.
        """
        self._flush(self.receiver, now)

    def _handOver(self, end: int, now: float) -> None:
        """
        @see: L{StreamConnection._handOver}
        """
        if self._beside is not None:
            self._lose("more on the stream than there should be")
            return
        datagrams = self._datagrams
        if not self._begun and datagrams is not None:
            begins = self._buffer[: min(2, end)].tobytes()
            if begins == bytes(len(begins)):  # perhaps the words of an offer
                self._held = end
                if end >= _OFFER.size:
                    self._agree(end, datagrams)
                return
            if self._agreed is not None:
                self._lose("no offer of datagrams")
                return
        self._begun = True
        super()._handOver(end, now)

    def _agree(self, end: int, datagrams: Datagrams) -> None:
        """
        The other end has said where it hears datagrams.
        """
        _, magic, port, number = _OFFER.unpack_from(self._buffer)
        if magic != _MAGIC or end > _OFFER.size:
            self._lose("no offer of datagrams")
            return
        self._held = 0
        self._begun = True
        if self._agreed is None:
            self._speak(datagrams)
        self._beside = datagrams.sender(self._cid, port, number)
        # The kernel may drop them: the link above repairs that, as on UDP.
        self.reliable = self.ordered = False
        agreed, self._agreed = self._agreed, None
        if agreed is not None:
            agreed.callback(None)

    def _tell(self, receiver: IPathReceiver, reason: str) -> None:
        agreed, self._agreed = self._agreed, None
        super()._tell(receiver, reason)
        if agreed is not None and not agreed.called:
            agreed.errback(TransportUnavailable(f"no agreement on datagrams: {reason}"))

    def _close(self) -> None:
        if self._socket is not None and self._datagrams is not None and self._number:
            self._datagrams.forget(self._number)
        super()._close()
