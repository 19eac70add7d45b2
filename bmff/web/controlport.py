"""
The file of the control socket: claims its path, and gives it back (unix(7) of Linux).

There is no lock file: the kernel knows whether anybody listens, also after a power loss.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
from contextlib import suppress
from shlex import quote
from typing import Any, Final

from twisted.internet import tcp, unix
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IProtocolFactory
from twisted.python.failure import Failure

from bmff.web.control import SOCKET_MODE

PRIVATE_MODE: Final = 0o700  # of the socket's folder
PASSABLE_MODE: Final = 0o711  # the same, where others than the node's own user pass through it
_PROBE_TIME: Final = 1.0  # seconds


class ControlPort(unix.Port):
    """
    A listening socket that takes the place of a dead one, and removes no file but its own.
    """

    def __init__(self, path: str, factory: IProtocolFactory, reactor: Any) -> None:
        super().__init__(os.fsencode(path), factory, mode=SOCKET_MODE, reactor=reactor)
        self._path = path
        self._bound: os.stat_result | None = None

    def startListening(self) -> None:
        """
        Claim the path and listen.

        @raise OSError: somebody listens there, or what is there is not ours to remove.
        @raise CannotListenError: the socket cannot be made.
        """
        removeDead(self._path)
        super().startListening()
        self._bound = os.lstat(self._path)

    def removeFile(self) -> None:
        """
        Remove the socket's file, unless another has taken its place.
        """
        bound, self._bound = self._bound, None
        if bound is not None:
            with suppress(FileNotFoundError):
                if os.path.samestat(bound, os.lstat(self._path)):
                    os.unlink(self._path)

    def connectionLost(self, reason: Failure) -> None:
        """
        The socket is closed. Twisted's own would remove whatever is at the path.
        """
        try:
            self.removeFile()
        finally:
            tcp.Port.connectionLost(self, reason)


def listenControl(reactor: Any, path: str, factory: IProtocolFactory) -> ControlPort:
    """
    A control port that listens.

    @raise OSError: as for L{ControlPort.startListening}; the text says why.
    """
    port = ControlPort(path, factory, reactor)
    try:
        port.startListening()
    except CannotListenError as error:
        raise error.socketError from None
    return port


def removeDead(path: str) -> None:
    """
    Remove a socket that a process which is no more has left behind; nothing else is removed.

    @raise OSError: what is there is no socket, is somebody else's, or is in use.
    """
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise OSError(errno.EEXIST, "it is there and is no socket")
    user = os.geteuid()
    if user not in (0, found.st_uid):
        raise OSError(errno.EPERM, f"it belongs to user {found.st_uid}")
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(_PROBE_TIME)
        reason = probe.connect_ex(path)
    if reason == errno.ENOENT:
        return
    if reason != errno.ECONNREFUSED:
        raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
    if os.path.samestat(found, os.lstat(path)):
        os.unlink(path)


def makeFolder(folder: str, controlGroup: int | None) -> None:
    """
    Make the folder of a control socket if it is not there.

    @param controlGroup: the ID of the group whose members are to pass through it.
    @raise OSError: as the host says.
    """
    parent = os.path.dirname(folder)
    if parent:
        os.makedirs(parent, exist_ok=True)
    with suppress(FileExistsError):
        os.mkdir(folder, PRIVATE_MODE)
        if controlGroup is not None:
            os.chmod(folder, PASSABLE_MODE)  # whatever the umask


def obstacle(folder: str, controlGroup: int) -> str | None:
    """
    What to type so that a group's members may pass through a folder; L{None} when they may.

    @raise OSError: the folder cannot be seen.
    """
    status = os.stat(folder)
    byGroup = status.st_gid == controlGroup
    if status.st_mode & (stat.S_IXGRP if byGroup else stat.S_IXOTH):
        return None
    mode = stat.S_IMODE(status.st_mode) | (PASSABLE_MODE & 0o111)
    return f"chmod {mode:o} {quote(folder)}"
