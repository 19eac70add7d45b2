"""
Connections on the reactor that carry whole packets: a packet is handed to the kernel at once, not
in the next turn, and read into memory that is used again (socket(7), tcp(7), unix(7) of Linux).

Streams have two bytes in front of each packet, its length in network byte order; sockets of kind
C{SOCK_SEQPACKET} keep the boundaries themselves.
"""

from __future__ import annotations

import socket
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable
from fcntl import ioctl
from termios import FIONREAD
from typing import Final, Protocol

from twisted.internet.interfaces import (
    IDelayedCall,
    IReadDescriptor,
    IReadWriteDescriptor,
    IWriteDescriptor,
)
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from bmff.ibmff import IPathReceiver, IPathTransport
from bmff.sockets.failures import ReceiverFailures
from bmff.sockets.fanout import FULL

LARGEST: Final = 0xFFFF  # bytes of a packet
TURN: Final = 64  # packets with boundaries of their own that one turn drains at most
STREAM_TURN: Final = 16 << 10  # bytes of a stream that one turn drains at most
CLOSED_THERE: Final = "closed by the other end"
CLOSED_HERE: Final = "closed here"


class ConnectionReactor(Protocol):
    """
    What a connection needs of the reactor.
    """

    def addReader(self, reader: IReadDescriptor) -> None: ...

    def removeReader(self, reader: IReadDescriptor) -> None: ...

    def addWriter(self, writer: IWriteDescriptor) -> None: ...

    def removeWriter(self, writer: IWriteDescriptor) -> None: ...

    def callLater(
        self, delay: float, callable: Callable[..., object], *args: object, **kw: object
    ) -> IDelayedCall: ...

    def seconds(self) -> float: ...


@implementer(IPathReceiver)
class Nobody:
    """
    Takes what comes after a connection was given up.
    """

    def packetReceived(self, data: bytes, now: float) -> None:
        """
        Nothing comes of it.
        """

    def flush(self) -> None:
        """
        Nothing is held.
        """

    def writable(self) -> None:
        """
        Nothing is sent.
        """

    def connectionLost(self, reason: str) -> None:
        """
        It was given up before.
        """


NOBODY: Final = Nobody()


