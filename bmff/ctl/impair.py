"""
C{bmffctl impair}: a UDP proxy that is a bad path, so that an operator hears what one does to calls.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from math import inf
from random import Random
from typing import Any, Final, TypeAlias

from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IDelayedCall
from twisted.python import usage

from bmff.sockets.addresses import IPV4_SIZE, formatAddress, packAddress, unpackAddress
from bmff.sockets.datagrams import DatagramPort
from bmff.testing.impairment import Impairer, Impairment

LARGEST: Final = 2048  # bytes of a datagram; no path of ours carries longer ones
MOST_CLIENTS: Final = 64
MOST_UNDERWAY: Final = 16_384  # datagrams of one direction whose delay has not passed
IDLE: Final = 60.0  # seconds without a datagram after which a client is forgotten
REPORT_INTERVAL: Final = 10.0  # seconds
DIRECTIONS: Final = ("there", "back")

# Each option that is a number: the least and the most, and what it counts.
_NUMBERS: Final = {
    "loss": (0.0, 100.0, "percent"),
    "burst": (1.0, 10_000.0, "datagrams"),
    "delay": (0.0, 60_000.0, "milliseconds"),
    "jitter": (0.0, 60_000.0, "milliseconds"),
    "reorder": (0.0, 100.0, "percent"),
    "displacement": (1.0, 1000.0, "datagrams"),
    "duplicate": (0.0, 100.0, "percent"),
    "seed": (0.0, 2.0**32 - 1, ""),
    "seconds": (0.001, 1e9, "seconds"),
    "cut-after": (0.0, 1e9, "seconds"),
    "cut-for": (0.001, 1e9, "seconds"),
}
_WHOLE: Final = ("displacement", "seed")


class ImpairOptions(usage.Options):
    """
    The options of C{bmffctl impair}.

    @ivar impairment: what the path does.
    """

    synopsis = "--listen HOST:PORT --to HOST:PORT [options]"
    longdesc = (
        "Carries datagrams between whoever sends to --listen and the address of --to, and does to "
        "them what a bad path does, in both directions. Shares are percent, times milliseconds "
        "where nothing else is said. Without any of them the path is a good one."
    )
    optParameters = [
        ["listen", "l", None, "the address to be reached at"],
        ["to", "t", None, "the address behind it"],
        ["loss", None, "0", "percent that are lost"],
        ["burst", None, "1", "how many are lost in a row on average; 1: each by itself"],
        ["delay", None, "0", "milliseconds that each takes"],
        ["jitter", None, "0", "milliseconds that it may take in addition"],
        ["reorder", None, "0", "percent that are held back until others have passed"],
        ["displacement", None, "3", "how many others pass at most"],
        ["duplicate", None, "0", "percent that arrive twice"],
        ["only", None, None, "there (to the address behind) or back: the other direction is good"],
        ["seed", None, None, "the same seed does the same to the same traffic"],
        ["seconds", "s", None, "how long to run; until Ctrl-C when absent"],
        ["cut-after", None, None, "seconds from the start until nothing gets through"],
        ["cut-for", None, None, "seconds until it does again; never when absent"],
    ]
    optFlags = [["exact", None, "lose exactly --burst in a row each time"]]

    def postOptions(self) -> None:
        """
        Make numbers of the words.

        @raise usage.UsageError: with every mistake.
        """
        mistakes = [*self._placeMistakes(), *self._numberMistakes()]
        if self["only"] not in (None, *DIRECTIONS):
            mistakes.append("--only is there or back")
        if self["cut-for"] is not None and self["cut-after"] is None:
            mistakes.append("--cut-for needs --cut-after")
        if not mistakes:
            if self["seed"] is None:
                self["seed"] = int.from_bytes(os.urandom(4), "big")
            try:
                self.impairment = Impairment(
                    loss=self["loss"] / 100,
                    burst=self["burst"],
                    exact=bool(self["exact"]),
                    delay=self["delay"] / 1000,
                    jitter=self["jitter"] / 1000,
                    reordering=self["reorder"] / 100,
                    displacement=self["displacement"],
                    duplication=self["duplicate"] / 100,
                )
            except ValueError as error:
                mistakes.append(f"--loss, --burst and --exact do not fit together: {error}")
        if mistakes:
            raise usage.UsageError("; ".join(mistakes))

    def _placeMistakes(self) -> list[str]:
        mistakes = []
        for name, least in (("listen", 0), ("to", 1)):
            try:
                self[name] = _place(self[name] or "", least)
            except ValueError as error:
                mistakes.append(f"--{name} {error}")
        return mistakes

    def _numberMistakes(self) -> list[str]:
        mistakes = []
        for name, (least, most, unit) in _NUMBERS.items():
            if self[name] is None:
                continue
            try:
                number = int(self[name]) if name in _WHOLE else float(self[name])
            except ValueError:
                number = inf
            if least <= number <= most:
                self[name] = number
            else:
                kind = "a whole number" if name in _WHOLE else "a number"
                of = f" of {unit}" if unit else ""
                mistakes.append(f"--{name} is {kind}{of}, {least:.15g} to {most:.15g}")
        return mistakes

    def run(self) -> int:
        """
        Be the path.

        @return: 0, or 1 when an address is not to be had.
        """
        from twisted.internet import reactor

        reactor.seconds = time.monotonic  # type: ignore[method-assign]
        try:
            proxy = Proxy(reactor, self, _resolve(*self["listen"]), _resolve(*self["to"]))
            proxy.start()
        except (OSError, ValueError, CannotListenError) as error:
            print(f"bmffctl: {error}", file=sys.stderr)
            return 1
        reactor.addSystemEventTrigger("before", "shutdown", proxy.stop)
        reactor.run()
        return 0


class Client:
    """
    Somebody who uses the path, and the socket by which the address behind it knows them.

    @ivar address: where they are.
    @ivar port: the socket.
    @ivar heard: when the last datagram came from them or for them, seconds.
    """

    def __init__(self, proxy: Proxy, address: bytes, now: float) -> None:
        """
        @raise CannotListenError: there is no socket to be had.
        """
        self.address = address
        self.heard = now
        self._proxy = proxy
        self.port = proxy.openPort(self)

    def datagramReceived(self, data: bytes, address: bytes, now: float) -> None:
        """
        An answer.
        """
        if address != self._proxy.target:
            self._proxy.strangers += 1
            return
        self.heard = now
        self._proxy.back.carry(data, self, now)

    def flush(self) -> None:
        """
        Nothing waits for the end of a turn.
        """


# A datagram and whose it is.
Carried: TypeAlias = tuple[bytes, Client]


class Direction:
    """
    One direction of the path, which all clients share.

    @ivar name: one of L{DIRECTIONS}.
    @ivar impairer: what becomes of its datagrams.
    @ivar carried: datagrams that it sent on, doubles among them.
    @ivar unsent: datagrams that the kernel did not take.
    @ivar crowded: datagrams that were dropped since too many were under way.
    """

    def __init__(
        self,
        reactor: Any,
        name: str,
        impairment: Impairment,
        seed: int,
        send: Callable[[bytes, Client], bool],
    ) -> None:
        """
        @param send: sends a datagram on, and says whether the kernel took it.
        """
        self.name = name
        # Each direction has a chance of its own, whatever the other carries.
        self.impairer: Impairer[Carried] = Impairer(impairment, Random(f"{seed} {name}"))
        self.carried = 0
        self.unsent = 0
        self.crowded = 0
        self._reactor = reactor
        self._send = send
        self._underway: set[IDelayedCall] = set()
        self._wake: IDelayedCall | None = None

    def carry(self, data: bytes, client: Client, now: float) -> None:
        """
        Take a datagram on its way.
        """
        self._leave(self.impairer.take((data, client), now))

    def cut(self, cut: bool) -> None:
        """
        Let nothing through, or everything again that the path lets through.
        """
        self.impairer.impairment = replace(self.impairer.impairment, cut=cut)

    def stop(self) -> None:
        """
        Forget what is under way.
        """
        for call in (*self._underway, self._wake):
            if call is not None and call.active():
                call.cancel()
        self._underway.clear()
        self._wake = None

    def __str__(self) -> str:
        impairer = self.impairer
        parts = [
            f"{self.carried} carried",
            f"{impairer.lost} lost ({100 * impairer.lost / max(1, impairer.taken):.1f} %)",
            f"{impairer.doubled} doubled",
            f"{impairer.reordered} reordered",
        ]
        if self.unsent:
            parts.append(f"{self.unsent} not taken by the kernel")
        if self.crowded:
            parts.append(f"{self.crowded} too many at once")
        return f"{self.name}: {', '.join(parts)}"

    def _leave(self, leaving: list[tuple[float, Carried]]) -> None:
        for delay, (data, client) in leaving:
            if not delay:
                self._arrive(data, client)
            elif len(self._underway) >= MOST_UNDERWAY:
                self.crowded += 1
            else:
                self._later(delay, data, client)
        if self._wake is None and self.impairer.holding:
            wait = max(0.0, self.impairer.deadline() - self._reactor.seconds())
            self._wake = self._reactor.callLater(wait, self._release)

    def _later(self, delay: float, data: bytes, client: Client) -> None:
        def arrive() -> None:
            self._underway.discard(call)
            self._arrive(data, client)

        call: IDelayedCall = self._reactor.callLater(delay, arrive)
        self._underway.add(call)

    def _arrive(self, data: bytes, client: Client) -> None:
        if self._send(data, client):
            self.carried += 1
        else:
            self.unsent += 1

    def _release(self) -> None:
        self._wake = None
        self._leave(self.impairer.timeout(self._reactor.seconds()))


class Proxy:
    """
    The path: a port for clients, and a socket for each of them to the address behind it.

    @ivar target: the address behind it.
    @ivar there: the direction to it.
    @ivar back: the direction from it.
    @ivar clients: who uses the path, by address.
    @ivar turnedAway: datagrams of those who were one too many.
    @ivar strangers: datagrams that came to a client's socket from elsewhere.
    """

    def __init__(self, reactor: Any, options: ImpairOptions, listen: bytes, target: bytes) -> None:
        """
        Bind.

        @raise CannotListenError: the address to be reached at is not to be had.
        @raise ValueError: the path would lead to itself.
        """
        self.target = target
        self.clients: dict[bytes, Client] = {}
        self.turnedAway = 0
        self.strangers = 0
        self._reactor = reactor
        self._options = options
        self._timers: dict[Callable[[], None], IDelayedCall] = {}
        self._stopped = False
        if listen == target:
            raise ValueError(f"{formatAddress(target)}: the path would lead to itself")
        host, port = unpackAddress(listen)[:2]
        self.port = DatagramPort(reactor, host, port, self, size=LARGEST)
        impairment, only, seed = options.impairment, options["only"], options["seed"]
        self.there, self.back = (
            Direction(
                reactor, name, impairment if only in (None, name) else Impairment(), seed, send
            )
            for name, send in zip(DIRECTIONS, (self._sendThere, self._sendBack), strict=True)
        )
        self._cuttable = [one for one in (self.there, self.back) if only in (None, one.name)]

    def start(self) -> None:
        """
        Carry from now on.
        """
        self.port.startListening()
        here, target = formatAddress(self.port.address), formatAddress(self.target)
        _say(f"seed {self._options['seed']}: {here} leads to {target}")
        self._after(REPORT_INTERVAL, self._report)
        for name, call in (("cut-after", self._cut), ("seconds", self._reactor.stop)):
            if self._options[name] is not None:
                self._after(self._options[name], call)

    def stop(self) -> None:
        """
        Carry nothing more, and say what was.
        """
        if self._stopped:
            return
        self._stopped = True
        for timer in self._timers.values():
            if timer.active():
                timer.cancel()
        for direction in (self.there, self.back):
            direction.stop()
        for client in self.clients.values():
            client.port.stopListening()
        self.port.stopListening()
        self._say()

    def openPort(self, client: Client) -> DatagramPort:
        """
        A socket to the address behind.

        @raise CannotListenError: there is none to be had.
        """
        loopback, everywhere = (
            ("127.0.0.1", "0.0.0.0") if len(self.target) == IPV4_SIZE else ("::1", "::")
        )
        # Nobody else can send to a socket of loopback.
        local = unpackAddress(self.target)[0] == loopback
        port = DatagramPort(
            self._reactor, loopback if local else everywhere, 0, client, size=LARGEST
        )
        port.startListening()
        return port

    def datagramReceived(self, data: bytes, address: bytes, now: float) -> None:
        """
        A client sends; one that is new gets a socket.
        """
        client = self.clients.get(address)
        if client is None:
            if len(self.clients) >= MOST_CLIENTS:
                self._forget(now)
            if len(self.clients) >= MOST_CLIENTS:
                self.turnedAway += 1
                return
            try:
                client = Client(self, address, now)
            except CannotListenError:
                self.turnedAway += 1
                return
            self.clients[address] = client
        client.heard = now
        self.there.carry(data, client, now)

    def flush(self) -> None:
        """
        Nothing waits for the end of a turn.
        """

    def _sendThere(self, data: bytes, client: Client) -> bool:
        return client.port.sendTo(data, self.target)

    def _sendBack(self, data: bytes, client: Client) -> bool:
        return self.port.sendTo(data, client.address)

    def _after(self, seconds: float, call: Callable[[], None]) -> None:
        self._timers[call] = self._reactor.callLater(seconds, call)

    def _forget(self, now: float) -> None:
        """
        Let go of those who have been idle for too long.
        """
        for client in list(self.clients.values()):
            if now - client.heard >= IDLE:
                client.port.stopListening()
                del self.clients[client.address]

    def _report(self) -> None:
        self._after(REPORT_INTERVAL, self._report)
        self._forget(self._reactor.seconds())
        self._say()

    def _say(self) -> None:
        _say(str(self.there))
        _say(str(self.back))
        if self.turnedAway:
            _say(f"turned away: {self.turnedAway} datagrams of more than {MOST_CLIENTS} clients")
        if self.strangers:
            _say(f"strangers: {self.strangers} datagrams from elsewhere than the address behind")

    def _cut(self) -> None:
        for direction in self._cuttable:
            direction.cut(True)
        _say("cut")
        if self._options["cut-for"] is not None:
            self._after(self._options["cut-for"], self._mend)

    def _mend(self) -> None:
        for direction in self._cuttable:
            direction.cut(False)
        _say("whole again")


def _say(text: str) -> None:
    print(text, flush=True)


def _place(text: str, least: int) -> tuple[str, int]:
    """
    Host and port of C{host:port} or C{[host]:port}.

    @param least: the least port.
    @raise ValueError: it is nothing like that.
    """
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        colon = ""
    if not (host and colon and port.isascii() and port.isdigit() and len(port) <= 5):
        raise ValueError("is HOST:PORT, with an IPv6 address in brackets")
    if not least <= int(port) <= 0xFFFF:
        raise ValueError(f"has a port of {least} to 65535")
    return host, int(port)


def _resolve(host: str, port: int) -> bytes:
    """
    The address of a host and a port.

    @raise OSError: the host has none.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0][4]
    except OSError as error:
        raise OSError(f"{host}: {error.strerror}") from error
    return packAddress(str(found[0]), int(found[1]))
