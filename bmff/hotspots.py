"""
The HomeBrew master of a node as a service: opens and closes the sockets that hotspots and repeaters
log in at.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any, Final

import attrs
from twisted.application.service import Service
from twisted.internet.error import CannotListenError
from twisted.logger import Logger

from bmff.access import Access
from bmff.errors import ConfigurationError, Mistake
from bmff.protocols.homebrew import HomeBrew
from bmff.router.router import Router
from bmff.sections.homebrew import Homebrew
from bmff.sections.values import Address
from bmff.sockets.datagrams import DatagramPort
from bmff.systemd import Supervisor
from bmff.toml import written

# Sockets, and what timers were made from.
_FIXED: Final = frozenset(("listen", "peerTimeout", "beaconInterval"))


class HomeBrewService(Service):
    """
    Opens and closes the sockets of a HomeBrew master, and has the master know what the operator
    says of hotspots now.

    @ivar ports: the open sockets.
    @ivar alive: see L{bmff.reload.Reloadable}.
    """

    alive: Final = frozenset(
        f"homebrew.{written(field.name)}"
        for field in attrs.fields(Homebrew)
        if field.name not in _FIXED
    )
    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        master: HomeBrew,
        router: Router,
        settings: Homebrew,
        supervisor: Supervisor | None = None,
        access: Access | None = None,
    ) -> None:
        """
        @param supervisor: what may have opened the sockets.
        @param access: the rules that the master asks, where they may change.
        """
        self.ports: list[DatagramPort] = []
        self._supervisor = supervisor or Supervisor()
        self._reactor = reactor
        self._master = master
        self._router = router
        self._settings = settings
        self._access = access

    def prepare(self, section: Homebrew) -> Callable[[], None]:
        """
        See L{bmff.reload.Reloadable}. Whoever is logged in and may stay does not notice.
        """

        def take() -> None:
            if section == self._settings:
                return
            self._settings = section
            self._router.setTimes(section.hangTime, section.talkLimit)
            if self._access is not None:
                self._access.reconfigure(section)
            self._master.reviewAccess()

        return take

    def privilegedStartService(self) -> None:
        """
        Bind the sockets, as a port may need a right that is given up afterwards.

        @raise ConfigurationError: none can be had.
        """
        super().privilegedStartService()
        missing = None
        for endpoint in self._settings.listen:
            try:
                self._bind(endpoint)
            except (OSError, ValueError, CannotListenError) as error:
                reason = getattr(error, "socketError", error)
                missing = ConfigurationError(
                    [Mistake("homebrew.listen", f"cannot listen on {endpoint}: {reason}")]
                )
                if ":" not in endpoint.host or socket.has_dualstack_ipv6():
                    self._close()
                    raise missing from None
                self._log.warn("no IPv6 on this host: not on {endpoint}", endpoint=endpoint)
        if missing is not None and not self.ports:
            raise missing

    def startService(self) -> None:
        """
        Listen.
        """
        if not self.ports:
            self.privilegedStartService()
        super().startService()
        for port in self.ports:
            port.startListening()
            self._log.info("hotspots log in at {host} port {port}", host=port.host, port=port.port)

    def stopService(self) -> None:
        """
        End the calls, say good-bye to the peers, and close.
        """
        super().stopService()
        self._router.stop(self._reactor.seconds())
        self._master.stop()
        self._close()

    def _bind(self, endpoint: Address) -> None:
        receiver = self._master.port()
        inherited = self._supervisor.take(endpoint.host, endpoint.port)
        port = (
            DatagramPort(self._reactor, endpoint.host, endpoint.port, receiver)
            if inherited is None
            else DatagramPort.adopt(self._reactor, inherited, receiver)
        )
        receiver.transport = port
        self.ports.append(port)

    def _close(self) -> None:
        for port in self.ports:
            port.stopListening()
        self.ports.clear()