@implementer(IPathTransport, IReadWriteDescriptor)
class Connection(ReceiverFailures, ABC):
    """
    A connected socket, which the connection owns from now on; subclasses say how packets are told
    apart.

    A packet is refused unless all before it are in the kernel. Nothing is queued here but the rest
    of the one packet that the kernel took a part of.

    @cvar room: bytes of memory to read into; none of it is touched before it is needed.
    @ivar receiver: takes the packets; may be replaced at any time.
    @ivar name: the transport's name.
    @ivar remote: the other end's address, for people.
    @ivar trusted: whether the kernel vouches for the other end.
    @ivar lost: called with this connection when it is gone, before its receiver is told.
    @ivar packetsReceived: packets handed to the receiver.
    @ivar packetsSent: packets taken by L{sendPacket}.
    @ivar refused: packets that it did not take.
    """

    reliable = True
    ordered = True
    room = 0
    _log = Logger()

    def __init__(
        self,
        reactor: ConnectionReactor,
        sock: socket.socket,
        receiver: IPathReceiver,
        *,
        name: str,
        remote: str,
        trusted: bool = False,
        lost: Callable[[Connection], object] | None = None,
    ) -> None:
        sock.setblocking(False)
        self.receiver = receiver
        self.name = name
        self.remote = remote
        self.trusted = trusted
        self.lost = lost
        self.packetsReceived = 0
        self.packetsSent = 0
        self.refused = 0
        self._reactor = reactor
        self._socket: socket.socket | None = sock
        # Both say EBADF after the socket is closed.
        self._send = sock.send
        self._receiveInto = sock.recv_into
        self._buffer = memoryview(bytearray(self.room))
        self._blocked = False  # the kernel's buffer is full, the reactor tells when it is not
        self._waiting = False  # a packet was refused since
        self._rest = b""  # of the packet that the kernel took a part of
        self._reason = CLOSED_THERE
        self._prefix = f"{name} {remote}"

    def start(self) -> None:
        """
        Read from now on.
        """
        self._reactor.addReader(self)

    def fileno(self) -> int:
        """
        The socket's file descriptor, -1 when closed.
        """
        return -1 if self._socket is None else self._socket.fileno()

    def logPrefix(self) -> str:
        """
        What Twisted puts before messages about this descriptor.
        """
        return self._prefix  # asked for in every turn

    @abstractmethod
    def sendPacket(self, data: bytes) -> bool:
        """
        @see: L{IPathTransport.sendPacket}
        """

    @abstractmethod
    def doRead(self) -> None:
        """
        Drain a bounded part of what is there to the receiver, then flush it.
        """

    def _refuse(self) -> bool:
        self.refused += 1
        self._waiting = self._blocked
        return False

    def _sendFailed(self, error: OSError) -> bool:
        """
        The kernel took nothing of a packet.
        """
        if error.errno in FULL:
            self._awaitRoom()
        else:
            self._hangUp(error)
        return self._refuse()

    def _hangUp(self, error: OSError) -> None:
        """
        Nothing can be sent any more. What has come in before is still to be read, and the reader
        finds the end behind it.
        """
        if self._socket is not None:
            self._reason = error.strerror or str(error)
            self._shutDown(self._socket)

    def _awaitRoom(self) -> None:
        self._blocked = True
        self._reactor.addWriter(self)

    def doWrite(self) -> None:
        """
        The kernel has room: hand it the rest of a packet, then tell the receiver if it waits.
        """
        if self._rest:
            try:
                self._rest = self._rest[self._send(self._rest) :]
            except OSError as error:
                if error.errno not in FULL:
                    self._rest = b""
                    self._reactor.removeWriter(self)
                    self._hangUp(error)
                return
            if self._rest:
                return
        self._blocked = False
        self._reactor.removeWriter(self)
        if self._waiting:
            self._waiting = False
            try:
                self.receiver.writable()
            except Exception:
                self._receiverFailed(self._reactor.seconds())

    def moveTo(self, conversation: object) -> None:
        """
        A connection does not move.
        """

    def loseConnection(self) -> None:
        """
        Close the socket; the receiver is told in a later turn. What the kernel has taken still
        goes out, the rest of a packet that it took a part of does not.
        """
        self._lose(CLOSED_HERE)

    def _lose(self, reason: str) -> None:
        """
        Close the socket; the receiver is told in a later turn.
        """
        if self._socket is not None:
            receiver, self.receiver = self.receiver, NOBODY
            self._close()
            self._reactor.callLater(0, self._tell, receiver, reason)

    def connectionLost(self, reason: Failure) -> None:
        """
        The reactor has let go of the socket, perhaps in its last turn.
        """
        if self._socket is not None:
            receiver, self.receiver = self.receiver, NOBODY
            self._close()
            self._tell(receiver, self._reason)

    def _tell(self, receiver: IPathReceiver, reason: str) -> None:
        """
        Tell those concerned, once, that the connection is gone.
        """
        if self.lost is not None:
            self.lost(self)
        try:
            receiver.connectionLost(reason)
        except Exception:
            self._receiverFailed(self._reactor.seconds())

    def _close(self) -> None:
        if self._socket is not None:
            self._reactor.removeReader(self)
            self._reactor.removeWriter(self)
            self._blocked = self._waiting = False
            self._rest = b""
            self._shutDown(self._socket)
            self._socket.close()
            self._socket = None

    @staticmethod
    def _shutDown(sock: socket.socket) -> None:
        """
        End the conversation even where another process holds a copy of the descriptor.
        """
        try:
            sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # the other end was first

    def _flush(self, first: IPathReceiver, now: float) -> None:
        """
        End the turn for whoever was given something in it.

        @param first: the receiver at the start of the turn.
        """
        try:
            first.flush()
        except Exception:
            self._receiverFailed(now)
        if self.receiver is not first:
            try:
                self.receiver.flush()
            except Exception:
                self._receiverFailed(now)


