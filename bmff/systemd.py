"""
What has started this process and watches it, when it is systemd: sockets that it hands over, and
what it is told (sd_listen_fds(3), sd_notify(3), sd_watchdog_enabled(3) of systemd).

Twisted adopts inherited streams only, and tells systemd nothing. All of this does nothing, and
costs nothing, in a process that systemd has not started.
"""

from __future__ import annotations

import os
import socket
from array import array
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

FIRST_DESCRIPTOR: Final = 3  # SD_LISTEN_FDS_START
MOST_DESCRIPTORS: Final = 64  # that are looked at
PATIENCE: Final = 10.0  # seconds that a start waits for what may come later as well
RETRY_INTERVAL: Final = 1.0  # seconds until a message that was not taken is sent again
KEPT_NAME: Final = "homebrew"  # of the sockets that systemd keeps from one process to the next


def startEnvironment() -> dict[str, str]:
    """
    The environment that this process was started with (proc(5)).

    C{twisted.internet.endpoints} takes C{LISTEN_FDS} out of C{os.environ} when it is imported,
    which happens before a plugin is asked for its service.
    """
    try:
        content = Path("/proc/self/environ").read_bytes()
    except OSError:
        return dict(os.environ)
    pairs = (entry.partition(b"=") for entry in content.split(b"\0") if entry)
    return {os.fsdecode(name): os.fsdecode(value) for name, _, value in pairs}


class Supervisor:
    """
    What has started this process: systemd, or nobody who wants to know.

    @ivar interval: seconds within which it wants a sign of life; 0 when it wants none.
    @ivar lost: messages that it did not take.
    """

    def __init__(
        self, address: str = "", interval: float = 0.0, sockets: Iterable[socket.socket] = ()
    ) -> None:
        """
        @param address: the socket that it hears at: a path, or C{@} and a name that is no path;
            empty for none.
        @param sockets: what it has handed over; closed by L{closeRest} unless somebody L{take}s
            them before.
        """
        self.interval = interval if address else 0.0
        self.lost = 0
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._sockets = list(sockets)
        self._outlet: socket.socket | None = None

    @classmethod
    def fromEnvironment(cls, environ: Mapping[str, str], pid: int) -> Supervisor:
        """
        What the environment of a process says.

        @param pid: the process: variables that are meant for another one do not count.
        """
        address = environ.get("NOTIFY_SOCKET", "")
        interval = 0.0
        if environ.get("WATCHDOG_PID", str(pid)) == str(pid):
            interval = _number(environ.get("WATCHDOG_USEC", "")) / 1e6
        count = 0
        if environ.get("LISTEN_PID") == str(pid):
            count = min(_number(environ.get("LISTEN_FDS", "")), MOST_DESCRIPTORS)
        descriptors = range(FIRST_DESCRIPTOR, FIRST_DESCRIPTOR + count)
        return cls(address if address[:1] in {"/", "@"} else "", interval, adopt(descriptors))

    @property
    def present(self) -> bool:
        """
        Whether somebody hears what is told.
        """
        return bool(self._address)

    def tell(self, *lines: str, descriptors: Iterable[int] = ()) -> bool:
        """
        Tell something; never waits.

        @param lines: assignments, as C{"READY=1"}.
        @param descriptors: what goes with them.
        @return: whether it was taken, or nobody is there to take it.
        """
        if not self._address:
            return True
        rights = array("i", descriptors)
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)] if rights else []
        try:
            if self._outlet is None:
                self._outlet = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._outlet.sendmsg(
                ["\n".join(lines).encode()], ancillary, socket.MSG_DONTWAIT, self._address
            )
        except OSError:
            self.lost += 1
            return False
        return True

    def keep(self, descriptors: Iterable[int]) -> bool:
        """
        Have these sockets handed to the next process, and no others; what comes in on the way from
        one process to the next waits in them.

        @return: whether that was taken.
        """
        kept = list(descriptors)
        # An error that is pending on a socket (EPOLLERR) is no reason to forget it: FDPOLL=0.
        lines = ("FDSTORE=1", f"FDNAME={KEPT_NAME}", "FDPOLL=0")
        forgotten = self.tell("FDSTOREREMOVE=1", f"FDNAME={KEPT_NAME}")
        return forgotten and (not kept or self.tell(*lines, descriptors=kept))

    def take(self, host: str, port: int) -> socket.socket | None:
        """
        The UDP socket that was handed over for an address; the caller's from now on.

        @param host: a numeric address.
        @raise ValueError: there is one, and it takes IPv4 as well as IPv6.
        """
        for sock in self._sockets:
            if sock.type == socket.SOCK_DGRAM and sock.getsockname()[:2] == (host, port):
                break
        else:
            return None
        if sock.family == socket.AF_INET6 and not sock.getsockopt(
            socket.IPPROTO_IPV6, socket.IPV6_V6ONLY
        ):
            raise ValueError(
                "the socket that systemd has opened takes IPv4 as well; "
                "its unit needs BindIPv6Only=ipv6-only"
            )
        self._sockets.remove(sock)
        return sock

    def closeRest(self) -> list[str]:
        """
        Close what nobody has taken.

        @return: the addresses, for people.
        """
        rest, self._sockets = self._sockets, []
        names = []
        for sock in rest:
            names.append(str(sock.getsockname()))
            sock.close()
        return names

    def close(self) -> None:
        """
        Tell nothing more.
        """
        self._address = ""
        if self._outlet is not None:
            self._outlet.close()
            self._outlet = None


