"""
The units of instances: the template C{bmnode@.service} that all share, a socket where one is wanted
(systemd.service(5), systemd.socket(5), systemctl(1) of systemd 252).
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from subprocess import PIPE, STDOUT, run
from typing import Final

from bmff.config import Configuration
from bmff.ctl.instances.places import Places
from bmff.ctl.instances.steps import Step
from bmff.errors import ConfigurationError, Mistake

TEMPLATE: Final = "bmnode@.service"
# The file etc/bmnode@.service is this one; a node that pip has installed has no etc.
SERVICE: Final = r"""# A node for each file in /opt/BrandMeister/Instances: bmffctl instance add
# What is to be different on this host belongs into a drop-in: systemctl edit bmnode@NUMBER

[Unit]
Description=bmff DMR node %i
Wants=network-online.target
After=network-online.target bmff-registry.service mosquitto.service

[Service]
Type=notify
NotifyAccess=main
ExecStart=/opt/BrandMeister/venv/bin/twistd --nodaemon --pidfile= bmnode \
    --config /opt/BrandMeister/Instances/%i.toml
ExecReload=/bin/kill -HUP $MAINPID
User=bmff
Group=bmff
StateDirectory=bmff
StateDirectoryMode=0711

# The node says that it is ready when hotspots can log in and links can be made. Its reactor gives a
# sign of life every 5 s; one that does not turn gives none, and the node is started anew.
WatchdogSec=10
TimeoutStartSec=60
TimeoutStopSec=15
Restart=on-failure
RestartSec=1
# From one process to the next systemd keeps the hotspots' sockets, and what comes in meanwhile.
FileDescriptorStoreMax=32

# Not PrivateTmp, DynamicUser or PrivateUsers: nodes of one host find one another in /tmp and trust
# one another by their user. Not PrivateDevices or ProtectClock: they hide RDMA's devices. Not
# ProcSubset=pid: a node knows its host by /proc/sys/kernel/random/boot_id.
NoNewPrivileges=yes
CapabilityBoundingSet=
ProtectSystem=strict
ReadWritePaths=/tmp
ProtectHome=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectHostname=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK AF_VSOCK AF_IB
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
# RDMA and shared memory are locked into memory; one descriptor for each link, path and socket.
LimitMEMLOCK=infinity
LimitNOFILE=65536

[Install]
WantedBy=multi-user.target
"""
_SOCKET: Final = """\
# Made by: bmffctl instance add --activate {name}

[Unit]
Description=Hotspots' port of bmff DMR node {name}

[Socket]
{listen}
BindIPv6Only=ipv6-only
ReceiveBuffer=4M
FileDescriptorName=homebrew

[Install]
WantedBy=sockets.target
"""
_DEFAULT: Final = Places(Path("/"))
_DEFAULT_TWISTD: Final = "/opt/BrandMeister/venv/bin/twistd"


def serviceText(places: Places) -> str:
    """
    The template for these places.
    """
    text = SERVICE.replace(_DEFAULT_TWISTD, str(places.twistd))
    text = text.replace(str(_DEFAULT.instances), str(places.instances))
    if not places.live:
        text = text.replace("ReadWritePaths=/tmp", f"ReadWritePaths=/tmp {places.state}")
    return text


def socketText(name: str, configuration: Configuration) -> str:
    """
    The unit of an instance's socket.

    @param name: the instance's name.
    @raise ConfigurationError: it takes no hotspots.
    """
    if configuration.homebrew is None:
        raise ConfigurationError([Mistake("homebrew", "is not there, so there is no socket")])
    listen = "\n".join(f"ListenDatagram={each}" for each in configuration.homebrew.listen)
    return _SOCKET.format(name=name, listen=listen)


def isEnabled(places: Places, name: str) -> bool:
    """
    Whether an instance is started with the host.
    """
    return (places.units / "multi-user.target.wants" / f"bmnode@{name}.service").is_symlink()


class Units:
    """
    The units of a host's instances.
    """

    def __init__(self, places: Places) -> None:
        """
        @raise ConfigurationError: this host has no systemctl.
        """
        self._places = places
        program = shutil.which("systemctl")
        if program is None:
            message = "is not on this host; --no-systemd does the rest"
            raise ConfigurationError([Mistake("systemctl", message)])
        self._program = program

    def socketPath(self, name: str) -> Path:
        """
        Where an instance's socket unit is, if it has one.
        """
        return self._places.units / f"bmnode@{name}.socket"

    def adding(self, name: str, socket: str | None, now: bool) -> Iterator[Step]:
        """
        The steps that make a unit of an instance.

        @param name: the instance's name.
        @param socket: the text of its socket unit, if it is to have one.
        @param now: start it as well.
        """
        template = self._places.units / TEMPLATE
        text = serviceText(self._places)
        if not template.exists() or template.read_text() != text:
            yield writing(template, text)
        units = [f"bmnode@{name}.service"]
        if socket is not None:
            yield writing(self.socketPath(name), socket)
            units.append(f"bmnode@{name}.socket")
        if self._places.live:
            yield self._step(["daemon-reload"])
        yield self._step(["enable", *units], ["disable", *units])
        if now and self._places.live:
            yield self._step(["start", *reversed(units)], ["stop", *units])

    def removing(self, name: str) -> Iterator[Step]:
        """
        The steps that stop an instance and take its units away; the template stays.
        """
        units = [f"bmnode@{name}.service"]
        socket = self.socketPath(name)
        if socket.exists():
            units.insert(0, f"bmnode@{name}.socket")
        if self._places.live:
            yield self._step(["stop", *units])
        if (self._places.units / TEMPLATE).exists():
            yield self._step(["disable", *units], ["enable", *units])
        if socket.exists():
            yield Step(f"remove {socket}", socket.unlink)
        if self._places.live:
            yield self._step(["daemon-reload"])

    def _step(self, words: list[str], undo: list[str] | None = None) -> Step:
        do = partial(self._run, words)
        text = " ".join(["run systemctl", *self._root, *words])
        return Step(text, do) if undo is None else Step(text, do, partial(self._run, undo))

    @property
    def _root(self) -> list[str]:
        return [] if self._places.live else [f"--root={self._places.prefix}"]

    def _run(self, words: list[str]) -> None:
        """
        @raise ConfigurationError: systemctl fails; with its words.
        """
        command = [self._program, *self._root, *words]
        done = run(command, stdout=PIPE, stderr=STDOUT, text=True, check=False)
        if done.returncode:
            raise ConfigurationError([Mistake(" ".join(command), done.stdout.strip() or "failed")])


def writing(path: Path, text: str) -> Step:
    """
    The step that writes a file, in place of what is there.
    """
    before = path.read_text() if path.exists() else None

    def write() -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o644)

    def undo() -> None:
        if before is None:
            path.unlink()
        else:
            path.write_text(before)

    return Step(f"write {path}", write, undo)
