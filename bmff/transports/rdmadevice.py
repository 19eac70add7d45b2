"""
An RDMA device that connections are on, which may be taken away while the process goes on
(rdma_cm(7), C{RDMA_CM_EVENT_DEVICE_REMOVAL}).

librdmacm opens a device once for the process and keeps it open. Where the driver cannot take it
from a process (those that are made of software cannot), whoever removes the device would wait until
the process ends. So an identifier that is bound to the device, the anchor, hears that it is to go;
when the last queue on it is closed, the descriptors that the library keeps are replaced by ones of
C{/dev/null}: the library closes those when it finds that the device is gone.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from ipaddress import IPv6Address
from socket import if_nametoindex

from twisted.logger import Logger

from bmff.sockets.addresses import IPV6_SIZE
from bmff.transports.rdmaaddress import interfaces
from bmff.transports.rdmaidentifier import Channel, Happening, Identifier
from bmff.transports.rdmaverbs import DEVICE_REMOVAL, Context


class Device:
    """
    One device as one transport uses it.

    @ivar context: where its C{struct ibv_context} is.
    @ivar operations: its verbs.
    @ivar removed: whether it is to go.
    """

    _log = Logger()

    def __init__(self, channel: Channel, identifier: Identifier) -> None:
        """
        @param identifier: one that has found its device.
        @raise OSError: the kernel makes no anchor.
        """
        self.context = identifier.context
        self.operations = channel.verbs.operations(self.context)
        self.removed = False
        self._queues = 0
        self._verbs = channel.verbs
        self._anchor = Identifier(channel)
        self._anchor.watcher = self._happened
        for key in _candidates(identifier.local):
            try:
                self._anchor.bind(key)
            except OSError as error:
                self._log.debug("no anchor at {key}: {error}", key=key.hex(), error=error)
            else:
                break

    def enter(self) -> None:
        """
        There is one queue pair more on it.
        """
        self._queues += 1
        users = self._verbs.users
        users[self.context] = users.get(self.context, 0) + 1

    def leave(self) -> None:
        """
        There is one less.
        """
        self._queues -= 1
        self._verbs.users[self.context] -= 1
        self._finish()

    def close(self) -> None:
        """
        Its transport ends, and has no queues on it any more.
        """
        self._anchor.close()

    def _happened(self, happening: Happening) -> None:
        if happening.kind == DEVICE_REMOVAL:
            self.removed = True
            self._finish()

    def _finish(self) -> None:
        """
        Let go of a device that is to go, once nothing of ours is on it.
        """
        if not self.removed or self._queues:
            return
        if not self._verbs.users.get(self.context):
            # The anchor still keeps the library's memory of the device.
            self._letGo()
        self._anchor.close()

    def _letGo(self) -> None:
        context = Context.from_address(self.context)
        nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        try:
            for descriptor in (context.cmd_fd, context.async_fd):
                os.dup2(nothing, descriptor, inheritable=False)
        except OSError as error:
            self._log.warn("an RDMA device stays open: {error}", error=error)
        finally:
            os.close(nothing)


def _candidates(key: bytes) -> Iterator[bytes]:
    """
    An address, and the same on each interface: who is connected to at a link-local address is not
    told which it was.
    """
    yield key
    if len(key) == IPV6_SIZE and IPv6Address(key[8:24]).is_link_local:
        for name in interfaces():
            try:
                scope = if_nametoindex(name)
            except OSError:  # it is just being removed
                continue
            yield key[:24] + scope.to_bytes(4, sys.byteorder)
