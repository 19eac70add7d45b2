"""
The links of one node as a service: registry, transports, FastForward and cluster put together.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from random import SystemRandom
from typing import Any, Final

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.plugin import getPlugins

from bmff.cluster.cluster import Cluster, Target
from bmff.config import Configuration
from bmff.config import FastForward as FastForwardSettings
from bmff.errors import TransportUnavailable
from bmff.events import Event
from bmff.ibmff import (
    IRegistry,
    IRegistryMaker,
    ITransport,
    ITransportMaker,
    NodeRow,
    TransportSettings,
)
from bmff.keys import Secrets
from bmff.protocols.fastforward import FastForward
from bmff.protocols.turn import Turn
from bmff.wire.fastforward.handshake import PreSharedKey

FIRST_PORT: Final = 54000
MOST_PORTS: Final = 200  # that are tried on one host
KEY_INTERVAL: Final = 2.0  # seconds between two looks at which key is to be used
ROW_INTERVAL: Final = 10.0  # seconds between two renewals of the node's row
REGISTRY: Final = "embedded"
LOOPBACK: Final = "127.0.0.1"  # where the processes that share an embedded registry find each other


class SecretKeys:
    """
    The keys of links in the secrets file; see L{bmff.protocols.fastforward.KeyRing}.
    """

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets

    def fastForwardKey(self, keyID: str) -> PreSharedKey | None:
        """
        The key under an id.
        """
        found = self._secrets.fastForwardKey(keyID)
        return None if found is None else PreSharedKey(*found)


class LinkService(Service):
    """
    Keeps the links of a node.

    @ivar cluster: who the other nodes are.
    @ivar fastForward: the links.
    @ivar registry: what nodes know together.
    @ivar transports: those that work here, by name.
    @ivar unavailable: why the others do not, by name.
    @ivar port: the node's number; 0 before the start.
    @ivar started: fires when the node can be linked.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        configuration: Configuration,
        settings: FastForwardSettings,
        secrets: Secrets,
        turn: Turn,
        publish: Callable[[Event], None],
    ) -> None:
        self.port = 0
        self.transports: dict[str, ITransport] = {}
        self.unavailable: dict[str, str] = {}
        self.started: Deferred[None] = Deferred()
        self._reactor = reactor
        self._settings = settings
        self._nodeID = configuration.network
        (maker,) = (each for each in getPlugins(IRegistryMaker) if each.name == REGISTRY)
        self.registry: IRegistry = maker.make(reactor, configuration.registry)
        self.cluster = Cluster(
            reactor,
            configuration.network,
            turn.router,
            publish,
            self.registry,
            tuple(Target(*target) for target in settings.targets),
            settings.key,
            random=SystemRandom(),
            wallClock=time.time,
            processTime=time.process_time,
        )
        self.fastForward = FastForward(
            reactor,
            configuration.network,
            settings.environment,
            SecretKeys(secrets),
            self.cluster,
            self.cluster,
            turn.ended,
            time.time,
        )
        self._secrets = secrets
        self._heartbeat: Any = None
        self._keyLook: Any = None
        self._stopping = False

    def startService(self) -> None:
        """
        Begin; L{started} fires when it is done.
        """
        super().startService()
        starting = Deferred.fromCoroutine(self._start())
        starting.addErrback(self._failed)

    async def _start(self) -> None:
        await self.registry.start()
        self._listen()
        self.fastForward.transports = self.transports
        self.cluster.capabilities = ",".join(sorted(self.transports))
        self._lookAtKeys()
        self.cluster.start(self.fastForward)
        self._renewRow()
        self._log.info(
            "other nodes reach node {node} at port {port} over {transports}",
            node=self._nodeID,
            port=self.port,
            transports=", ".join(self.transports),
        )
        for name, reason in self.unavailable.items():
            self._log.info("no {transport} here: {reason}", transport=name, reason=reason)
        self.started.callback(None)

    def _failed(self, failure: Any) -> None:
        self._log.failure("no links to other nodes", failure)

    def _listen(self) -> None:
        """
        Take the node's number on every transport that works here.

        @raise TransportUnavailable: none is to be had.
        """
        ports = (
            [self._settings.port]
            if self._settings.port
            else range(FIRST_PORT, FIRST_PORT + MOST_PORTS)
        )
        reason = "no port"
        for port in ports:
            try:
                self._listenAt(port)
            except TransportUnavailable as error:
                reason = error.reason
                continue
            self.port = port
            return
        raise TransportUnavailable(reason)

    def _listenAt(self, port: int) -> None:
        """
        Take one number: UDP has to have it, the others may.
        """
        settings = TransportSettings(
            port, self._settings.listen, str(self._settings.folder), self._settings.trust
        )
        makers = sorted(getPlugins(ITransportMaker), key=lambda maker: maker.name != "udp")
        self.unavailable.clear()
        for maker in makers:
            try:
                transport = maker.make(self._reactor, settings)
                transport.listen(self.fastForward)
            except TransportUnavailable as error:
                if maker.name == "udp":
                    raise
                self.unavailable[maker.name] = error.reason
            else:
                self.transports[maker.name] = transport

    def describeNodes(self) -> list[dict[str, Any]]:
        """
        Every node that this one knows of, by node ID: how it is reached and whether it is.
        """
        links = self.fastForward.links
        found = []
        for node, row in sorted(self.cluster.wanted().items()):
            search = self.cluster.search(node)
            state = "linked" if node in links else "unreachable" if search else "waiting"
            found.append(
                {
                    "node": node,
                    "transport": row.transport,
                    "address": row.address,
                    "port": row.port,
                    "override": node in self.registry.overrides,
                    "state": state,
                    "reason": search,
                }
            )
        known = {each["node"] for each in found}
        for node, link in sorted(links.items()):
            if node not in known:
                address = link.path.remote if link.path is not None else ""
                found.append(
                    {"node": node, "address": address, "override": False, "state": "linked"}
                )
        return found

    def _renewRow(self) -> None:
        """
        Say in the registry that this node is here.
        """
        self._heartbeat = self._reactor.callLater(ROW_INTERVAL, self._renewRow)
        row = NodeRow(
            self._nodeID,
            self._settings.public or LOOPBACK,
            self.port,
            self.fastForward.bootID,
            os.getpid(),
            time.time(),
        )
        self.registry.put(row).addErrback(self._notWritten)

    def _lookAtKeys(self) -> None:
        """
        Make links under the key that is to be used now.
        """
        self._keyLook = self._reactor.callLater(KEY_INTERVAL, self._lookAtKeys)
        keyID = self._secrets.currentKey() or self._settings.key
        if keyID != self.cluster.keyID:
            self._log.info("links are made under key {key} from now on", key=keyID)
            before, self.cluster.keyID = self.cluster.keyID, keyID
            self.fastForward.switchKey(keyID, before)

    def _notWritten(self, failure: Any) -> None:
        """
        The registry says for itself when it is away.
        """

    def stopService(self) -> Deferred[Any]:
        """
        Say good-bye to the other nodes and close.
        """
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        for delayed in (self._heartbeat, self._keyLook):
            if delayed is not None:
                delayed.cancel()
        self._heartbeat = self._keyLook = None
        self.cluster.stop()
        self.fastForward.stop("the node stops")
        try:
            await self.registry.remove("nodes", self._nodeID)
        except Exception as error:
            self._log.warn("the node's row stays in the registry: {error}", error=error)
        for transport in self.transports.values():
            await transport.stopListening()
        self.transports.clear()
        await self.registry.stop()
