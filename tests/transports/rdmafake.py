"""
RDMA without a device: the functions of C{bmff.transports.rdmaverbs} with the same structures in the
same memory, and a network that is a dictionary.

It is as strict as the libraries are: what is closed in a wrong order, closed twice, or used after
that raises or shows in L{FakeVerbs.left}.
"""

from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Iterator
from ctypes import (
    addressof,
    create_string_buffer,
    memmove,
    string_at,
)
from typing import Any

from bmff.sockets.addresses import packAddress
from bmff.transports.rdmaaddress import keyOf, sockaddrOf
from bmff.transports.rdmaverbs import (
    ADDR_ERROR,
    ADDR_RESOLVED,
    CMID,
    COMPLETION,
    CONNECT_REQUEST,
    DEVICE_REMOVAL,
    DISCONNECTED,
    ESTABLISHED,
    REJECTED,
    ROUTE_RESOLVED,
    SIGNALED,
    CMEvent,
    CompletionChannel,
    Context,
    EventChannel,
    MemoryRegion,
    ReceiveRequest,
    Segment,
    SendRequest,
)

HOST = "192.0.2.1"  # of the device
FLUSHED, NO_ANSWER, NO_ROOM, TOO_LONG = 5, 12, 13, 1  # enum ibv_wc_status
STATUSES = {
    FLUSHED: b"Work Request Flushed Error",
    NO_ANSWER: b"transport retry counter exceeded",
    NO_ROOM: b"RNR retry counter exceeded",
    TOO_LONG: b"local length error",
}
ASKED, ANSWERED, REFUSED = 56, 196, 148  # bytes of private data on the network
PATIENT = os.EFD_SEMAPHORE | os.EFD_NONBLOCK | os.EFD_CLOEXEC


class CQ:
    """
    A completion queue and its channel.

    @ivar rows: completions.
    @ivar events: those that were read and not acknowledged.
    """

    def __init__(self, channel: CompletionChannel, entries: int) -> None:
        self.channel = channel
        self.entries = entries
        self.rows: deque[bytes] = deque()
        self.events = 0
        self.armed = False
        self.memory = create_string_buffer(8)  # its place is the queue's name

    def push(self, number: int, status: int = 0, length: int = 0) -> None:
        """
        Something has completed.
        """
        if len(self.rows) >= self.entries:
            raise AssertionError("completions are lost")
        self.rows.append(COMPLETION.pack(number, status, length))
        if self.armed:
            self.armed = False
            os.eventfd_write(self.channel.fd, 1)


class Pair:
    """
    A queue pair.
    """

    def __init__(self, completions: CQ) -> None:
        self.completions = completions
        self.receives: deque[tuple[int, int, int]] = deque()
        self.other: Pair | None = None
        self.broken = False

    def fail(self) -> None:
        """
        Give back everything that is posted.
        """
        self.broken = True
        while self.receives:
            self.completions.push(self.receives.popleft()[0], FLUSHED)