class StreamConnection(Connection):
    """
    Packets on a stream, their length in front of each.
    """

    # A packet that has come in part stays at the start, with room for a turn behind it.
    room = 2 + LARGEST + STREAM_TURN
    _held = 0  # bytes of that

    def sendPacket(self, data: bytes) -> bool:
        """
        @see: L{IPathTransport.sendPacket}
        """
        size = len(data)
        if self._blocked or not 0 < size <= LARGEST:
            return self._refuse()
        framed = size.to_bytes(2, "big") + data
        try:
            taken = self._send(framed)
        except OSError as error:
            return self._sendFailed(error)
        if taken < len(framed):
            self._rest = framed[taken:]
            self._awaitRoom()
        self.packetsSent += 1
        return True

    def doRead(self) -> None:
        """
        Read once, and hand over all packets that are whole now.
        """
        now = self._reactor.seconds()
        held, buffer = self._held, self._buffer
        try:
            taken = self._receiveInto(buffer[held:] if held else buffer, STREAM_TURN)
        except BlockingIOError:
            return
        except OSError as error:
            self._lose(error.strerror or str(error))
            return
        if taken:
            self._handOver(held + taken, now)
        else:
            self._lose(self._reason)

    def _handOver(self, end: int, now: float) -> None:
        """
        @param end: the end of what is in the buffer.
        """
        first, buffer, at, count = self.receiver, self._buffer, 0, 0
        while end - at > 2:
            start = at + 2
            stop = start + (buffer[at] << 8 | buffer[at + 1])
            if stop > end or stop == start:
                break
            try:
                self.receiver.packetReceived(buffer[start:stop].tobytes(), now)
            except Exception:
                self._receiverFailed(now)
            count += 1
            at = stop
        if count:
            self.packetsReceived += count
            self._flush(first, now)
        held = self._held = end - at
        if held:
            if held >= 2 and not (buffer[at] or buffer[at + 1]):
                self._lose("a packet of no length")
            elif at:
                buffer[:held] = buffer[at:end]


class SequencedConnection(Connection):
    """
    Packets on a socket that keeps their boundaries, C{SOCK_SEQPACKET}.
    """

    room = LARGEST + 1  # the last byte shows what is too long

    def sendPacket(self, data: bytes) -> bool:
        """
        @see: L{IPathTransport.sendPacket}
        """
        if self._blocked or not 0 < len(data) <= LARGEST:
            return self._refuse()
        try:
            self._send(data)
        except OSError as error:
            return self._sendFailed(error)
        self.packetsSent += 1
        return True

    def doRead(self) -> None:
        """
        Read and hand over at most L{TURN} packets.
        """
        now = self._reactor.seconds()
        first, buffer = self.receiver, self._buffer
        count = left = 0
        ended = ""
        while count < TURN:
            try:
                size = self._receiveInto(buffer)
            except BlockingIOError:
                break
            except OSError as error:
                ended = error.strerror or str(error)
                break
            if not 0 < size <= LARGEST:
                ended = "a packet too long" if size else self._reason
                break
            try:
                self.receiver.packetReceived(buffer[:size].tobytes(), now)
            except Exception:
                self._receiverFailed(now)
            count += 1
            # To be told how much is queued costs a third of being told that nothing is.
            left = left - size if left else self._left()
            if left <= 0:
                break
        if count:
            self.packetsReceived += count
            self._flush(first, now)
        if ended:
            self._lose(ended)

    def _left(self) -> int:
        """
        Bytes that are queued and can be read now; 0 also where the kernel does not tell.
        """
        if self._socket is None:  # the receiver closed it
            return 0
        queued = bytearray(4)  # an int of the kernel's
        try:
            ioctl(self._socket, FIONREAD, queued)
        except OSError:
            return 0
        return int.from_bytes(queued, sys.byteorder)