def adopt(descriptors: Iterable[int]) -> list[socket.socket]:
    """
    The sockets among these descriptors, not to be inherited any further.
    """
    sockets = []
    for descriptor in descriptors:
        try:
            os.set_inheritable(descriptor, False)
            sockets.append(socket.socket(fileno=descriptor))
        except OSError:  # no socket, or not open: systemd may be told to hand over any file
            continue
    return sockets


def _number(text: str) -> int:
    """
    A whole number, 0 when it is none.
    """
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0


class SupervisionService(Service):
    """
    Tells the supervisor that the node is ready, how it is, that it lives, and that it ends.

    Signs of life are sent by a timer of the reactor and by nothing else: a reactor that does not
    turn sends none. As the last service of a node it is started last and stopped first.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        supervisor: Supervisor,
        ready: Deferred[None],
        status: Callable[[], str],
        sockets: Callable[[], Iterable[int]],
    ) -> None:
        """
        @param ready: fires when the node can do all that it shall; it is not waited for longer
            than L{PATIENCE}, as hotspots need no other nodes.
        @param status: how the node is, one line for people.
        @param sockets: the descriptors of the sockets that the next process is to have.
        """
        self._reactor = reactor
        self._supervisor = supervisor
        self._ready = ready
        self._status = status
        self._sockets = sockets
        self._readyCall: IDelayedCall | None = None
        self._lifeCall: IDelayedCall | None = None
        self._told = False

    def startService(self) -> None:
        """
        Begin; the first word is said when the reactor turns.
        """
        super().startService()
        for name in self._supervisor.closeRest():
            self._log.warn("systemd hands over {name}, which this node does not use", name=name)
        if not self._supervisor.present:
            return
        self._readyCall = self._reactor.callLater(PATIENCE, self._tellReady)
        if self._supervisor.interval:
            self._lifeCall = self._reactor.callLater(0, self._tellLife)
        self._ready.addCallback(self._isReady)

    def _isReady(self, result: None) -> None:
        if not self.running:
            return
        if self._readyCall is not None:
            self._readyCall.cancel()
        # In a turn of the reactor: a service that is started later may still fail.
        self._readyCall = self._reactor.callLater(0, self._tellReady)

    def _tellReady(self) -> None:
        self._readyCall = None
        lines = [f"STATUS={self._status()}"]
        if not self._told:
            lines.insert(0, "READY=1")
        kept = self._supervisor.keep(self._sockets())
        if self._supervisor.tell(*lines) and kept:
            self._told = True
        else:
            self._readyCall = self._reactor.callLater(RETRY_INTERVAL, self._tellReady)

    def _tellLife(self) -> None:
        self._lifeCall = self._reactor.callLater(self._supervisor.interval / 2, self._tellLife)
        self._supervisor.tell("WATCHDOG=1")

    def stopService(self) -> None:
        """
        Say that the end has begun.
        """
        super().stopService()
        for call in (self._readyCall, self._lifeCall):
            if call is not None:
                call.cancel()
        self._readyCall = self._lifeCall = None
        self._supervisor.tell("STOPPING=1", "STATUS=stopping")
        self._supervisor.close()
