"""
Tests of L{bmff.web.controlport}.
"""

from __future__ import annotations

import errno
import os
import socket
import stat

from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import SynchronousTestCase

from bmff.web.controlport import ControlPort, listenControl, makeFolder, obstacle, removeDead
from tests.web.case import SocketTestCase, reactor

GROUP = 4_000_001  # a group ID that nobody has by chance
OTHERS = 4_000_002


def bound(path: str, *, listening: bool = False) -> socket.socket:
    """
    A socket at a path.
    """
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(path)
    if listening:
        sock.listen()
    return sock


class ListenTests(SocketTestCase):
    """
    A port that claims its path and gives it back.
    """

    def listen(self) -> ControlPort:
        """
        A port that listens.
        """
        port = listenControl(reactor, self.path, Factory.forProtocol(Protocol))
        self.addCleanup(port.stopListening)
        return port

    def refused(self) -> OSError:
        """
        Why it does not listen.
        """
        error: OSError = self.assertRaises(OSError, self.listen)
        return error

    async def test_life(self) -> None:
        """
        A socket for its user and group is there as long as the port listens, and no other file.
        """
        port = self.listen()
        self.assertEqual(os.listdir(self.folder), ["node.sock"])
        self.assertEqual(os.stat(self.path).st_mode, stat.S_IFSOCK | 0o660)
        await port.stopListening()
        self.assertEqual(os.listdir(self.folder), [])

    async def test_dead(self) -> None:
        """
        A socket that nobody listens on, as a power loss leaves it, is replaced.
        """
        bound(self.path).close()
        await self.listen().stopListening()
        self.assertFalse(os.path.exists(self.path))

    def test_inUse(self) -> None:
        """
        A socket that somebody listens on is left alone, also when he is too busy to answer.
        """
        with bound(self.path, listening=True):
            self.assertEqual(self.refused().errno, errno.EADDRINUSE)
            self.assertTrue(os.path.exists(self.path))
            self.fill()
            self.assertEqual(self.refused().errno, errno.EADDRINUSE)
            self.assertTrue(os.path.exists(self.path))

    def fill(self) -> None:
        """
        Connect until nobody else can.
        """
        reason = 0
        while reason == 0:
            waiting = socket.socket(socket.AF_UNIX)
            self.addCleanup(waiting.close)
            waiting.setblocking(False)
            reason = waiting.connect_ex(self.path)
        self.assertEqual(reason, errno.EAGAIN)

    def test_noSocket(self) -> None:
        """
        What is no socket is never removed: a file, a folder, a link to a dead socket.
        """
        dead = f"{self.folder}/dead"
        bound(dead).close()
        for make in (
            lambda: open(self.path, "x").close(),
            lambda: os.mkdir(self.path),
            lambda: os.symlink(dead, self.path),
        ):
            make()
            before = os.lstat(self.path)
            self.assertEqual(self.refused().strerror, "it is there and is no socket")
            self.assertTrue(os.path.samestat(before, os.lstat(self.path)))
            os.rename(self.path, f"{self.folder}/{before.st_ino}")
        self.assertTrue(os.path.exists(dead))

    def test_somebodyElse(self) -> None:
        """
        A dead socket of another user is left alone, but not by root.
        """
        bound(self.path).close()
        owner = os.lstat(self.path).st_uid
        self.patch(os, "geteuid", lambda: owner + 1)
        self.assertEqual(self.refused().strerror, f"it belongs to user {owner}")
        self.assertTrue(os.path.exists(self.path))
        self.patch(os, "geteuid", lambda: 0)
        removeDead(self.path)
        self.assertFalse(os.path.exists(self.path))

    def test_noFolder(self) -> None:
        """
        A path in a folder that is not there is told as the host says it.
        """
        self.path = f"{self.folder}/none/node.sock"
        self.assertEqual(self.refused().errno, errno.ENOENT)

    async def test_replaced(self) -> None:
        """
        A port removes its own file alone: one that has taken its place stays, and one that is
        gone is not missed.
        """
        port = self.listen()
        os.rename(self.path, f"{self.path}.old")
        bound(self.path).close()
        before = os.lstat(self.path)
        await port.stopListening()
        self.assertTrue(os.path.samestat(before, os.lstat(self.path)))
        os.unlink(self.path)
        port = self.listen()
        os.unlink(self.path)
        await port.stopListening()
        self.assertEqual(os.listdir(self.folder), ["node.sock.old"])


class FolderTests(SynchronousTestCase):
    """
    The folder of the socket.
    """

    def setUp(self) -> None:
        self.folder = os.path.join(self.mktemp(), "state")

    def mode(self) -> int:
        """
        The folder's mode.
        """
        return stat.S_IMODE(os.stat(self.folder).st_mode)

    def test_made(self) -> None:
        """
        A new folder is for its owner alone, or may be passed through by a control group's
        members whatever the umask.
        """
        for group, mode in ((None, 0o700), (GROUP, 0o711)):
            self.folder = os.path.join(self.mktemp(), "state")
            before = os.umask(0o077)
            try:
                makeFolder(self.folder, group)
            finally:
                os.umask(before)
            self.assertEqual(self.mode(), mode)

    def test_there(self) -> None:
        """
        A folder that is there stays as its owner has it.
        """
        makeFolder(self.folder, None)
        makeFolder(self.folder, GROUP)
        self.assertEqual(self.mode(), 0o700)

    def test_obstacle(self) -> None:
        """
        It is told what to type when a group's members cannot pass, by their own right or by
        everybody's; all other rights stay.
        """
        makeFolder(self.folder, None)
        own = os.stat(self.folder).st_gid
        for mode, group, advised in (
            (0o700, OTHERS, "711"),
            (0o750, OTHERS, "751"),
            (0o710, OTHERS, "711"),
            (0o711, OTHERS, None),
            (0o755, OTHERS, None),
            (0o701, OTHERS, None),
            (0o700, own, "711"),
            (0o710, own, None),
            (0o701, own, "711"),
        ):
            os.chmod(self.folder, mode)
            advice = None if advised is None else f"chmod {advised} {self.folder}"
            self.assertEqual(obstacle(self.folder, group), advice, (oct(mode), group))

    def test_quoted(self) -> None:
        """
        What to type is quoted for a shell.
        """
        self.folder = os.path.join(self.mktemp(), "it's mine")
        makeFolder(self.folder, None)
        self.assertIn("""it'"'"'s mine'""", obstacle(self.folder, OTHERS) or "")
