"""
Looks up host names on the reactor, which asks in a thread of its own (getaddrinfo(3)).
"""

from __future__ import annotations

from functools import partial
from typing import Final

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import (
    IAddress,
    IHostResolution,
    IReactorPluggableNameResolver,
    IReactorTime,
    IResolutionReceiver,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from bmff.errors import TransportUnavailable
from bmff.sockets.addresses import packAddress

MOST: Final = 4  # addresses of a name that are looked at
PATIENCE: Final = 5.0  # seconds


class NamingReactor(IReactorPluggableNameResolver, IReactorTime):
    """
    What looking up needs of the reactor.
    """


@implementer(IResolutionReceiver)
class _Answer:
    """
    Collects the addresses of one name.
    """

    def __init__(self, host: str, port: int) -> None:
        self.done: Deferred[list[bytes]] = Deferred(lambda _: None)
        self._host = host
        self._port = port
        self._keys: list[bytes] = []

    def resolutionBegan(self, resolutionInProgress: IHostResolution) -> None:
        """
        Twisted's own cannot be cancelled: a late answer is dropped instead.
        """

    def addressResolved(self, address: IAddress) -> None:
        """
        One address more.
        """
        if len(self._keys) >= MOST:
            return
        if isinstance(address, IPv6Address):
            zone = f"%{address.scopeID}" if address.scopeID else ""
            self._keys.append(packAddress(address.host.partition("%")[0] + zone, self._port))
        elif isinstance(address, IPv4Address):
            self._keys.append(packAddress(address.host, self._port))

    def resolutionComplete(self) -> None:
        """
        That was all.
        """
        if self.done.called:
            return
        if self._keys:
            self.done.callback(self._keys)
        else:
            self.done.errback(TransportUnavailable(f"no address for {self._host}"))


def lookUp(reactor: NamingReactor, host: str, port: int) -> Deferred[list[bytes]]:
    """
    The addresses of a host.

    @param host: a numeric address, which nobody is asked for, or a name.
    @param port: 0 to 65535.
    @return: a C{Deferred} of keys of L{bmff.sockets.addresses}, 1 to L{MOST} in the order in which
        they are to be tried; fails with L{TransportUnavailable}.
    """
    try:
        return succeed([packAddress(host, port)])
    except ValueError as error:
        if not host or not 0 <= port <= 0xFFFF:
            return fail(TransportUnavailable(str(error)))
    answer = _Answer(host, port)
    answer.done.addTimeout(PATIENCE, reactor, partial(_late, host))
    reactor.nameResolver.resolveHostName(answer, host, port)
    return answer.done


def _late(host: str, result: object, timeout: float) -> Failure:
    return Failure(TransportUnavailable(f"no answer about {host} in {timeout:g} s"))
