"""
The HTTP API on the network as a service of the node: over TCP and TLS.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IProtocolFactory
from twisted.logger import Logger
from twisted.web.resource import IResource

from bmff.errors import ConfigurationError, Mistake
from bmff.sections.values import Address
from bmff.sockets.secure import SecureFactory
from bmff.web.admission import Admission, NetworkGate
from bmff.web.api import Api, root
from bmff.web.refusals import Refusals
from bmff.web.secure import Certificates
from bmff.web.site import ApiSite

LOOPBACK: Final = "127.0.0.1"
FIRST_PORT: Final = 54080
MOST_PORTS: Final = 200  # that are tried on one host


def hostNames(names: Iterable[str]) -> frozenset[str]:
    """
    The names of a node as requests are compared with them.
    """
    return frozenset(name.lower() for name in names)


class Listening(Protocol):
    """
    Where the API listens, see L{bmff.sections.web.Web}.
    """

    @property
    def listen(self) -> tuple[Address, ...] | None:
        """
        Addresses for HTTP in clear; L{None} for a free port of loopback.
        """

    @property
    def tls(self) -> tuple[Address, ...]:
        """
        Addresses for HTTP over TLS.
        """

    @property
    def certificate(self) -> Path | None: ...

    @property
    def privateKey(self) -> Path | None: ...

    @property
    def connections(self) -> int: ...


class Openness(Protocol):
    """
    Whom the API is for, see L{bmff.sections.web.Web}.
    """

    @property
    def hosts(self) -> tuple[str, ...]: ...

    @property
    def public(self) -> bool: ...

    @property
    def streams(self) -> int: ...


class WebService(Service):
    """
    Opens and closes the sockets.

    @ivar ports: the listening ports.
    @ivar alive: see L{bmff.reload.Reloadable}.
    """

    alive: Final = frozenset(("web.hosts", "web.public", "web.streams"))
    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        settings: Listening,
        api: Api,
        admission: Admission,
        refusals: Refusals,
        page: IResource | None = None,
    ) -> None:
        """
        @param page: what browsers are shown.
        """
        self.ports: list[Any] = []
        self._reactor = reactor
        self._settings = settings
        self._api = api
        self._admission = admission
        self._behind = root(api.resources, page)
        self._site = ApiSite(
            NetworkGate(self._behind, admission),
            refusals,
            reactor,
            connections=settings.connections,
        )

    def prepare(self, section: Openness) -> Callable[[], None]:
        """
        See L{bmff.reload.Reloadable}. Who has asked already is asked nothing again: it counts from
        the next request.
        """
        return partial(self._takeOn, section)

    def _takeOn(self, section: Openness) -> None:
        self._admission = replace(
            self._admission, hosts=hostNames(section.hosts), public=section.public
        )
        self._site.resource = NetworkGate(self._behind, self._admission)
        self._api.useStreams(section.streams)

    def privilegedStartService(self) -> None:
        """
        Listen, as a port may need a right that is given up afterwards.

        @raise ConfigurationError: a socket cannot be had, or the certificate cannot be used.
        """
        super().privilegedStartService()
        settings = self._settings
        try:
            if settings.listen is None:
                self._listenSomewhere()
            else:
                for address in settings.listen:
                    self._listen(address, self._site, "web.listen", "http")
            if settings.tls:
                factory = SecureFactory(self._site, self._certificates().context)
                for address in settings.tls:
                    self._listen(address, factory, "web.tls", "https")
        except ConfigurationError:
            self._close()
            raise

    def startService(self) -> None:
        """
        Begin.
        """
        if not self.ports:
            self.privilegedStartService()
        super().startService()
        self._api.start()

    def stopService(self) -> Any:
        """
        End all streams and close.
        """
        super().stopService()
        self._api.stop()
        for connection in tuple(self._site.connections):
            connection.forceAbortClient()
        return self._close()

    def _certificates(self) -> Certificates:
        certificate, key = self._settings.certificate, self._settings.privateKey
        if certificate is None:
            raise ConfigurationError([Mistake("web.certificate", "is missing, for web.tls")])
        return Certificates(certificate, key or certificate)

    def _listenSomewhere(self) -> None:
        """
        Take the first free port of loopback. A host on which none is free has others to serve it.
        """
        for port in range(FIRST_PORT, FIRST_PORT + MOST_PORTS):
            try:
                self._open(Address(LOOPBACK, port), self._site, "http")
            except CannotListenError:
                continue
            return
        self._log.warn(
            "no port from {first} is free: the API is at its control socket only", first=FIRST_PORT
        )

    def _listen(self, address: Address, factory: IProtocolFactory, place: str, scheme: str) -> None:
        try:
            self._open(address, factory, scheme)
        except CannotListenError as error:
            reason = f"cannot listen on {address}: {error.socketError}"
            raise ConfigurationError([Mistake(place, reason)]) from None

    def _open(self, address: Address, factory: IProtocolFactory, scheme: str) -> None:
        port = self._reactor.listenTCP(address.port, factory, interface=address.host)
        self.ports.append(port)
        self._log.info(
            "the API is at {scheme}://{address}/",
            scheme=scheme,
            address=Address(address.host, port.getHost().port),
        )

    def _close(self) -> Deferred[Any]:
        ports, self.ports = self.ports, []
        return DeferredList([maybeDeferred(port.stopListening) for port in ports])
