"""
What a node tells another in each measurement of how it can be reached: its transports, its host,
its number, and the transport that its operator wants for this link.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

LARGEST: Final = 255  # bytes


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
    """

    transports: frozenset[str] = frozenset()
    host: str = ""
    port: int = 0
    wish: str = ""

    def encode(self) -> str:
        """
        As text, C{t=tcp,udp;h=0123456789abcdef;p=54000;w=tcp}. Names that are too many for a
        measurement are left away.
        """
        rest = "".join(
            f";{key}={value}"
            for key, value in (("h", self.host), ("p", self.port), ("w", self.wish))
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
        digits = items.get("p", "")
        port = int(digits) if digits.isascii() and digits.isdecimal() and len(digits) <= 5 else 0
        return cls(
            frozenset(name for name in items.get("t", "").split(",") if name),
            items.get("h", ""),
            port if port <= 65535 else 0,
            items.get("w", ""),
        )
