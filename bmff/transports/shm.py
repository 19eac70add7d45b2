"""
FastForward between the nodes of one host through shared memory, which is given over a UNIX socket
beside that of the unix transport (memfd_create(2), eventfd(2), unix(7) of Linux).
"""

from __future__ import annotations

import os
from socket import socket
from struct import Struct
from typing import Final, cast

from twisted.internet.defer import TimeoutError as NoAnswer

from bmff.errors import TransportUnavailable
from bmff.ibmff import IPathReceiver, IPathTransport, ITransport, TransportSettings
from bmff.sockets.ring import checkProcessor
from bmff.transports.connected import CONNECT_TIME, TransportReactor
from bmff.transports.shmconnection import SharedConnection
from bmff.transports.strangers import Stranger
from bmff.transports.unix import UNIXTransport

NAME: Final = "FastForward.{}.shm.sock"
# Fewer than elsewhere: each may hold five descriptors and two thirds of a megabyte.
MOST_STRANGERS: Final = 64

_CREDENTIALS: Final = Struct("=iII")  # struct ucred: process, user, group


def make(reactor: object, settings: TransportSettings) -> ITransport:
    """
    @see: L{bmff.ibmff.ITransportMaker.make}
    """
    checkProcessor()
    return SharedMemoryTransport(cast(TransportReactor, reactor), settings)


class SharedMemoryTransport(UNIXTransport):
    """
    Shared memory, agreed on through C{FastForward.{port}.shm.sock} in the folder of the settings.
    """

    name = "shm"

    def pathOf(self, port: int) -> str:
        """
        @see: L{UNIXTransport.pathOf}
        """
        return os.path.join(self._settings.folder, NAME.format(port))

    def makeConnection(self, sock: socket, receiver: IPathReceiver) -> SharedConnection:
        """
        @see: L{bmff.transports.connected.ConnectedTransport.makeConnection}
        """
        if isinstance(receiver, Stranger) and len(self.strangers) >= MOST_STRANGERS:
            self.dropOldest()
        process, user, _group = _CREDENTIALS.unpack(self.keyOf(sock))
        return SharedConnection(
            self._reactor,
            sock,
            receiver,
            name=self.name,
            remote=f"process {process} of user {user}",
            trusted=self.trusts(user),
            process=process,
        )

    async def _connect(self, address: str, port: int, receiver: IPathReceiver) -> IPathTransport:
        """
        @see: L{bmff.transports.connected.ConnectedTransport.connect}
        """
        sock = await self.reach(address, port)
        try:
            connection = self.makeConnection(sock, receiver)
        except OSError as error:  # gone again
            sock.close()
            raise TransportUnavailable(error.strerror or str(error)) from error
        try:
            await connection.offer().addTimeout(CONNECT_TIME, self._reactor)
        except NoAnswer as error:
            reason = f"{self.pathOf(port)}: no answer in {CONNECT_TIME:g} s"
            raise TransportUnavailable(reason) from error
        self._start(connection)
        return connection
