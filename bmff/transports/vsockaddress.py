"""
Addresses of vSockets as overrides hold them: a context ID in decimal, or C{unix:/path}, the UNIX
socket that a virtual machine monitor has on its host for the guest (vsock(7) of Linux; vsock.md of
Firecracker).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from struct import Struct
from typing import Final

from bmff.errors import TransportUnavailable

HOST: Final = 2  # the context ID of the machine that runs the guests
# 0 was the hypervisor's own, and the last one means "any".
SMALLEST: Final = 1
LARGEST: Final = 0xFFFF_FFFE
VMM: Final = "unix:"

_KEY: Final = Struct("!II")


@dataclass(frozen=True, slots=True)
class VSocketAddress:
    """
    Where a node is.

    @ivar cid: its context ID; 0 when it is behind a monitor.
    @ivar path: the monitor's UNIX socket; empty when there is none.
    """

    cid: int
    path: str = ""

    @classmethod
    def parse(cls, text: str) -> VSocketAddress:
        """
        What an override says.

        @raise TransportUnavailable: it is neither.
        """
        if text.startswith(VMM):
            path = text.removeprefix(VMM)
            if os.path.isabs(path) and path.isprintable():
                return cls(0, path)
        elif text.isascii() and text.isdecimal() and len(text) <= len(str(LARGEST)):
            cid = int(text)
            if SMALLEST <= cid <= LARGEST:
                return cls(cid)
        raise TransportUnavailable(f"{text!a} is no context ID in decimal and no unix:/path")


def packKey(cid: int, port: int) -> bytes:
    """
    The two as bytes.
    """
    return _KEY.pack(cid, port)


def formatPeer(cid: int, port: int) -> str:
    """
    The two, for people.
    """
    return f"CID {cid} port {port}"
