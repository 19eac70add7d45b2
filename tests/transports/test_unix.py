"""
Tests of C{bmff.transports.unix}.
"""

from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
from typing import Any
from unittest import SkipTest

from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from bmff.errors import TransportUnavailable
from bmff.ibmff import ITransport, TransportSettings
from bmff.testing.connections import ConnectionContract
from bmff.testing.transports import Door, Inbox
from bmff.transports import unix

STRANGER = 54321  # a user that nobody is


class UNIXTests(ConnectionContract, TestCase):
    """
    UNIX sockets keep the contract.
    """

    reactor: Any = reactor
    trusted = True
    trust: tuple[int, ...] = ()

    def setUp(self) -> None:
        """
        A folder with a short name: that of a socket has at most 107 bytes.
        """
        super().setUp()
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)
        os.chmod(self.folder, 0o755)

    def makeTransport(self, port: int) -> ITransport:
        """
        @see: L{ConnectionContract.makeTransport}
        """
        return unix.make(reactor, TransportSettings(port, (), self.folder, self.trust))

    def connectRaw(self, port: int) -> socket.socket:
        """
        @see: L{ConnectionContract.connectRaw}
        """
        raw = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        raw.connect(self.path(port))
        return raw

    def path(self, port: int) -> str:
        """
        The file of a node.
        """
        return os.path.join(self.folder, f"FastForward.{port}.sock")

    def refused(self) -> str:
        """
        Listen in vain.

        @return: the reason.
        """
        error: TransportUnavailable = self.assertRaises(
            TransportUnavailable, self.make().listen, Door()
        )
        return error.reason

    def leave(self, kind: int = socket.SOCK_SEQPACKET, listen: bool = False) -> socket.socket:
        """
        A socket at the first node's name.
        """
        sock = socket.socket(socket.AF_UNIX, kind)
        self.addCleanup(sock.close)
        sock.bind(self.path(self.ports[0]))
        if listen:
            sock.listen()
        return sock

    def test_mode(self) -> None:
        """
        Every user of the host may connect, whatever the umask is.
        """
        before = os.umask(0o077)
        try:
            self.listening(0)
        finally:
            os.umask(before)
        mode = os.stat(self.path(self.ports[0])).st_mode
        self.assertEqual(stat.S_IMODE(mode), 0o666)

    async def test_removed(self) -> None:
        """
        The file goes when the transport stops.
        """
        transport, _ = self.listening(0)
        await self.result(transport.stopListening())
        self.assertEqual(os.listdir(self.folder), [])

    async def test_replaced(self) -> None:
        """
        A file that another has put in the place stays when the transport stops.
        """
        transport, _ = self.listening(0)
        os.rename(self.path(self.ports[0]), os.path.join(self.folder, "moved"))
        self.leave()
        await self.result(transport.stopListening())
        self.assertIn(f"FastForward.{self.ports[0]}.sock", os.listdir(self.folder))

    async def test_gone(self) -> None:
        """
        A file that another has removed is not missed.
        """
        transport, _ = self.listening(0)
        os.unlink(self.path(self.ports[0]))
        await self.result(transport.stopListening())
        self.assertEqual(os.listdir(self.folder), [])

    def test_deadOfRoot(self) -> None:
        """
        A socket that a process of root left behind is not ours to remove.
        """
        if os.geteuid():
            raise SkipTest("only root can give a file away")
        self.patch(unix, "ROOT", STRANGER)
        self.leave().close()
        os.chown(self.path(self.ports[0]), STRANGER, STRANGER)
        self.assertIn("root", self.refused())
        self.assertTrue(os.path.lexists(self.path(self.ports[0])))

    async def test_dead(self) -> None:
        """
        A socket that a process of ours left behind makes room.
        """
        self.leave().close()
        transport, _ = self.listening(1)
        _, door = self.listening(0)
        path, _ = await self.connect(transport, 0)
        path.sendPacket(b"packet")
        await self.until(lambda: door.opened)

    def test_foreignFile(self) -> None:
        """
        A file, a folder and a link at the name stay, and are the reason.
        """
        path = self.path(self.ports[0])
        for make in (os.mkdir, lambda path: os.symlink("nowhere", path), _write):
            make(path)
            self.assertIn("not a socket", self.refused())
            self.assertTrue(os.path.lexists(path))
            (os.rmdir if os.path.isdir(path) else os.unlink)(path)

    def test_foreignOwner(self) -> None:
        """
        A dead socket of another user stays, and is the reason.
        """
        if os.geteuid():
            raise SkipTest("only root can give a file away")
        self.leave().close()
        os.chown(self.path(self.ports[0]), STRANGER, STRANGER)
        self.assertIn(str(STRANGER), self.refused())
        self.assertTrue(os.path.lexists(self.path(self.ports[0])))

    def test_foreignProgram(self) -> None:
        """
        A live socket of another program, of another kind, stays and is the reason.
        """
        self.leave(socket.SOCK_STREAM, listen=True)
        self.assertIn("in use", self.refused())
        self.assertTrue(os.path.lexists(self.path(self.ports[0])))

    def test_noFolder(self) -> None:
        """
        A folder that is not there is the reason.
        """
        self.patch(self, "folder", os.path.join(self.folder, "none"))
        self.assertIn("No such file", self.refused())

    async def test_longName(self) -> None:
        """
        A name that is too long for a socket is the reason, to listen and to connect.
        """
        self.patch(self, "folder", os.path.join(self.folder, "x" * 100))
        self.assertIn("too long", self.refused())
        reason = await self.unavailable(self.make().connect("", 1, Inbox()))
        self.assertIn("too long", reason)

    def test_trust(self) -> None:
        """
        Trusted are our own user, root and those of the settings; never the one of nobody, in whom
        a container shows all users that it does not know.
        """
        self.trust = (1234, unix.NOBODY)
        transport: Any = self.makeTransport(1)
        users = (os.geteuid(), 0, 1234, 1235, unix.NOBODY)
        found = [transport.trusts(user) for user in users]
        self.assertEqual(found, [True, True, True, False, False])

    async def test_otherUser(self) -> None:
        """
        Another user gets the same path, which says that the kernel does not vouch for it.
        """
        if os.geteuid():
            raise SkipTest("only root can become another user")
        _, door = self.listening(0)
        script = (
            "import os, socket, sys\n"
            f"os.setuid({STRANGER})\n"
            "sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n"
            "sock.connect(sys.argv[1]); sock.send(b'hello'); sys.stdin.read()"
        )
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", script, self.path(self.ports[0])],
            stdin=subprocess.PIPE,
        )
        try:
            await self.until(lambda: door.opened)
            path, _ = door.opened[0]
            self.assertFalse(path.trusted)
            self.assertIn(str(STRANGER), path.remote)
            self.assertIn(str(process.pid), path.remote)
        finally:
            process.kill()
            process.communicate()

    async def test_tooLong(self) -> None:
        """
        A packet longer than any of ours ends the connection.
        """
        raw, _, inbox = await self.rawPair()
        raw.send(bytes(0x10000))
        await self.until(lambda: inbox.lost)
        self.assertEqual((inbox.packets, inbox.lost), ([], ["a packet too long"]))


def _write(path: str) -> None:
    """
    A file.
    """
    with open(path, "w", encoding="ascii"):
        pass