class FakeVerbs:
    """
    One host with one device; as many transports as a test wants.

    @ivar handed: the bytes of every message, in order.
    @ivar refuses: names of functions that fail, each with the error's number.
    @ivar removed: whether the device is gone.
    """

    def __init__(self) -> None:
        self.handed: list[bytes] = []
        self.refuses: dict[str, int] = {}
        self.removed = False
        self.users: dict[int, int] = {}
        # The descriptors that the library keeps.
        self._context = Context()
        self._context.cmd_fd = os.eventfd(0)
        self._context.async_fd = os.eventfd(0)
        self._kept: dict[int, Any] = {}  # by its address
        self._events: dict[int, deque[CMEvent]] = {}  # by channel
        self._places: dict[int, bytes] = {}  # where identifiers listen
        self._others: dict[int, int] = {}  # identifiers that are connected
        self._asking: dict[int, int] = {}  # those that ask, by what was made for them
        self._pairs: dict[int, Pair] = {}  # by identifier
        self._next = 49152

    @property
    def left(self) -> list[str]:
        """
        The kinds of all that was not given back.
        """
        return sorted(type(one).__name__ for one in self._kept.values())

    def remove(self) -> None:
        """
        Take the device away.
        """
        self.removed = True
        nowhere = [packAddress(host, 0)[4:] for host in ("0.0.0.0", "::")]
        bound = [one for one, key in self._places.items() if key[4:] not in nowhere]
        for address in [*self._pairs, *bound]:
            self._happen(address, DEVICE_REMOVAL)

    @property
    def open(self) -> bool:
        """
        Whether the process still keeps the device.
        """
        nothing = os.stat(os.devnull)
        kept = (self._context.cmd_fd, self._context.async_fd)
        return not all(os.path.samestat(os.fstat(each), nothing) for each in kept)

    def close(self) -> None:
        """
        Close what the library keeps.
        """
        os.close(self._context.cmd_fd)
        os.close(self._context.async_fd)

    def _keep(self, address: int, one: Any) -> int:
        self._kept[address] = one
        return address

    def _give(self, address: int, kind: type) -> Any:
        one = self._kept.pop(address)
        if not isinstance(one, kind):
            raise AssertionError(f"{one} is no {kind}")
        return one

    def _may(self, name: str) -> None:
        if number := self.refuses.get(name):
            raise OSError(number, os.strerror(number))

    def _happen(
        self, address: int, kind: int, status: int = 0, data: bytes = b"", listener: int = 0
    ) -> None:
        """
        Something has happened to an identifier.
        """
        cmid: CMID = self._kept[listener or address]
        memory = create_string_buffer(data, len(data)) if data else None
        event = CMEvent(address, listener, kind, status, None, len(data))
        if memory is not None:
            event.private_data = addressof(memory)
        self._events[cmid.channel].append(event)
        self._kept[addressof(event)] = (event, memory)
        os.eventfd_write(self._kept[cmid.channel].fd, 1)

    # The communication manager.

    def rdma_create_event_channel(self) -> int:
        self._may("rdma_create_event_channel")
        channel = EventChannel(os.eventfd(0, PATIENT))
        self._events[addressof(channel)] = deque()
        return self._keep(addressof(channel), channel)

    def rdma_destroy_event_channel(self, address: int) -> None:
        for event in self._events.pop(address):
            del self._kept[addressof(event)]
        os.close(self._give(address, EventChannel).fd)

    def rdma_create_id(self, channel: int, place: Any, context: None, space: int) -> int:
        self._may("rdma_create_id")
        cmid = CMID(channel=channel, ps=space)
        place._obj.value = self._keep(addressof(cmid), cmid)
        return 0

    def rdma_destroy_id(self, address: int) -> int:
        if address in self._pairs:
            raise AssertionError("its queues are not closed")
        self._hangUp(address)
        self._places.pop(address, None)
        asking = self._asking.pop(address, 0)
        if asking in self._kept:
            self._happen(asking, REJECTED, 28)
        cmid = self._give(address, CMID)
        waiting = self._events[cmid.channel]
        for event in [one for one in waiting if one.id == address]:
            waiting.remove(event)
            del self._kept[addressof(event)]
        return 0

    def rdma_bind_addr(self, address: int, sockaddr: bytes) -> int:
        self._may("rdma_bind_addr")
        if self.removed:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
        key = keyOf(sockaddr)
        port = int.from_bytes(key[2:4], "big")
        if port and key in self._places.values():
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
        if key not in [packAddress(host, port) for host in (HOST, "0.0.0.0", "::")]:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
        self._places[address] = key
        return 0

    def rdma_listen(self, address: int, backlog: int) -> int:
        return 0

    def rdma_resolve_addr(self, address: int, source: None, sockaddr: bytes, limit: int) -> int:
        self._may("rdma_resolve_addr")
        cmid: CMID = self._kept[address]
        memmove(addressof(cmid) + CMID.dst_addr.offset, sockaddr, len(sockaddr))
        port = int.from_bytes(sockaddr[2:4], "big")
        if keyOf(sockaddr) != packAddress(HOST, port):
            self._happen(address, ADDR_ERROR, -errno.EHOSTUNREACH)
            return 0
        self._enter(cmid)
        self._happen(address, ADDR_RESOLVED)
        return 0

    def _enter(self, cmid: CMID) -> None:
        """
        Now it is known which device it has.
        """
        cmid.verbs = addressof(self._context)
        cmid.pd = addressof(self._context)
        here = sockaddrOf(packAddress(HOST, self._next))
        memmove(addressof(cmid) + CMID.src_addr.offset, here, len(here))

    def rdma_resolve_route(self, address: int, limit: int) -> int:
        self._happen(address, ROUTE_RESOLVED)
        return 0

    def rdma_connect(self, address: int, settings: Any) -> int:
        cmid: CMID = self._kept[address]
        key = keyOf(bytes(cmid.dst_addr))
        wildcard = packAddress("0.0.0.0", int.from_bytes(key[2:4], "big"))
        for listener, place in self._places.items():  # noqa: B007
            if place in (key, wildcard):
                break
        else:
            self._happen(address, REJECTED, 8)
            return 0
        child = CMID(channel=self._kept[listener].channel, ps=cmid.ps)
        self._enter(child)
        self._next += 1
        here = sockaddrOf(packAddress(HOST, self._next))
        memmove(addressof(child) + CMID.dst_addr.offset, here, len(here))
        self._asking[self._keep(addressof(child), child)] = address
        data = self._private(settings, ASKED)
        self._happen(addressof(child), CONNECT_REQUEST, 0, data, listener)
        return 0

    @staticmethod
    def _private(settings: Any, size: int) -> bytes:
        found = settings._obj
        if found.private_data_len > size:
            raise AssertionError("too much private data")
        return string_at(found.private_data, found.private_data_len).ljust(size, b"\0")

    def rdma_accept(self, address: int, settings: Any) -> int:
        self._may("rdma_accept")
        asking = self._asking.pop(address)
        if asking not in self._pairs:
            raise OSError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
        self._others[address], self._others[asking] = asking, address
        first, second = self._pairs[address], self._pairs[asking]
        first.other, second.other = second, first
        self._happen(asking, ESTABLISHED, 0, self._private(settings, ANSWERED))
        self._happen(address, ESTABLISHED)
        return 0

    def rdma_reject(self, address: int, data: bytes, size: int) -> int:
        asking = self._asking.pop(address)
        if asking in self._kept:
            self._happen(asking, REJECTED, 28, data[:size].ljust(REFUSED, b"\0"))
        return 0

    def rdma_disconnect(self, address: int) -> int:
        if address not in self._others:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        self._hangUp(address)
        return 0

    def _hangUp(self, address: int) -> None:
        other = self._others.pop(address, 0)
        if address in self._pairs:
            self._pairs[address].fail()
        if self._others.pop(other, 0):
            self._happen(other, DISCONNECTED)

    def rdma_get_cm_event(self, channel: int, place: Any) -> int:
        os.eventfd_read(self._kept[channel].fd)
        if not self._events[channel]:  # it was of an identifier that is closed
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        place._obj.contents = self._events[channel].popleft()
        return 0

    def rdma_ack_cm_event(self, place: Any) -> int:
        del self._kept[addressof(place.contents)]
        return 0

    def rdma_set_option(self, address: int, level: int, name: int, data: bytes, size: int) -> int:
        self._may("rdma_set_option")
        return 0

    # Queues.

    def rdma_create_qp(self, address: int, domain: int, settings: Any) -> int:
        self._may("rdma_create_qp")
        self._pairs[address] = Pair(self._kept[settings._obj.send_cq])
        self._kept[address].qp = address
        return 0

    def rdma_destroy_qp(self, address: int) -> None:
        pair = self._pairs.pop(address)
        pair.broken = True
        if pair.other is not None:
            pair.other.other = None

    def ibv_create_comp_channel(self, context: int) -> int:
        self._may("ibv_create_comp_channel")
        channel = CompletionChannel(context, os.eventfd(0, PATIENT), 0)
        return self._keep(addressof(channel), channel)

    def ibv_destroy_comp_channel(self, address: int) -> int:
        channel = self._give(address, CompletionChannel)
        if channel.refcnt:
            raise AssertionError("its queue is not closed")
        os.close(channel.fd)
        return 0

    def ibv_create_cq(self, context: int, size: int, name: None, channel: int, vector: int) -> int:
        self._may("ibv_create_cq")
        queue = CQ(self._kept[channel], size)
        queue.channel.refcnt += 1
        return self._keep(addressof(queue.memory), queue)

    def ibv_destroy_cq(self, address: int) -> int:
        queue = self._give(address, CQ)
        queue.channel.refcnt -= 1
        if queue.events or any(pair.completions is queue for pair in self._pairs.values()):
            raise AssertionError("it is in use")
        return 0

    def ibv_get_cq_event(self, channel: int, queue: Any, context: Any) -> int:
        os.eventfd_read(self._kept[channel].fd)
        for address, one in self._kept.items():
            if isinstance(one, CQ) and one.channel is self._kept[channel]:
                queue._obj.value = address
                one.events += 1
        return 0

    def ibv_ack_cq_events(self, queue: int, number: int) -> None:
        self._kept[queue].events -= number

    def ibv_reg_mr(self, domain: int, address: int, size: int, access: int) -> int:
        self._may("ibv_reg_mr")
        region = MemoryRegion(addr=address, length=size, lkey=7)
        return self._keep(addressof(region), region)

    def ibv_dereg_mr(self, address: int) -> int:
        self._give(address, MemoryRegion)
        return 0

    def ibv_wc_status_str(self, status: int) -> bytes:
        return STATUSES[status]

    # Verbs that are inline in C.

    def operations(self, context: int) -> FakeVerbs:
        if context != addressof(self._context):
            raise AssertionError("another device")
        return self

    def pollCQ(self, queue: int, number: int, table: int) -> int:
        if self.removed:
            return -1
        rows = self._kept[queue].rows
        found = min(number, len(rows))
        for place in range(found):
            memmove(table + place * COMPLETION.size, rows.popleft(), COMPLETION.size)
        return found

    def requestNotify(self, queue: int, solicited: int) -> int:
        self._kept[queue].armed = True
        return self.refuses.get("requestNotify", 0)

    @staticmethod
    def _chain(kind: type[Any], address: int | None) -> Iterator[tuple[Any, Segment]]:
        while address:
            request = kind.from_address(address)
            segment = Segment.from_address(request.sg_list)
            if request.num_sge != 1 or segment.lkey != 7:
                raise AssertionError("that is not registered")
            yield request, segment
            address = request.next

    def postReceive(self, pair: int, first: int, wrong: int) -> int:
        if number := self.refuses.get("postReceive"):
            return number
        posted = self._pairs[pair]
        for request, segment in self._chain(ReceiveRequest, first):
            posted.receives.append((request.wr_id, segment.addr, segment.length))
        return 0

    def postSend(self, pair: int, first: int, wrong: int) -> int:
        if number := self.refuses.get("postSend"):
            return number
        sender = self._pairs[pair]
        for request, segment in self._chain(SendRequest, first):
            data = string_at(segment.addr, segment.length)
            status = self._carry(sender, data)
            if status:
                sender.completions.push(request.wr_id, status)
                sender.fail()
            elif request.send_flags & SIGNALED:
                sender.completions.push(request.wr_id)
        return 0

    def _carry(self, sender: Pair, data: bytes) -> int:
        """
        Bring a message to the other end.

        @return: the status.
        """
        other = sender.other
        if sender.broken:
            return FLUSHED
        if other is None:
            return NO_ANSWER
        if not other.receives:
            return NO_ROOM
        number, address, size = other.receives.popleft()
        if len(data) > size:
            return TOO_LONG
        memmove(address, data, len(data))
        other.completions.push(number, 0, len(data))
        self.handed.append(data)
        return 0
