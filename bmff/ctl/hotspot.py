"""
C{bmffctl hotspot}: a simulated hotspot, with which an operator tries a node.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from math import inf
from typing import Any, Final

from twisted.python import usage

from bmff.config import defaultState, loadConfiguration
from bmff.dmr.frame import DATA_SYNC, FRAME_PERIOD, KIND, Frame
from bmff.dmr.voice import voiceCall
from bmff.keys import Secrets
from bmff.protocols.hotspot import Hotspot
from bmff.sockets.addresses import packAddress
from bmff.sockets.datagrams import DatagramPort
from bmff.wire.homebrew import Station
from bmff.wire.homebrewclient import Client, Event, LoggedIn, LoggedOut

PORT: Final = 62031
PATIENCE: Final = 30.0  # seconds until a login that nobody answers is given up
SUPERFRAME: Final = 6 * FRAME_PERIOD  # seconds
_STAMP = struct.Struct(">4sQ")  # in place of the first vocoder bits: mark, nanoseconds since 1970
_MARK: Final = b"bmff"


@dataclass
class Report:
    """
    What a hotspot sent and heard.

    @ivar sent: frames.
    @ivar heard: frames.
    @ivar lost: frames that were missing in the calls that it heard.
    @ivar calls: how many it heard.
    @ivar latencies: milliseconds from the sender's stamp to here, of the frames that had one.
    """

    sent: int = 0
    heard: int = 0
    lost: int = 0
    calls: int = 0
    latencies: list[float] = field(default_factory=list)
    _sequences: dict[int, int] = field(default_factory=dict)

    def frameHeard(self, frame: Frame, wallNanoseconds: int) -> None:
        """
        Count a frame.
        """
        self.heard += 1
        before = self._sequences.get(frame.stream)
        if before is None:
            self.calls += 1
        else:
            step = (frame.sequence - before) & 0xFF
            if 0 < step < 128:
                self.lost += step - 1
        self._sequences[frame.stream] = frame.sequence
        if frame.flags & KIND != DATA_SYNC:
            mark, stamp = _STAMP.unpack_from(frame.burst)
            if mark == _MARK:
                self.latencies.append((wallNanoseconds - stamp) / 1e6)

    def figures(self) -> dict[str, Any]:
        """
        The report as JSON takes it.
        """
        content = asdict(self)
        del content["_sequences"], content["latencies"]
        if self.latencies:
            ordered = sorted(self.latencies)
            content["latency_median_ms"] = round(ordered[len(ordered) // 2], 3)
            content["latency_p99_ms"] = round(ordered[int(len(ordered) * 0.99)], 3)
        return content

    def __str__(self) -> str:
        parts = [f"sent {self.sent} frames", f"heard {self.heard} in {self.calls} calls"]
        if self.heard:
            share = 100 * self.lost / (self.heard + self.lost)
            parts.append(f"lost {self.lost} ({share:.1f} %)")
        figures = self.figures()
        if "latency_median_ms" in figures:
            parts.append(
                f"latency {figures['latency_median_ms']:.2f} ms median, "
                f"{figures['latency_p99_ms']:.2f} ms p99"
            )
        return ", ".join(parts)


def stamped(frame: Frame, wallNanoseconds: int) -> Frame:
    """
    A voice frame with the time in place of its first vocoder bits, which makes it a short noise.
    """
    body = frame.body
    return Frame(frame.addressing, body[:5] + _STAMP.pack(_MARK, wallNanoseconds) + body[17:])


class HotspotOptions(usage.Options):
    """
    The options of C{bmffctl hotspot}.
    """

    synopsis = "[options] [HOST[:PORT]]"
    longdesc = (
        "Logs in to a node as a hotspot does, makes calls, listens, and reports. The password is "
        "taken from BMFF_PASSWORD, from --password-file, or from this host's secrets file. "
        "HOST is 127.0.0.1 when it is not given."
    )
    optParameters = [
        ["id", "i", 2340001, "the hotspot's ID", int],
        ["callsign", None, "N0CALL", "its callsign"],
        ["password-file", "p", None, "a file whose first line is the password"],
        ["config", "c", None, "the node's configuration file, for the secrets file it names"],
        ["slots", None, 4, "1, 2, 3 (both) or 4 (simplex)", int],
        ["options", "o", "", "options to send, such as TS2=91"],
        ["call", None, None, "call this talkgroup", int],
        ["private", None, None, "call this radio", int],
        ["from", None, None, "the radio ID that calls; the hotspot's when absent", int],
        ["slot", None, 2, "the slot to call on", int],
        ["seconds", "s", 5.0, "how long a call lasts", float],
        ["calls", "n", 1, "how many calls", int],
        ["listen", "l", 0.0, "how many seconds to listen after the calls", float],
    ]
    optFlags = [
        ["stamp", None, "put the time into voice frames, so that a listener can tell the latency"],
        ["json", "j", "print the report as JSON"],
        ["quiet", "q", "print only the report"],
    ]

    def parseArgs(self, master: str = "127.0.0.1") -> None:
        """
        @param master: host and port.
        """
        self["master"] = master

    def postOptions(self) -> None:
        """
        @raise usage.UsageError: they do not fit together.
        """
        if self["call"] is not None and self["private"] is not None:
            raise usage.UsageError("--call or --private, not both")
        if self["slot"] not in {1, 2}:
            raise usage.UsageError("--slot is 1 or 2")
        if not 1 <= self["id"] <= 0xFFFFFFFF:
            raise usage.UsageError("--id is 1 to 4294967295")
        for name in ("call", "private", "from"):
            if self[name] is not None and not 1 <= self[name] <= 0xFFFFFF:
                raise usage.UsageError(f"--{name} is 1 to 16777215")
        if self["slots"] not in {1, 2, 3, 4}:
            raise usage.UsageError("--slots is 1 to 4")
        if not (0 < self["seconds"] < inf and self["calls"] >= 1 and 0 <= self["listen"] < inf):
            raise usage.UsageError("--seconds, --calls and --listen cannot be negative or none")

    def run(self) -> int:
        """
        Be the hotspot.

        @return: 0 when it could log in.
        """
        from twisted.internet import reactor

        try:
            address = _resolve(self["master"])
            passphrase = self._passphrase()
        except OSError as error:
            print(f"bmffctl: {self['master']}: {error}", file=sys.stderr)
            return 1
        reactor.seconds = time.monotonic  # type: ignore[method-assign]
        visit = Visit(reactor, self, address, passphrase)
        reactor.callWhenRunning(visit.begin)
        reactor.addSystemEventTrigger("before", "shutdown", visit.end)
        reactor.run()
        print(json.dumps(visit.report.figures()) if self["json"] else visit.report)
        return 0 if visit.loggedIn else 1

    def _passphrase(self) -> bytes:
        fromEnvironment = os.environ.get("BMFF_PASSWORD")
        if fromEnvironment:
            return fromEnvironment.encode()
        if self["password-file"] is not None:
            with open(self["password-file"], "rb") as file:
                return file.readline().rstrip(b"\r\n")
        secretID = "hotspots"
        if self["config"] is not None:
            configuration = loadConfiguration(self["config"])
            path = configuration.secrets
            if configuration.homebrew is not None:
                secretID = configuration.homebrew.password
        else:
            path = defaultState() / "secrets.toml"
        password = Secrets.load(path).homebrewPassword(secretID)
        if password is None:
            raise OSError(f"no password {secretID!r} in {path}")
        return password


class Visit:
    """
    One visit at a node: log in, call, listen, leave.

    @ivar report: what came of it.
    @ivar loggedIn: whether the login succeeded.
    """

    def __init__(
        self, reactor: Any, options: HotspotOptions, master: bytes, passphrase: bytes
    ) -> None:
        self.report = Report()
        self.loggedIn = False
        self._reactor = reactor
        self._options = options
        station = Station(
            options["id"],
            callsign=options["callsign"],
            rxFrequency=435_000_000,
            txFrequency=435_000_000 if options["slots"] == 4 else 430_000_000,
            power=1,
            colourCode=1,
            slots=options["slots"],
            location="simulated",
            software="bmffctl",
            package="bmff",
        )
        client = Client(station, passphrase, options["options"], self._frameReceived)
        self._hotspot = Hotspot(reactor, master, client, self._happened)
        anyHost = "0.0.0.0" if len(master) == len(packAddress("0.0.0.0", 0)) else "::"
        self._port = DatagramPort(reactor, anyHost, 0, self._hotspot)
        self._hotspot.transport = self._port

    def begin(self) -> None:
        """
        Log in.
        """
        self._port.startListening()
        self._hotspot.start()
        self._reactor.callLater(PATIENCE, self._giveUp)
        self._say(f"logging in to {self._options['master']} as {self._options['id']}")

    def _happened(self, event: Event) -> None:
        match event:
            case LoggedIn() if not self.loggedIn:
                self.loggedIn = True
                self._say("logged in")
                self._call(self._options["calls"])
            case LoggedIn():
                self._say("logged in again")
            case LoggedOut(reason=reason):
                self._say(f"not logged in: {reason}")
                if not self.loggedIn:
                    self._reactor.stop()

    def _call(self, left: int) -> None:
        options = self._options
        target = options["call"] if options["private"] is None else options["private"]
        if target is None or left == 0:
            self._reactor.callLater(options["listen"], self._reactor.stop)
            return
        frames = voiceCall(
            source=options["from"] or _radioID(options["id"]),
            destination=target,
            stream=int.from_bytes(os.urandom(4), "big") | 1,
            superframes=max(1, round(options["seconds"] / SUPERFRAME)),
            slot=options["slot"],
            private=options["private"] is not None,
        )
        self._say(f"calling {target}")
        self._sendNext(frames, self._reactor.seconds(), left)

    def _sendNext(self, frames: Iterator[Frame], due: float, left: int) -> None:
        """
        Send a frame and wait for the next one's time, which does not drift.
        """
        frame = next(frames, None)
        if frame is None:
            self._reactor.callLater(1.0, self._call, left - 1)
            return
        if self._options["stamp"] and frame.flags & KIND != DATA_SYNC:
            frame = stamped(frame, time.time_ns())
        self._hotspot.sendFrame(frame)
        self.report.sent += 1
        due += FRAME_PERIOD
        delay = max(0.0, due - self._reactor.seconds())
        self._reactor.callLater(delay, self._sendNext, frames, due, left)

    def _frameReceived(self, frame: Frame, now: float) -> None:
        before = self.report.calls
        self.report.frameHeard(frame, time.time_ns())
        if self.report.calls != before:
            kind = "radio" if frame.private else "TG"
            self._say(f"hearing {frame.source} to {kind} {frame.destination} slot {frame.slot}")

    def end(self) -> None:
        """
        Log out.
        """
        self._hotspot.stop()
        self._port.stopListening()

    def _giveUp(self) -> None:
        if not self.loggedIn:
            self._say(f"no answer in {PATIENCE:.0f} s")
            self._reactor.stop()

    def _say(self, text: str) -> None:
        if not (self._options["quiet"] or self._options["json"]):
            print(text, flush=True)


def _radioID(peerID: int) -> int:
    """
    Who calls when nobody is named: the owner of a hotspot with an ID of nine digits, else itself.
    """
    return peerID if peerID <= 0xFFFFFF else peerID // 100 & 0xFFFFFF


def _resolve(master: str) -> bytes:
    """
    The address of C{host}, C{host:port} or C{[host]:port}.

    @raise OSError: it has none.
    """
    host, port = master, str(PORT)
    if master.startswith("["):
        host, _, rest = master[1:].partition("]")
        port = rest.removeprefix(":") or port
    elif master.count(":") == 1:
        host, port = master.split(":")
    found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0][4]
    return packAddress(str(found[0]), int(found[1]))
