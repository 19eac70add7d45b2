"""
One RDMA connection as the communication manager knows it, before and beside its queues, and the
channel that tells what becomes of it (rdma_cm(7), rdma_get_cm_event(3)).
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from ctypes import POINTER, addressof, byref, c_void_p, create_string_buffer, string_at
from dataclasses import dataclass
from typing import Final

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IReadDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from bmff.errors import TransportUnavailable
from bmff.sockets.descriptor import CLOSED_THERE
from bmff.transports.connected import CONNECT_TIME, TransportReactor
from bmff.transports.rdmaaddress import keyOf, sockaddrOf
from bmff.transports.rdmahello import decodeRefusal
from bmff.transports.rdmaverbs import (
    ACK_TIMEOUT,
    ADDR_CHANGE,
    ADDR_ERROR,
    ADDR_RESOLVED,
    AFONLY,
    CMID,
    CONNECT_REQUEST,
    DEVICE_REMOVAL,
    DISCONNECTED,
    ESTABLISHED,
    OPTION_ID,
    PS_TCP,
    REJECTED,
    ROUTE_ERROR,
    ROUTE_RESOLVED,
    UNREACHABLE,
    CMEvent,
    ConnectionSettings,
    EventChannel,
    Verbs,
    addressAt,
    unavailable,
)

TURN: Final = 16  # events that one turn takes at most
STEP_TIME: Final = 2000  # milliseconds for the address, and again for the route
BACKLOG: Final = 64  # connections that the kernel keeps until they are accepted
RETRIES: Final = 7  # the most that there is
# A message that meets no room is tried again so often. There always is room where both ends count
# right, so the connection ends soon where one does not.
ROOM_RETRIES: Final = 3
# 4.096 us * 2 ** 16 = 0.27 s until a message is sent again, seven times: an end that was switched
# off is found within some 2 s of sending.
WAIT: Final = b"\x10"

_REASONS: Final = {
    ADDR_ERROR: "no way to the address",
    ROUTE_ERROR: "no route",
    UNREACHABLE: "no answer",
    DISCONNECTED: CLOSED_THERE,
    DEVICE_REMOVAL: "the RDMA device was removed",
    ADDR_CHANGE: "the device has another address now",
}
_NOBODY_LISTENS: Final = 8  # IB_CM_REJ_INVALID_SERVICE_ID of <rdma/ib_cm.h>, as the kernel has it


@dataclass(frozen=True, slots=True)
class Happening:
    """
    One event of a connection.

    @ivar kind: as C{enum rdma_cm_event_type} has it.
    @ivar status: 0, a negative errno, or a reason as InfiniBand numbers them.
    @ivar data: private data of the other end, with zeros behind it.
    @ivar identifier: where the C{struct rdma_cm_id} is.
    @ivar listener: where that of the listener is, for somebody new.
    """

    kind: int
    status: int
    data: bytes
    identifier: int
    listener: int

    @property
    def reason(self) -> str:
        """
        Why there is no connection, for people.
        """
        if self.kind == REJECTED:
            refusal = decodeRefusal(self.data)
            listening = self.status not in (_NOBODY_LISTENS, -errno.ECONNREFUSED)
            text = f"refused: {refusal or self.status}"
            return text if refusal or listening else "nobody listens there"
        text = _REASONS.get(self.kind, "the connection failed")
        return f"{text}: {os.strerror(-self.status)}" if self.status < 0 else text


@implementer(IReadDescriptor)
class Channel:
    """
    Tells every identifier what has happened to it.

    @ivar late: events of connections that are closed already.
    @ivar failed: events whose watcher raised.
    @ivar identifiers: those that are not closed, by where they are.
    """

    _log = Logger()

    def __init__(self, reactor: TransportReactor, verbs: Verbs) -> None:
        """
        @raise TransportUnavailable: there is no RDMA here.
        """
        self.late = 0
        self.failed = 0
        self.verbs = verbs
        self.identifiers: dict[int, Identifier] = {}
        self.reactor = reactor
        try:
            self.address = verbs.rdma_create_event_channel()
        except OSError as error:
            raise TransportUnavailable(unavailable(error)) from error
        self._descriptor: int = EventChannel.from_address(self.address).fd
        os.set_blocking(self._descriptor, False)
        self._reading = False

    def start(self) -> None:
        """
        Tell from now on.
        """
        if not self._reading:
            self._reading = True
            self.reactor.addReader(self)

    def close(self) -> None:
        """
        Tell no more; all identifiers are closed.
        """
        if self.address:
            if self._reading:
                self.reactor.removeReader(self)
            address, self.address = self.address, 0
            self._descriptor = -1
            self.verbs.rdma_destroy_event_channel(address)

    def fileno(self) -> int:
        """
        The file descriptor, -1 when closed.
        """
        return self._descriptor

    def logPrefix(self) -> str:
        """
        What Twisted puts before messages about this descriptor.
        """
        return "Channel"

    def connectionLost(self, reason: Failure) -> None:
        """
        The reactor has let go of it; it is closed with its transport.
        """
        self._reading = False

    def doRead(self) -> None:
        """
        Tell at most L{TURN} events.
        """
        for _ in range(TURN):
            if not self.address:
                return
            happening = self._next()
            if happening is None:
                return
            about = happening.listener if happening.kind == CONNECT_REQUEST else 0
            identifier = self.identifiers.get(about or happening.identifier)
            if identifier is None:
                self.late += 1
                if about:
                    self.verbs.rdma_destroy_id(happening.identifier)
                continue
            try:
                identifier.happened(happening)
            except Exception:
                self.failed += 1
                self._log.failure("an RDMA connection failed")

    def _next(self) -> Happening | None:
        """
        The next event, copied: nothing of it may be held, as to close an identifier waits for that.
        """
        place = POINTER(CMEvent)()
        try:
            self.verbs.rdma_get_cm_event(self.address, byref(place))
        except BlockingIOError:
            return None
        event = place.contents
        data = b""
        if event.private_data:
            data = string_at(event.private_data, event.private_data_len)
        happening = Happening(event.event, event.status, data, event.id or 0, event.listen_id or 0)
        self.verbs.rdma_ack_cm_event(place)
        return happening


def _late(result: object, timeout: float) -> Failure:
    return Failure(TransportUnavailable(f"no answer in {timeout:g} s"))


class Identifier:
    """
    A C{struct rdma_cm_id}, which it owns: a connection, an attempt at one, or a listener.

    @ivar address: where it is, 0 when it is closed.
    @ivar watcher: takes what happens to it outside of an attempt of ours.
    """

    _log = Logger()

    def __init__(self, channel: Channel, address: int = 0) -> None:
        """
        @param address: where it is; 0 to make one.
        @raise OSError: the kernel makes none.
        """
        self.watcher: Callable[[Happening], object] = lambda happening: None
        self._channel = channel
        self._verbs = channel.verbs
        self._waiting: Deferred[Happening] | None = None
        self._awaited = 0
        if not address:
            made = c_void_p()
            self._verbs.rdma_create_id(channel.address, byref(made), None, PS_TCP)
            address = made.value or 0
        self.address = address
        channel.identifiers[address] = self
        channel.start()

    @property
    def remote(self) -> bytes:
        """
        The other end's address, as L{bmff.sockets.addresses} has it.
        """
        return keyOf(addressAt(self.address + CMID.dst_addr.offset))

    @property
    def context(self) -> int:
        """
        Where the C{struct ibv_context} of its device is, 0 until that is found.
        """
        return CMID.from_address(self.address).verbs or 0

    @property
    def local(self) -> bytes:
        """
        Its own address, the same.
        """
        return keyOf(addressAt(self.address + CMID.src_addr.offset))

    def bind(self, key: bytes) -> None:
        """
        Belong to the device of an address, at any port.

        @raise OSError: there is none.
        """
        self._verbs.rdma_bind_addr(self.address, sockaddrOf(key[:2] + bytes(2) + key[4:]))

    def listen(self, sockaddr: bytes, only: bool) -> None:
        """
        Take connections at an address.

        @param only: whether to leave the other family to another listener.
        @raise OSError: it is not to be had.
        """
        if only:
            one = (1).to_bytes(4, "little")
            self._verbs.rdma_set_option(self.address, OPTION_ID, AFONLY, one, len(one))
        self._verbs.rdma_bind_addr(self.address, sockaddr)
        self._verbs.rdma_listen(self.address, BACKLOG)

    async def resolve(self, sockaddr: bytes) -> None:
        """
        Find the device and the way to another node.

        @raise TransportUnavailable: there is none.
        """
        verbs, address = self._verbs, self.address
        await self._step(
            ADDR_RESOLVED, lambda: verbs.rdma_resolve_addr(address, None, sockaddr, STEP_TIME)
        )
        await self._step(ROUTE_RESOLVED, lambda: verbs.rdma_resolve_route(address, STEP_TIME))

    async def connect(self, hello: bytes) -> bytes:
        """
        Connect; the queues are made.

        @param hello: private data for the other end.
        @return: its own.
        @raise TransportUnavailable: it does not want to, or is not there.
        """
        self._hurry()
        settings, kept = self._settings(hello)
        step = self._step(
            ESTABLISHED, lambda: self._verbs.rdma_connect(self.address, byref(settings))
        )
        del kept  # the kernel has its copy
        # By itself the communication manager would go on for a minute.
        happening = await step.addTimeout(CONNECT_TIME, self._channel.reactor, _late)
        return happening.data

    def accept(self, hello: bytes) -> None:
        """
        Take a connection that is asked for; the queues are made.

        @param hello: private data for the other end.
        @raise OSError: it is gone.
        """
        self._hurry()
        settings, _kept = self._settings(hello)
        self._verbs.rdma_accept(self.address, byref(settings))

    def reject(self, data: bytes) -> None:
        """
        Refuse a connection that is asked for, and close this.

        @param data: private data for the other end.
        """
        try:
            self._verbs.rdma_reject(self.address, data, len(data))
        except OSError as error:
            self._log.debug("nobody to refuse: {error}", error=error)
        self.close()

    def disconnect(self) -> None:
        """
        End the connection. Nothing that is not sent yet will be.
        """
        try:
            self._verbs.rdma_disconnect(self.address)
        except OSError as error:
            self._log.debug("not connected any more: {error}", error=error)

    def close(self) -> None:
        """
        Give it back, once; its queues are closed.
        """
        if self.address:
            address, self.address = self.address, 0
            del self._channel.identifiers[address]
            self.watcher = lambda happening: None
            try:
                self._verbs.rdma_destroy_id(address)
            except OSError as error:
                self._log.warn("RDMA keeps a connection: {error}", error=error)

    def happened(self, happening: Happening) -> None:
        """
        The channel has an event of it.
        """
        waiting, self._waiting = self._waiting, None
        if waiting is None:
            self.watcher(happening)
        elif happening.kind == self._awaited:
            waiting.callback(happening)
        else:
            waiting.errback(TransportUnavailable(happening.reason))

    def _step(self, kind: int, begin: Callable[[], object]) -> Deferred[Happening]:
        """
        Begin something that the kernel ends with an event.

        @param kind: of the event that is wanted.
        """
        try:
            begin()
        except OSError as error:
            return fail(TransportUnavailable(error.strerror or str(error)))
        self._awaited = kind
        waiting = self._waiting = Deferred(self._cancelled)
        return waiting

    def _cancelled(self, waiting: Deferred[Happening]) -> None:
        self._waiting = None

    def _hurry(self) -> None:
        """
        Send again sooner than the device would by itself, where the kernel lets us say so.
        """
        try:
            self._verbs.rdma_set_option(self.address, OPTION_ID, ACK_TIMEOUT, WAIT, len(WAIT))
        except OSError as error:
            self._log.debug("the device keeps its own time: {error}", error=error)

    @staticmethod
    def _settings(hello: bytes) -> tuple[ConnectionSettings, object]:
        """
        @return: the settings, and what has to live as long.
        """
        data = create_string_buffer(hello, len(hello))
        settings = ConnectionSettings(
            private_data=addressof(data),
            private_data_len=len(hello),
            flow_control=1,
            retry_count=RETRIES,
            rnr_retry_count=ROOM_RETRIES,
        )
        return settings, data
