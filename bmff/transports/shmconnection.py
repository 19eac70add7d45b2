"""
A path through shared memory: two rings, a doorbell for each end, and the socket over which they
were given, which stays open as the sign of life.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from bmff.errors import ProtocolError, TransportUnavailable
from bmff.ibmff import IPathReceiver
from bmff.sockets.descriptor import (
    CLOSED_THERE,
    LARGEST,
    TURN,
    Connection,
    ConnectionReactor,
)
from bmff.sockets.processend import ProcessEnd, openPeer
from bmff.sockets.ring import SLOTS, RingReader, RingWriter
from bmff.transports.shmhello import ROOM, Agreement, Offer, receiveOffer

LOOK_INTERVAL: Final = 1.0  # seconds between two looks whether packets lie unread
_FEW_RINGS: Final = 16  # that are due to nothing in particular
_MOST_RINGS: Final = 1000  # that may be due
_NOW: Final = socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL
_RING: Final = b"\1"


@implementer(IReadDescriptor)
class Doorbell:
    """
    An eventfd on the reactor.
    """

    def __init__(
        self, reactor: ConnectionReactor, descriptor: int, rung: Callable[[int], object]
    ) -> None:
        """
        @param descriptor: the eventfd, which the agreement owns.
        @param rung: called with the number of rings.
        """
        self._reactor = reactor
        self._descriptor = descriptor
        self._rung = rung

    def start(self) -> None:
        """
        Listen from now on.
        """
        self._reactor.addReader(self)

    def stop(self) -> None:
        """
        Listen no more.
        """
        if self._descriptor >= 0:
            self._reactor.removeReader(self)
            self._descriptor = -1

    def fileno(self) -> int:
        """
        The file descriptor, -1 when stopped.
        """
        return self._descriptor

    def logPrefix(self) -> str:
        """
        What Twisted puts before messages about this descriptor.
        """
        return "Doorbell"

    def doRead(self) -> None:
        """
        Somebody has rung.
        """
        try:
            rings = os.eventfd_read(self._descriptor)
        except BlockingIOError:  # the other end has taken it back
            return
        self._rung(rings)

    def connectionLost(self, reason: Failure) -> None:
        """
        The reactor has let go of it.
        """
        self.stop()


class SharedConnection(Connection):
    """
    Packets in shared memory. Nothing is sent or received until both ends have agreed on it.

    @ivar agreed: whether they have.
    @ivar unrung: rings that the kernel did not take: as many are under way, or the end is near.
    """

    room = ROOM
    _reader: RingReader
    _writer: RingWriter
    _ring: Callable[[], object]  # rings the other end's bell

    def __init__(
        self,
        reactor: ConnectionReactor,
        sock: socket.socket,
        receiver: IPathReceiver,
        *,
        process: int = 0,
        **kw: Any,
    ) -> None:
        """
        @param process: the other end's process, 0 when it is not known.
        @param kw: as L{Connection} takes it.
        """
        super().__init__(reactor, sock, receiver, **kw)
        self.agreed = False
        self.unrung = 0
        self._blocked = True
        self._offer: Offer | None = None
        self._answered: Deferred[None] | None = None
        self._agreement: Agreement | None = None
        self._bell: Doorbell | None = None
        # Rings that the other end may still ring: one for a packet, two each time that it was seen
        # to have made room.
        self._due = _FEW_RINGS
        self._end = ""  # why nothing more is written into the ring
        self._last = 0  # a place in it that nothing honest lies behind then
        self._again: IDelayedCall | None = None  # a turn without a ring
        self._look: IDelayedCall | None = None
        self._seen = -1  # where the last look found packets unread
        self._process = ProcessEnd(reactor, openPeer(sock, process), self._processEnded)

    # To agree.

    def offer(self) -> Deferred[None]:
        """
        Offer memory to the other end, to which this one has connected.

        @return: a C{Deferred} that fires when it has agreed; it fails with L{TransportUnavailable},
            and then, as when it is cancelled, the socket is closed.
        """
        answered = self._answered = Deferred(self._cancelled)
        try:
            self._offer = Offer(self.trusted)
            assert self._socket is not None
            self._offer.send(self._socket)
        except OSError as error:
            self._lose(error.strerror or str(error))
        else:
            self._reactor.addReader(self)
        return answered

    def _cancelled(self, answered: Deferred[None]) -> None:
        self._answered = None
        self._close()

    def _agree(self) -> None:
        """
        Something has come before both ends have agreed.
        """
        assert self._socket is not None
        try:
            if self._offer is None:
                agreement = receiveOffer(self._socket, self.trusted)
            else:
                agreement = self._offer.answered(self._socket.recv(ROOM, socket.MSG_DONTWAIT))
        except BlockingIOError:
            return
        except OSError as error:
            self._lose(error.strerror or str(error))
            return
        except ProtocolError as error:
            self._lose(error.reason)
            return
        self._agreement = agreement
        memory, words = agreement.memory.memory, agreement.memory.words
        self._writer = RingWriter(memory, words, agreement.writes)
        self._reader = RingReader(memory, words, agreement.reads)
        self._put = self._writer.put
        self._ring = partial(self._send, _RING, _NOW)
        if agreement.bell >= 0:
            self._ring = partial(os.eventfd_write, agreement.otherBell, 1)
            self._bell = Doorbell(self._reactor, agreement.bell, self._rung)
        self.agreed = True
        self._blocked = self._waiting = False
        answered, self._answered = self._answered, None
        if answered is None:
            self._begin()
        else:
            answered.callback(None)

    def start(self) -> None:
        """
        Read from now on.
        """
        super().start()
        if self.agreed:
            self._begin()

    def _begin(self) -> None:
        if self._bell is not None:
            self._bell.start()
        self._process.start()
        self._look = self._reactor.callLater(LOOK_INTERVAL, self._looked)
        # Not now: whoever has made this path does not know it yet.
        self._again = self._reactor.callLater(0, self._turn)

    # To send.

    def sendPacket(self, data: bytes) -> bool:
        """
        @see: L{IPathTransport.sendPacket}
        """
        if self._blocked or not 0 < len(data) <= LARGEST:
            return self._refuse()
        try:
            asleep = self._put(data)
            if asleep is None:
                if not self._findRoom():
                    return self._refuse()
                asleep = self._put(data)
            self.packetsSent += 1
            if asleep:
                self._ring()
        except ProtocolError as error:
            self._lose(error.reason)
            return self._refuse()
        except OSError:
            # Full of rings, which will wake it as well; or it is gone, which the reader finds.
            self.unrung += 1
        return True

    def _findRoom(self) -> bool:
        """
        Whether packets can be sent again; if not, the other end rings when it has made room.

        @raise ProtocolError: what it says is impossible.
        """
        writer = self._writer
        seen = writer.seen
        self._blocked = not writer.hasRoom()
        if writer.seen != seen:
            self._due += 2
        return not self._blocked

    def _tellRoom(self) -> None:
        """
        Tell the receiver that it can go on, if it waits and can.
        """
        try:
            found = self._findRoom()
        except ProtocolError as error:
            self._lose(error.reason)
            return
        if found and self._waiting:
            self._waiting = False
            try:
                self.receiver.writable()
            except Exception:
                self._receiverFailed(self._reactor.seconds())

    # To receive.

    def doRead(self) -> None:
        """
        A ring, or the end; before both have agreed, the other's message.
        """
        if not self.agreed:
            self._agree()
            return
        try:
            size = self._receiveInto(self._buffer, 0, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError as error:
            self._ended(error.strerror or str(error))
            return
        if size == 1:
            self._rung(1)
        elif size:
            self._lose("something else than a ring on the socket")
        else:
            self._ended(CLOSED_THERE)

    def _turn(self) -> None:
        """
        A turn that nobody has rung for.
        """
        self._again = None
        self._rung(0)

    def _rung(self, rings: int) -> None:
        """
        The other end has rung: hand over at most L{TURN} packets.
        """
        now = self._reactor.seconds()
        first, reader = self.receiver, self._reader
        count, resting, broken = 0, False, ""
        try:
            while True:
                packet = reader.take()
                if packet is not None:
                    try:
                        self.receiver.packetReceived(packet, now)
                    except Exception:
                        self._receiverFailed(now)
                    count += 1
                    if self._agreement is None:  # closed by whom the packet was for
                        break
                    if reader.tail != reader.head and count < TURN:
                        continue
                if count >= TURN:
                    reader.release()
                    break
                if not reader.rest():
                    resting = True
                    break
        except ProtocolError as error:
            broken = error.reason
        if count:
            self.packetsReceived += count
            self._flush(first, now)
        if self._agreement is not None:
            self._due += count - rings
            ordinary = resting and 0 <= self._due <= _MOST_RINGS
            if not ordinary or broken or self._end or self._blocked:
                self._goOn(resting, broken)
            if count and reader.starved and self._agreement is not None:
                reader.starved = False
                self._tellFreed()

    def _goOn(self, resting: bool, broken: str) -> None:
        """
        After a turn out of the ordinary: go on, or end.

        @param resting: whether the other end rings when there are more packets.
        @param broken: what was wrong in the ring.
        """
        self._due = min(self._due, _MOST_RINGS)
        if self._end and (resting or self._reader.tail >= self._last):
            broken = broken or self._end
        if self._due < 0:
            broken = broken or "rings without need"
        if broken:
            self._lose(broken)
            return
        if not resting and self._again is None:
            self._again = self._reactor.callLater(0, self._turn)
        if self._blocked:
            self._tellRoom()

    def _tellFreed(self) -> None:
        """
        Ring, as the other end waits for room.
        """
        try:
            self._ring()
        except OSError:  # as in sendPacket
            self.unrung += 1

    def _looked(self) -> None:
        """
        Rings can be lost where the other end is not honest: packets that lie unread from one look
        to the next, while the reactor has run, were not rung for.
        """
        self._look = self._reactor.callLater(LOOK_INTERVAL, self._looked)
        waiting = self._reader.waiting and self._again is None
        if waiting and self._seen == self._reader.tail:
            self._lose("packets that nobody rang for")
            return
        self._seen = self._reader.tail if waiting else -1
        if self._blocked:
            self._tellRoom()

    # The end.

    def _processEnded(self) -> None:
        self._ended("the other end's process has ended")

    def _ended(self, reason: str) -> None:
        """
        The other end is gone. What it has written before is still to be read.
        """
        if not self._end:
            self._end = reason
            self._last = self._reader.tail + SLOTS
            self._process.stop()
            self._reactor.removeReader(self)
            self._rung(0)

    def _lose(self, reason: str) -> None:
        """
        @see: L{Connection._lose}
        """
        answered, self._answered = self._answered, None
        if answered is None:
            super()._lose(reason)
        else:
            self._close()
            answered.errback(TransportUnavailable(reason))

    def connectionLost(self, reason: Failure) -> None:
        """
        @see: L{Connection.connectionLost}
        """
        if self._answered is not None:
            self._lose(self._reason)
        else:
            super().connectionLost(reason)

    def _close(self) -> None:
        super()._close()
        self._blocked = True
        self._process.stop()
        for call in (self._again, self._look):
            if call is not None and call.active():
                call.cancel()
        if self._offer is not None:
            self._offer.close()
        if self._agreement is not None:
            agreement, self._agreement = self._agreement, None
            if self._bell is not None:
                self._bell.stop()
            agreement.close()
