"""
The reactor, but with names of the test's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from twisted.internet import reactor
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IResolutionReceiver


class NamedReactor:
    """
    Answers for some names at once and for others never.

    @ivar nameResolver: that answers.
    @ivar asked: those who wait for an answer.
    """

    def __init__(self, names: Mapping[str, Iterable[str]]) -> None:
        """
        @param names: the addresses of each name.
        """
        self.nameResolver = self
        self.asked: list[IResolutionReceiver] = []
        self._names = names

    def __getattr__(self, name: str) -> Any:
        return getattr(reactor, name)

    def resolveHostName(self, receiver: IResolutionReceiver, host: str, port: int) -> None:
        """
        @see: L{twisted.internet.interfaces.IHostnameResolver}
        """
        if host not in self._names:
            self.asked.append(receiver)
            return
        for address in self._names[host]:
            kind = IPv6Address if ":" in address else IPv4Address
            receiver.addressResolved(kind("TCP", address, port))
        receiver.resolutionComplete()
