"""
The two queues of an RDMA connection, for messages to send and room to receive, and the one that
tells what has become of them (ibv_post_send(3), ibv_post_recv(3), ibv_poll_cq(3)).

Every work request is made once, for one slot of the pool; to use it again its length is set. A
completion is asked for at every L{SIGNAL_EVERY}th message only, as each one wakes the reactor:
they come in order, so one of them tells of all before it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from ctypes import addressof, byref, c_uint8, c_void_p, sizeof
from errno import EIO
from typing import Final

from twisted.logger import Logger

from bmff.transports.rdmadevice import Device
from bmff.transports.rdmamessages import HEADER
from bmff.transports.rdmapool import SLOT_SIZE, SlotPool
from bmff.transports.rdmaverbs import (
    CMID,
    COMPLETION,
    QPT_RC,
    SEND,
    SIGNALED,
    CompletionChannel,
    QueuePairSettings,
    ReceiveRequest,
    Segment,
    SendRequest,
    Verbs,
)

RECEIVES: Final = 64  # messages that there is room for
SENDS: Final = 64  # messages on their way
TURN: Final = 64  # completions that one turn takes at most
SIGNAL_EVERY: Final = 16  # messages

_SIZE: Final = (RECEIVES + SENDS) * SLOT_SIZE  # bytes
_SEND_BIT: Final = 1 << 32  # in the number of a request: it is one that sends


class QueuePair:
    """
    The queues of one connection and their memory. All of it belongs to the device of an
    identifier, and is to be closed before that.

    @ivar received: receives that have completed since they were posted last, in the order of slots.
    @ivar sent: messages handed to the device.
    @ivar completed: those that are known to have arrived.
    @ivar memory: the slots to receive into, and those to send from behind them.
    @ivar descriptor: readable when something has completed, see L{awake}.
    """

    _log = Logger()

    def __init__(self, verbs: Verbs, device: Device, identifier: int) -> None:
        """
        @param device: that of the identifier.
        @param identifier: a C{struct rdma_cm_id} that has a device and no queues yet.
        @raise OSError: the device has no room for them; nothing is left of them then.
        """
        cmid = CMID.from_address(identifier)
        self.received = 0
        self.sent = 0
        self.completed = 0
        self._verbs = verbs
        self._identifier = identifier
        self._written = 0  # messages
        self._first = 0  # the next slot that is received into
        self._channel = self._completions = self._pair = 0
        self._pool: SlotPool | None = None
        self._device: Device | None = device
        device.enter()
        try:
            self._pool = SlotPool(verbs, cmid.pd, RECEIVES + SENDS)
            self._channel = verbs.ibv_create_comp_channel(cmid.verbs)
            descriptor = CompletionChannel.from_address(self._channel).fd
            os.set_blocking(descriptor, False)
            self._completions = verbs.ibv_create_cq(
                cmid.verbs, RECEIVES + SENDS + 1, None, self._channel, 0
            )
            settings = QueuePairSettings(
                send_cq=self._completions,
                recv_cq=self._completions,
                max_send_wr=SENDS,
                max_recv_wr=RECEIVES,
                max_send_sge=1,
                max_recv_sge=1,
                qp_type=QPT_RC,
            )
            verbs.rdma_create_qp(identifier, cmid.pd, byref(settings))
            self._pair = cmid.qp
            self._operations = device.operations
            self._makeRequests(self._pool)
            receive = self._operations.postReceive
            self._post(receive, self._receives, self._receiveAt, 0, RECEIVES)
            self.rearm()
        except OSError:
            self.close()
            raise
        self.memory = self._pool.memory
        self.descriptor = descriptor

    def _makeRequests(self, pool: SlotPool) -> None:
        segments = (Segment * (RECEIVES + SENDS))()
        receives, sends = (ReceiveRequest * RECEIVES)(), (SendRequest * SENDS)()
        self._requests = (segments, receives, sends)  # the device reads them
        self._receiveAt = [
            addressof(receives) + n * sizeof(ReceiveRequest) for n in range(RECEIVES)
        ]
        self._sendAt = [addressof(sends) + n * sizeof(SendRequest) for n in range(SENDS)]
        # Each has an object of Python, made once, that writes into the same memory.
        self._receives, self._sends = list(receives), list(sends)
        self._segments = list(segments)[RECEIVES:]  # those to send from
        for number, segment in enumerate(segments):
            segment.addr = pool.address + number * SLOT_SIZE
            segment.length, segment.lkey = SLOT_SIZE, pool.key
        for number, receive in enumerate(self._receives):
            receive.wr_id, receive.num_sge = number, 1
            receive.sg_list = addressof(segments) + number * sizeof(Segment)
            receive.next = self._receiveAt[(number + 1) % RECEIVES]
        for number, send in enumerate(self._sends):
            send.wr_id, send.num_sge, send.opcode = number | _SEND_BIT, 1, SEND
            send.sg_list = addressof(self._segments[number])
            send.next = self._sendAt[(number + 1) % SENDS]
            send.send_flags = 0 if (number + 1) % SIGNAL_EVERY else SIGNALED
        self._wrong = c_void_p()
        self._wrongAt = addressof(self._wrong)
        self._table = (c_uint8 * (COMPLETION.size * TURN))()
        self._tableAt = addressof(self._table)
        self._tableView = memoryview(self._table).cast("B")

    # To send.

    @property
    def room(self) -> int:
        """
        Messages that can be written now.
        """
        return SENDS - self._written + self.completed

    def write(self, kind: int, count: int, part: bytes | memoryview) -> None:
        """
        Put a message into the next free slot; there is room.

        @param kind: of the message.
        @param count: the count of credits that goes with it.
        @param part: what is behind the header, as much as a slot has room for at most.
        """
        slot = self._written % SENDS
        at = (RECEIVES + slot) * SLOT_SIZE
        length = HEADER.size + len(part)
        memory = self.memory
        HEADER.pack_into(memory, at, kind, 0, count)
        memory[at + HEADER.size : at + length] = part
        self._segments[slot].length = length
        self._written += 1

    def send(self, signal: bool = False) -> None:
        """
        Hand all that is written to the device.

        @param signal: whether to ask for a completion of the last one, wherever it stands.
        @raise OSError: the connection is broken.
        """
        number = self._written - self.sent
        first = self.sent % SENDS
        last = self._sends[(first + number - 1) % SENDS]
        flags = last.send_flags
        if signal:
            last.send_flags = SIGNALED
        self.sent = self._written
        try:
            self._post(self._operations.postSend, self._sends, self._sendAt, first, number)
        finally:
            last.send_flags = flags

    def _post(
        self,
        operation: Callable[[int, int, int], int],
        requests: Sequence[SendRequest | ReceiveRequest],
        places: Sequence[int],
        first: int,
        number: int,
    ) -> None:
        """
        Hand so many requests of a ring to the device, as one list.
        """
        last = requests[(first + number - 1) % len(requests)]
        following, last.next = last.next, None
        failed = operation(self._pair, places[first], self._wrongAt)
        last.next = following
        if failed:
            raise OSError(failed, os.strerror(failed))

    # To receive.

    def awake(self) -> bool:
        """
        The descriptor was readable: take note, and be woken again by what completes from now on.
        What has completed before that is still to be polled.

        @return: whether there was anything.
        @raise OSError: the device is gone.
        """
        queue, context = c_void_p(), c_void_p()
        try:
            self._verbs.ibv_get_cq_event(self._channel, byref(queue), byref(context))
        except BlockingIOError:
            return False
        # Not later: the queue cannot be closed before.
        self._verbs.ibv_ack_cq_events(self._completions, 1)
        self.rearm()
        return True

    def rearm(self) -> None:
        """
        Be woken by what completes from now on.

        @raise OSError: the device is gone.
        """
        failed = self._operations.requestNotify(self._completions, 0)
        if failed:
            raise OSError(failed, os.strerror(failed))

    def poll(self) -> list[tuple[int, int, int]]:
        """
        What has completed.

        @return: at most L{TURN} rows for L{arrived}: number, status, bytes.
        @raise OSError: the device is gone.
        """
        found = self._operations.pollCQ(self._completions, TURN, self._tableAt)
        if found < 0:
            raise OSError(EIO, os.strerror(EIO))
        return list(COMPLETION.iter_unpack(self._tableView[: found * COMPLETION.size]))

    def arrived(self, number: int) -> int:
        """
        What a row without a fault is about. One of a message sent is taken note of here.

        @return: where the message is in the memory that has come; -1 if one was sent.
        """
        if number >= _SEND_BIT:
            self.completed += ((number - _SEND_BIT - self.completed) % SENDS) + 1
            return -1
        self.received += 1
        return number * SLOT_SIZE

    def repost(self) -> int:
        """
        Make room again for all that was received and has been read.

        @return: how many messages.
        @raise OSError: the connection is broken.
        """
        number, first = self.received, self._first
        if number:
            self.received = 0
            self._first = (first + number) % RECEIVES
            self._post(self._operations.postReceive, self._receives, self._receiveAt, first, number)
        return number

    def statusName(self, status: int) -> str:
        """
        What a fault is called.
        """
        return self._verbs.ibv_wc_status_str(status).decode("ascii", "replace")

    # The end.

    def close(self) -> None:
        """
        Give everything back, once. What fails is gone already, with its device.
        """
        verbs = self._verbs
        if self._pair:
            self._pair = 0
            verbs.rdma_destroy_qp(self._identifier)
        if self._completions:
            completions, self._completions = self._completions, 0
            self._give(verbs.ibv_destroy_cq, completions)
        if self._channel:
            channel, self._channel = self._channel, 0
            self._give(verbs.ibv_destroy_comp_channel, channel)
        pool, self._pool = self._pool, None
        if pool is not None:
            try:
                pool.close()
            except OSError as error:
                self._log.warn("RDMA keeps {size} bytes: {error}", size=_SIZE, error=error)
        device, self._device = self._device, None
        if device is not None:
            device.leave()

    def _give(self, function: Callable[[int], int], what: int) -> None:
        try:
            function(what)
        except OSError as error:
            self._log.warn("RDMA keeps a queue: {error}", error=error)
