"""
FastForward between the nodes of one host: sockets of kind C{SOCK_SEQPACKET}, and the kernel says
whose process the other end is (unix(7) of Linux).
"""

from __future__ import annotations

import errno
import os
import socket
import stat
from struct import Struct
from typing import Final, cast

from bmff.errors import TransportUnavailable
from bmff.ibmff import IPathReceiver, ITransport, TransportSettings
from bmff.sockets.connector import Connector
from bmff.sockets.descriptor import Connection, SequencedConnection
from bmff.transports.connected import CONNECT_TIME, ConnectedTransport, TransportReactor

NAME: Final = "FastForward.{}.sock"
ROOT: Final = 0
NOBODY: Final = 65534  # also every user that a container does not know
MODE: Final = 0o666  # others may connect; what they say is sealed

_CREDENTIALS: Final = Struct("=iII")  # struct ucred: process, user, group


def make(reactor: object, settings: TransportSettings) -> ITransport:
    """
    @see: L{bmff.ibmff.ITransportMaker.make}
    """
    return UNIXTransport(cast(TransportReactor, reactor), settings)


class UNIXTransport(ConnectedTransport):
    """
    Connections through C{FastForward.{port}.sock} in the folder of the settings.
    """

    name = "unix"

    def __init__(self, reactor: TransportReactor, settings: TransportSettings) -> None:
        super().__init__(reactor, settings)
        self._bound: os.stat_result | None = None

    def pathOf(self, port: int) -> str:
        """
        The file that the node of this number listens at.
        """
        return os.path.join(self._settings.folder, NAME.format(port))

    def bind(self) -> list[socket.socket]:
        """
        @see: L{ConnectedTransport.bind}
        """
        path = self.pathOf(self._settings.port)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            try:
                sock.bind(path)
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
                _removeDead(path)
                sock.bind(path)
            self._bound = os.lstat(path)
            # Before listening: the umask does not hold here, and whoever connects needs the mode.
            os.chmod(path, MODE)
        except OSError as error:
            sock.close()
            self.unbind()
            raise TransportUnavailable(f"{path}: {error.strerror or error}") from error
        except TransportUnavailable:
            sock.close()
            raise
        return [sock]

    def unbind(self) -> None:
        """
        Remove the file, unless another has taken its place.
        """
        bound, self._bound = self._bound, None
        path = self.pathOf(self._settings.port)
        if bound is not None:
            try:
                if os.path.samestat(bound, os.lstat(path)):
                    os.unlink(path)
            except OSError:
                return  # it is gone, or is not ours to remove any more

    async def reach(self, address: str, port: int) -> socket.socket:
        """
        Connect to the node of this number on this host; the address says nothing.
        """
        path = self.pathOf(port)
        try:
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        except OSError as error:
            raise TransportUnavailable(error.strerror or str(error)) from error
        try:
            return await Connector(self._reactor, sock).connect(path, CONNECT_TIME)
        except TransportUnavailable as error:
            raise TransportUnavailable(f"{path}: {error.reason}") from error

    def keyOf(self, sock: socket.socket) -> bytes:
        """
        The other end's process, user and group.
        """
        return sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)

    def trusts(self, user: int) -> bool:
        """
        Whether what a process of this user says needs no seal.

        @param user: its ID.
        """
        ours = (os.geteuid(), ROOT, *self._settings.trust)
        return user in ours and user != NOBODY

    def makeConnection(self, sock: socket.socket, receiver: IPathReceiver) -> Connection:
        """
        @see: L{ConnectedTransport.makeConnection}
        """
        process, user, _group = _CREDENTIALS.unpack(self.keyOf(sock))
        return SequencedConnection(
            self._reactor,
            sock,
            receiver,
            name=self.name,
            remote=f"process {process} of user {user}",
            trusted=self.trusts(user),
        )


def _removeDead(path: str) -> None:
    """
    Remove a socket of our own that a process left behind.

    @raise TransportUnavailable: it is something else, or somebody listens there.
    @raise OSError: it cannot be removed.
    """
    found = os.lstat(path)
    if not stat.S_ISSOCK(found.st_mode):
        raise TransportUnavailable(f"{path} is not a socket")
    if found.st_uid not in (os.geteuid(), ROOT):
        raise TransportUnavailable(f"{path} belongs to user {found.st_uid}")
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as probe:
        probe.setblocking(False)
        reason = probe.connect_ex(path)
    if reason != errno.ECONNREFUSED:
        raise TransportUnavailable(f"{path} is in use")
    if found.st_uid != os.geteuid():
        raise TransportUnavailable(f"{path} belongs to root, and nobody listens there")
    if os.path.samestat(found, os.lstat(path)):
        os.unlink(path)
