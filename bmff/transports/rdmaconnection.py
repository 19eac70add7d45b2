"""
A path over RDMA: packets in messages of a reliable connection (RC), as many on their way as the
other end has room for.

The kernel has no part in it once the ends are connected, and nobody but the device of each end
knows what is on its way. So an end that closes says good-bye and waits a moment until that has
arrived, with all before it; a sudden end is told by the communication manager, or by a message
that did not arrive.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from twisted.internet.interfaces import IDelayedCall, IReadDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from bmff.errors import ProtocolError
from bmff.ibmff import IPathReceiver, IPathTransport
from bmff.sockets.descriptor import CLOSED_HERE, CLOSED_THERE, NOBODY, ConnectionReactor
from bmff.sockets.failures import ReceiverFailures
from bmff.transports.rdmacredits import RESERVE, Credits
from bmff.transports.rdmahello import Hello
from bmff.transports.rdmaidentifier import Happening, Identifier
from bmff.transports.rdmamessages import END, GOODBYE, HEADER, LARGEST, MORE, ROOM, Assembly
from bmff.transports.rdmapool import SLOT_SIZE
from bmff.transports.rdmaqueue import RECEIVES, TURN, QueuePair
from bmff.transports.rdmaverbs import DISCONNECTED, ESTABLISHED, TIMEWAIT_EXIT

LINGER_TIME: Final = 1.0  # seconds that a good-bye may take to arrive

_LAST_TURNS: Final = 4  # that look for what came before the end


def partSize(hello: Hello) -> int:
    """
    How much of a packet one message to an end can carry.

    @param hello: that end's.
    @return: bytes.
    @raise ProtocolError: the largest packet would not fit into all its room.
    """
    size = min(SLOT_SIZE, hello.size) - HEADER.size
    if -(-LARGEST // size) > hello.receives - RESERVE:
        raise ProtocolError("too little room for a packet")
    return size


@implementer(IPathTransport, IReadDescriptor)
class RDMAConnection(ReceiverFailures):
    """
    One connection; it owns its identifier and queues.

    @ivar receiver: takes the packets; may be replaced at any time.
    @ivar remote: the other end's address, for people.
    @ivar lost: called with this connection when its receiver was told and all is given back.
    @ivar packetsReceived: packets handed to the receiver.
    @ivar packetsSent: packets taken by L{sendPacket}.
    @ivar refused: packets that it did not take.
    """

    name = "rdma"
    reliable = True
    ordered = True
    trusted = False
    _log = Logger()

    def __init__(
        self,
        reactor: ConnectionReactor,
        identifier: Identifier,
        queue: QueuePair,
        hello: Hello,
        receiver: IPathReceiver,
        remote: str,
    ) -> None:
        """
        @param hello: the other end's.
        @raise ProtocolError: it has too little room.
        """
        self.receiver = receiver
        self.remote = remote
        self.lost: Callable[[RDMAConnection], object] | None = None
        self.packetsReceived = 0
        self.packetsSent = 0
        self.refused = 0
        self._reactor = reactor
        self._identifier = identifier
        self._queue: QueuePair | None = queue
        self._credits = Credits(hello.receives, RECEIVES)
        self._part = partSize(hello)
        self._assembly = Assembly()
        self._wanted = 0  # messages of the packet that was refused last
        self._open = True
        self._told = False
        self._goodbye = 0  # messages sent until after our good-bye, 0 before that
        self._heardGoodbye = False
        self._again: IDelayedCall | None = None  # a turn that nothing wakes us for
        self._end: IDelayedCall | None = None
        self._prefix = f"{self.name} {remote}"
        identifier.watcher = self._happened

    def start(self) -> None:
        """
        Read from now on.
        """
        self._reactor.addReader(self)

    def fileno(self) -> int:
        """
        The descriptor that tells of completions, -1 when closed.
        """
        return -1 if self._queue is None else self._queue.descriptor

    def logPrefix(self) -> str:
        """
        What Twisted puts before messages about this descriptor.
        """
        return self._prefix

    def moveTo(self, conversation: object) -> None:
        """
        A connection does not move.
        """

    # To send.

    def sendPacket(self, data: bytes) -> bool:
        """
        @see: L{IPathTransport.sendPacket}
        """
        size, part, queue = len(data), self._part, self._queue
        number = 1 if size <= part else -(-size // part)
        if not self._open or queue is None or not 0 < size <= LARGEST:
            self.refused += 1
            return False
        if number > self._room(queue):
            self.refused += 1
            self._wanted = number
            return False
        report = self._credits.report
        if number == 1:
            queue.write(END, report(), data)
        else:
            view = memoryview(data)
            for at in range(0, size - part, part):
                queue.write(MORE, report(), view[at : at + part])
            queue.write(END, report(), view[(number - 1) * part :])
        try:
            queue.send()
        except OSError as error:
            self._lose(error.strerror or str(error))
            self.refused += 1
            return False
        self.packetsSent += 1
        return True

    def _room(self, queue: QueuePair) -> int:
        """
        Messages of packets that can be sent now.
        """
        return min(self._credits.room, queue.room - RESERVE)

    def _tell(self, queue: QueuePair, kind: int) -> bool:
        """
        Send a message without a packet.

        @return: whether there is room for it.
        @raise OSError: the connection is broken.
        """
        if self._credits.controlRoom <= 0 or queue.room <= 0:
            return False
        queue.write(kind, self._credits.report(), b"")
        queue.send(signal=kind == GOODBYE)
        return True

    # To receive.

    def doRead(self) -> None:
        """
        Something has completed: hand over at most L{TURN} messages, and go on.
        """
        queue = self._queue
        try:
            if queue is None or not queue.awake():
                return
        except OSError as error:
            self._lose(error.strerror or str(error))
            return
        self._turn()

    def _turn(self) -> bool:
        """
        One turn.

        @return: whether there may be more.
        """
        if self._again is not None:
            if self._again.active():
                self._again.cancel()
            self._again = None
        queue = self._queue
        if queue is None:
            return False
        now = self._reactor.seconds()
        first, handed, found, broken = self.receiver, self.packetsReceived, 0, ""
        try:
            rows = queue.poll()
            found = len(rows)
            broken = self._take(queue, rows, now)
            if not broken:
                # Before the receivers go on: what they send says so.
                self._credits.returned += queue.repost()
        except ProtocolError as error:
            broken = error.reason
        except OSError as error:
            broken = error.strerror or str(error)
        if self.packetsReceived != handed:
            self._flush(first, now)
        broken = broken or self._goOn(queue)
        if broken:
            self._lose(broken)
            return False
        more = found == TURN
        if more:
            # The queue does not wake us for what had completed before it was asked to.
            self._again = self._reactor.callLater(0, self._turn)
        return more

    def _take(self, queue: QueuePair, rows: list[tuple[int, int, int]], now: float) -> str:
        """
        Take note of what has completed, and hand the packets over.

        @return: why the connection is at its end, empty if it is not.
        @raise ProtocolError: a message is impossible.
        """
        for number, status, length in rows:
            if status:
                return queue.statusName(status)
            at = queue.arrived(number)
            packet = None if at < 0 else self._message(queue, at, length)
            if packet is not None:
                self.packetsReceived += 1
                try:
                    self.receiver.packetReceived(packet, now)
                except Exception:
                    self._receiverFailed(now)
            elif self._heardGoodbye:
                return CLOSED_THERE
        return ""

    def _message(self, queue: QueuePair, at: int, length: int) -> bytes | None:
        """
        A message has come.

        @return: the packet that it ends, if it does.
        @raise ProtocolError: it is impossible.
        """
        if length < HEADER.size:
            raise ProtocolError("a message without a header")
        memory = queue.memory
        kind, _, told = HEADER.unpack_from(memory, at)
        self._credits.reported(told)
        packet = self._assembly.packet(kind, bytes(memory[at + HEADER.size : at + length]))
        self._heardGoodbye = kind == GOODBYE
        return packet

    def _goOn(self, queue: QueuePair) -> str:
        """
        After a turn: say what is to be said, and tell a receiver that waits.

        @return: why the connection is broken, empty if it is not.
        """
        try:
            if not self._open:
                self._sayGoodbye(queue)
                return ""
            if self._credits.due:
                self._tell(queue, ROOM)
        except OSError as error:
            return error.strerror or str(error)
        if 0 < self._wanted <= self._room(queue):
            self._wanted = 0
            try:
                self.receiver.writable()
            except Exception:
                self._receiverFailed(self._reactor.seconds())
        return ""

    def _flush(self, first: IPathReceiver, now: float) -> None:
        """
        End the turn for whoever was given something in it.

        @param first: the receiver at the start of the turn.
        """
        for receiver in (first,) if self.receiver is first else (first, self.receiver):
            try:
                receiver.flush()
            except Exception:
                self._receiverFailed(now)

    # The end.

    def loseConnection(self) -> None:
        """
        @see: L{IPathTransport.loseConnection}
        """
        queue = self._queue
        if not self._open or queue is None:
            return
        self._shut(CLOSED_HERE)
        self._end = self._reactor.callLater(LINGER_TIME, self._release)
        try:
            self._sayGoodbye(queue)
        except OSError:  # it is broken, and nobody waits for the reason
            self._endSoon()

    def connectionLost(self, reason: Failure) -> None:
        """
        The reactor has let go of the descriptor, perhaps in its last turn.
        """
        if self._open:
            self._open = False
            receiver, self.receiver = self.receiver, NOBODY
            self._tellLost(receiver, CLOSED_HERE)
        self._release()

    def _happened(self, happening: Happening) -> None:
        """
        The communication manager has news.
        """
        if happening.kind in (ESTABLISHED, TIMEWAIT_EXIT):
            return
        if happening.kind == DISCONNECTED:
            # What was sent before that has come, but perhaps nothing has told us of it yet.
            for _ in range(_LAST_TURNS):
                if not self._turn():
                    break
        self._lose(happening.reason)

    def _lose(self, reason: str) -> None:
        """
        It is broken; the receiver is told in a later turn.
        """
        if self._open:
            self._shut(reason)
        self._endSoon()

    def _shut(self, reason: str) -> None:
        """
        Neither take nor hand over anything any more; the receiver is told in a later turn.
        """
        self._open = False
        receiver, self.receiver = self.receiver, NOBODY
        self._reactor.callLater(0, self._tellLost, receiver, reason)

    def _sayGoodbye(self, queue: QueuePair) -> None:
        """
        Tell the other end that this one is closed, as soon as there is room to; end when it knows.

        @raise OSError: the connection is broken.
        """
        if self._goodbye:
            if queue.completed >= self._goodbye:
                self._endSoon()
        elif self._tell(queue, GOODBYE):
            self._goodbye = queue.sent

    def _endSoon(self) -> None:
        """
        Give everything back in a later turn: this one may still be reading.
        """
        if self._queue is not None:
            if self._end is not None and self._end.active():
                self._end.cancel()
            self._end = self._reactor.callLater(0, self._release)

    def _tellLost(self, receiver: IPathReceiver, reason: str) -> None:
        """
        Tell the receiver, once, that the connection is gone.
        """
        self._told = True
        try:
            receiver.connectionLost(reason)
        except Exception:
            self._receiverFailed(self._reactor.seconds())
        self._finish()

    def _release(self) -> None:
        """
        Give everything back, once.
        """
        queue, self._queue = self._queue, None
        if queue is None:
            return
        for call in (self._again, self._end):
            if call is not None and call.active():
                call.cancel()
        self._reactor.removeReader(self)
        # In this order: what the queues are made on is the identifier's.
        self._identifier.disconnect()
        queue.close()
        self._identifier.close()
        self._finish()

    def _finish(self) -> None:
        if self._told and self._queue is None and self.lost is not None:
            self.lost(self)
