"""
What a node tells another in each measurement of how it can be reached: its transports, its host,
its number, its place at a hypervisor, and the transport that its operator wants for this link.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

LARGEST: Final = 255  # bytes
LARGEST_CID: Final = 0xFFFF_FFFE


@dataclass(frozen=True, slots=True)
class Capabilities:
    """
    One node's, as another node hears them.

    @ivar transports: their names.
    @ivar host: of nodes that are on one host and share its folder of sockets it is the same; empty
        when it is not told.
    @ivar port: the node's FastForward number, 0 when it is not told.
    @ivar wish: the transport that the node's operator wants for the link; empty without an
        override.
    @ivar hypervisor: the name that the nodes of one hypervisor have for it; empty when it is not
        told.
    @ivar cid: the context ID of the node's machine there, 2 for the host itself; 0 when it is not
        told.
    """

    transports: frozenset[str] = frozenset()
    host: str = ""
    port: int = 0
    wish: str = ""
    hypervisor: str = ""
    cid: int = 0

    def encode(self) -> str:
        """
        As text, C{t=tcp,udp;h=0123456789abcdef;p=54000;w=tcp}. Names that are too many for a
        measurement are left away.
        """
        place = f"{self.cid}@{self.hypervisor}" if self.hypervisor and self.cid else ""
        rest = "".join(
            f";{key}={value}"
            for key, value in (("h", self.host), ("p", self.port), ("w", self.wish), ("v", place))
            if value
        )
        names: list[str] = []
        for name in sorted(self.transports):
            if len(",".join([*names, name])) + len(rest) + 2 <= LARGEST:
                names.append(name)
        return "t=" + ",".join(names) + rest

    @classmethod
    def decode(cls, text: str) -> Capabilities:
        """
        What a text says; what is not understood in it is passed over.
        """
        items = dict(item.partition("=")[::2] for item in text.split(";"))
        cid, _, hypervisor = items.get("v", "").partition("@")
        known = _number(cid, LARGEST_CID) if hypervisor else 0
        return cls(
            frozenset(name for name in items.get("t", "").split(",") if name),
            items.get("h", ""),
            _number(items.get("p", ""), 65535),
            items.get("w", ""),
            hypervisor if known else "",
            known,
        )


def _number(digits: str, largest: int) -> int:
    """
    What digits say; 0 for what is none or too large.
    """
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= len(str(largest))):
        return 0
    number = int(digits)
    return number if number <= largest else 0
