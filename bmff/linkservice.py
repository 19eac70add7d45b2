"""
The links of one node as a service: transports, FastForward and cluster put together.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import blake2s
from pathlib import Path
from random import SystemRandom
from typing import Any, Final

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.plugin import getPlugins
from twisted.python.failure import Failure

from bmff.cluster.cluster import Cluster, Identity
from bmff.cluster.ways import AUTO, Rows, Target
from bmff.config import Configuration
from bmff.errors import ConfigurationError, Mistake, TransportUnavailable
from bmff.events import Event, NodeUnreachable, PathEnded, PathFailed, PathStarted
from bmff.ibmff import (
    ITransport,
    ITransportMaker,
    NodeRow,
    RegistryUnavailable,
    TLSSettings,
    TransportSettings,
    VSocketSettings,
)
from bmff.keys import Secrets, checkStatus
from bmff.protocols.connection import Connection
from bmff.protocols.fastforward import FastForward
from bmff.protocols.homebrew import HomeBrewPort
from bmff.protocols.turn import Turn
from bmff.registries import RegistryService
from bmff.sections.fastforward import FastForward as FastForwardSettings
from bmff.sockets.certificate import Certificate, makeCertificate
from bmff.wire.fastforward.capabilities import Capabilities
from bmff.wire.fastforward.handshake import Established, PreSharedKey
from bmff.wire.fastforward.keylog import LoggedSession
from bmff.wire.fastforward.link import Link

FIRST_PORT: Final = 54000
MOST_PORTS: Final = 200  # that are tried on one host
KEY_INTERVAL: Final = 2.0  # seconds between two looks at which key is to be used
ROW_INTERVAL: Final = 10.0  # seconds between two renewals of the node's row
ROW_RETRY: Final = 1.0  # seconds until one that could not be written is tried again
LOOPBACK: Final = "127.0.0.1"  # where the processes that share an embedded registry find each other


def hostIdentity(folder: str) -> str:
    """
    What the nodes have in common that reach each other through a folder of sockets: the boot of
    their kernel and the folder itself, 16 digits. Empty where that cannot be known.

    Two containers of one host have the same kernel and, as a rule, folders of their own.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_bytes()
        found = os.stat(folder)
    except OSError:
        return ""
    name = b"%s %d %d" % (boot.strip(), found.st_dev, found.st_ino)
    return blake2s(name, digest_size=8).hexdigest()


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


class KeyLogFile:
    """
    Writes the keys of sessions to a file that is the service's alone; see
    L{bmff.wire.fastforward.keylog}. Nodes may share one.
    """

    _log = Logger()

    def __init__(self, path: Path) -> None:
        """
        @param path: the file, which is made when it is not there.
        @raise ConfigurationError: it cannot be written, or others can read it.
        """
        self._path = path
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
        try:
            self._descriptor = os.open(path, flags, 0o600)
        except OSError as error:
            mistake = Mistake(str(path), f"cannot be written: {error.strerror}")
            raise ConfigurationError([mistake]) from None
        try:
            checkStatus(path, os.fstat(self._descriptor))
        except BaseException:
            self.close()
            raise
        self._log.warn(
            "who has the file {path} can read what the links of this node carry", path=path
        )

    def write(self, established: Established) -> None:
        """
        Add a session. Where that fails no more is written.
        """
        if self._descriptor < 0:
            return
        line = LoggedSession.of(established).encode() + "\n"
        try:
            os.write(self._descriptor, line.encode("ascii"))  # at once, whole: it is appended
        except OSError as error:
            self._log.error(
                "no more keys are written to {path}: {error}", path=self._path, error=error
            )
            self.close()

    def close(self) -> None:
        """
        Close it.
        """
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


@dataclass(frozen=True, slots=True)
class Choice:
    """
    What a link is to run over, and why.

    @ivar transport: what both ends have come to.
    @ivar override: the transport in this node's registry, empty when there is none.
    @ivar wish: the transport that was asked for here by hand, empty when there is none.
    @ivar overruled: whether the other end's word counts, and not this one's.
    @ivar missing: why paths are not there that should be, by transport.
    """

    transport: str
    override: str
    wish: str
    overruled: bool
    missing: Mapping[str, str]


class Choices:
    """
    What the links of a node are to run over: by what both ends can do, by overrides, by hand.
    L{watch} is to be added to the node's events.
    """

    def __init__(
        self,
        cluster: Cluster,
        fastForward: FastForward,
        registry: Rows,
        transports: Collection[str],
        unavailable: Mapping[str, str],
    ) -> None:
        """
        @param transports: the names of those that work here.
        @param unavailable: why others do not, by name.
        """
        self._cluster = cluster
        self._fastForward = fastForward
        self._registry = registry
        self._transports = transports
        self._unavailable = unavailable
        self._failures: dict[tuple[int, str], str] = {}  # by node and transport

    def watch(self, event: Event) -> None:
        """
        Remember why there is no path.
        """
        match event:
            case PathFailed() | NodeUnreachable():
                self._failures[event.node, event.transport] = event.reason
            case PathEnded():
                self._failures[event.node, event.transport] = f"ended: {event.reason}"
            case PathStarted():
                self._failures.pop((event.node, event.transport), None)

    @property
    def links(self) -> Mapping[int, Link]:
        """
        The links, by node ID.
        """
        return self._fastForward.links

    @property
    def connections(self) -> Sequence[Connection]:
        """
        What the paths of all links run over.
        """
        return self._fastForward.connections

    def knows(self, node: int) -> bool:
        """
        Whether this node knows where another is.
        """
        return node in self._cluster.ways.wanted()

    def absence(self, transport: str) -> str:
        """
        Why a transport is not here; empty when it is.
        """
        if transport in self._transports:
            return ""
        return self._unavailable.get(transport, "there is no such transport")

    def wish(self, node: int, transport: str) -> None:
        """
        See L{Cluster.wish}.
        """
        self._cluster.wish(node, transport)

    def chosen(self, link: Link) -> str:
        """
        See L{bmff.cluster.ways.Ways.chosen}.
        """
        return self._cluster.ways.chosen(link)

    def overruled(self, link: Link) -> bool:
        """
        See L{bmff.cluster.ways.Ways.overruled}.
        """
        return self._cluster.ways.overruled(link)

    def failure(self, node: int) -> str:
        """
        Why a node cannot be reached; empty when that is not known.
        """
        return self._cluster.search(node)

    def all(self) -> dict[int, Choice]:
        """
        What each link is to run over, by node ID.
        """
        links = self._fastForward.links
        begun: dict[int, set[str]] = {}
        for node, transport in self._cluster.ways.waysTo(links, lambda node, transport: 0.0):
            begun.setdefault(node, set()).add(transport)
        there: dict[int, set[str]] = {}
        for one in self._fastForward.connections:
            if one.up and not one.closed and one.link is links.get(one.node):
                there.setdefault(one.node, set()).add(one.transport.name)
        return {
            node: self._choice(link, begun.get(node, ()), there.get(node, set()))
            for node, link in links.items()
        }

    def _choice(self, link: Link, begun: Collection[str], there: set[str]) -> Choice:
        """
        @param begun: the transports of the paths that this end is to make.
        @param there: those of the paths that there are.
        """
        ways = self._cluster.ways
        row = self._registry.overrides.get(link.node)
        override = row.transport if row is not None and row.transport != AUTO else ""
        wish = ways.wishes.get(link.node, "")
        chosen = ways.chosen(link)
        overruled = ways.overruled(link)
        wanted = {chosen, *begun} | ({wish or override} if not overruled else set())
        missing = {
            name: self._missing(link, name, name in begun) for name in sorted(wanted - there - {""})
        }
        return Choice(chosen, override, wish, overruled, missing)

    def obstacle(self, link: Link, transport: str) -> str:
        """
        Why a link cannot have a path over a transport; empty when nothing speaks against it.
        """
        other = Capabilities.decode(link.capabilities).transports
        if absence := self.absence(transport):
            return f"not here: {absence}"
        if other and transport not in other:
            return f"node {link.node} does not have it"
        return self._failures.get((link.node, transport), "")

    def _missing(self, link: Link, transport: str, begun: bool) -> str:
        """
        Why a link has no path over a transport.

        @param begun: whether this end is to make it.
        """
        if obstacle := self.obstacle(link, transport):
            return obstacle
        return "is being made" if begun else f"node {link.node} is to make it"


class LinkService(Service):
    """
    Keeps the links of a node.

    @ivar cluster: who the other nodes are.
    @ivar fastForward: the links.
    @ivar choices: what each is to run over.
    @ivar registry: what nodes know together.
    @ivar transports: those that work here, by name.
    @ivar unavailable: why the others do not, by name.
    @ivar port: the node's number; 0 before the start.
    @ivar certificate: what it shows over TLS; L{None} before the start and where that is off.
    @ivar started: fires when the node can be linked, or cannot be: then L{failure} says why.
    @ivar failure: why there can be no links, for people; empty when there can.
    @ivar alive: see L{bmff.reload.Reloadable}.
    """

    alive: Final = frozenset(("fastforward.key", "fastforward.fingerprints", "fastforward.targets"))
    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        configuration: Configuration,
        settings: FastForwardSettings,
        secrets: Secrets,
        registry: RegistryService,
        turn: Turn,
        publish: Callable[[Event], None],
    ) -> None:
        """
        @param registry: has to be there from before the start of this until after its end.
        """
        self.port = 0
        self.transports: dict[str, ITransport] = {}
        self.unavailable: dict[str, str] = {}
        self.started: Deferred[None] = Deferred()
        self.failure = ""
        self._rowRefused = ""  # why, as it was said last
        self._strangers: set[int] = set()  # that overrides name
        self.certificate: Certificate | None = None
        self._keyLog: KeyLogFile | None = None
        self._reactor = reactor
        self._settings = settings
        self._nodeID = configuration.network
        self.registry = registry.registry
        self._opened = registry.opened
        self.cluster = Cluster(
            reactor,
            Identity(
                configuration.network,
                settings.key,
                tuple(Target(*target) for target in settings.targets),
            ),
            turn.router,
            publish,
            self.registry,
            random=SystemRandom(),
            wallClock=time.time,
            processTime=time.process_time,
        )
        self._router = turn.router
        self.cluster.logins.endPeer = self._endPeer
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
        self.choices = Choices(
            self.cluster, self.fastForward, self.registry, self.transports, self.unavailable
        )
        self._secrets = secrets
        self._heartbeat: Any = None
        self._keyLook: Any = None
        self._stopping = False

    def startService(self) -> None:
        """
        Begin; L{started} fires when it is done.

        @raise ConfigurationError: keys are to be written to a file that cannot be used, or
            certificate or private key cannot be used.
        """
        if self._settings.tls:
            self.certificate = makeCertificate(
                self._nodeID, self._settings.certificate, self._settings.privateKey
            )
            self._log.info(
                "the certificate of node {node} has the fingerprint {fingerprint}",
                node=self._nodeID,
                fingerprint=self.certificate.fingerprint,
            )
        if self._settings.keylog is not None:
            self._keyLog = KeyLogFile(self._settings.keylog)
            self.fastForward.keyLog = self._keyLog.write
        super().startService()
        starting = Deferred.fromCoroutine(self._start())
        starting.addErrback(self._failed)

    def prepare(self, section: FastForwardSettings) -> Callable[[], None]:
        """
        See L{bmff.reload.Reloadable}. Links go on: under another key new sessions are made first;
        fingerprints count for certificates that are shown from then on.
        """
        known = self._secrets.fastForwardKey(section.key) is not None
        if section.key != self._settings.key and not known:
            reason = f"names the key {section.key!a}, which is not in the secrets file"
            raise ConfigurationError([Mistake("fastforward.key", reason)])
        return partial(self._takeOn, section)

    def _takeOn(self, section: FastForwardSettings) -> None:
        before, self._settings = self._settings, section
        if section.targets != before.targets:
            self.cluster.useTargets(Target(*target) for target in section.targets)
        if self._keyLook is not None:
            self._useKey()

    async def _start(self) -> None:
        await self._opened()
        if not self.running:
            return  # it was stopped meanwhile
        self._listen()
        self.fastForward.transports = self.transports
        self.cluster.ways.own = Capabilities(
            frozenset(self.transports),
            hostIdentity(str(self._settings.folder)),
            self.port,
            hypervisor=self._settings.hypervisor,
            cid=getattr(self.transports.get("vsock"), "cid", 0),
        )
        self.registry.watch(self._rowsChanged)
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

    def _rowsChanged(self, table: str) -> None:
        if table == "overrides":
            self.cluster.overridesChanged()
            known = self.cluster.ways.known()
            strangers = self.registry.overrides.keys() - known.keys() - {self._nodeID}
            for node in sorted(strangers - self._strangers):
                self._log.info(
                    "the registry has an override of node {node}, which is not known here",
                    node=node,
                )
            self._strangers = strangers

    def _failed(self, failure: Failure) -> None:
        """
        The node goes on without links; who waits for them is not to wait any longer.
        """
        self.failure = "; ".join(failure.getErrorMessage().splitlines()) or "its start failed"
        if not self.running:  # it was stopped before it had started
            pass
        elif failure.check(ConfigurationError, RegistryUnavailable, TransportUnavailable):
            self._log.error("no links to other nodes: {reason}", reason=self.failure)
        else:
            self._log.failure("no links to other nodes", failure)
        if not self.started.called:
            self.started.callback(None)

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
            port,
            self._settings.listen,
            str(self._settings.folder),
            self._settings.trust,
            self._tls(),
            self._vsock(),
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

    def _tls(self) -> TLSSettings | None:
        if self.certificate is None:
            return None
        settings = self._settings
        return TLSSettings(str(settings.certificate), str(settings.privateKey), self.fingerprints)

    def _vsock(self) -> VSocketSettings | None:
        if not self._settings.hypervisor:
            return None
        return VSocketSettings(self._settings.hypervisor, tuple(map(str, self._settings.monitors)))

    def fingerprints(self) -> dict[int, str]:
        """
        The fingerprints of the certificates that are trusted now, by node ID: those of the
        configuration, and those of the registry for nodes that it does not name.
        """
        rows = self.registry.nodes.values()
        return {
            row.node: row.fingerprint for row in rows if row.fingerprint
        } | self._settings.pinned

    def describeNodes(self) -> list[dict[str, Any]]:
        """
        Every node that this one knows of, by node ID: how it is reached and whether it is.
        """
        links = self.fastForward.links
        overrides = self.registry.overrides
        found = []
        for node, row in sorted(self.cluster.ways.wanted().items()):
            search = self.cluster.search(node)
            state = "linked" if node in links else "unreachable" if search else "waiting"
            override = overrides.get(node)
            path = links[node].path if node in links else None
            found.append(
                {
                    "node": node,
                    "transport": row.transport if path is None else path.traits.name,
                    "address": row.address,
                    "port": row.port,
                    "override": override is not None and override.transport != AUTO,
                    "state": state,
                    "reason": search,
                }
            )
        known = {each["node"] for each in found}
        for node, link in sorted(links.items()):
            if node not in known:
                path = link.path
                found.append(
                    {
                        "node": node,
                        "transport": path.traits.name if path is not None else None,
                        "address": path.remote if path is not None else "",
                        "override": False,
                        "state": "linked",
                    }
                )
        return found

    def _endPeer(self, peerID: int, reason: str) -> None:
        """
        A peer has logged in at another node.
        """
        peer = self._router.reach.peers.get(peerID)
        if peer is not None and isinstance(peer.outlet, HomeBrewPort):
            peer.outlet.endPeer(peerID, reason)

    def _renewRow(self) -> None:
        """
        Say in the registry that this node is here.
        """
        self._heartbeat = self._reactor.callLater(ROW_INTERVAL, self._renewRow)
        self.registry.put(self._row(time.time())).addErrback(self._notWritten)

    def _row(self, seen: float) -> NodeRow:
        """
        This node's row.

        @param seen: seconds since 1970; 0 when it is here no more.
        """
        return NodeRow(
            self._nodeID,
            self._settings.public or LOOPBACK,
            self.port,
            self.fastForward.bootID,
            os.getpid(),
            seen,
            self.certificate.fingerprint if self.certificate is not None else "",
        )

    def _lookAtKeys(self) -> None:
        """
        Make links under the key that is to be used now.
        """
        self._keyLook = self._reactor.callLater(KEY_INTERVAL, self._lookAtKeys)
        self._useKey()

    def _useKey(self) -> None:
        keyID = self._secrets.currentKey() or self._settings.key
        if keyID != self.cluster.keyID:
            self._log.info("links are made under key {key} from now on", key=keyID)
            before, self.cluster.keyID = self.cluster.keyID, keyID
            self.fastForward.switchKey(keyID, before)

    def _notWritten(self, failure: Failure) -> None:
        """
        Try again soon: others are to know where this node is as soon as the registry is back, which
        says for itself when it is away.
        """
        if not failure.check(RegistryUnavailable) and failure.getErrorMessage() != self._rowRefused:
            self._rowRefused = failure.getErrorMessage()
            self._log.error(
                "this node's row is not in the registry: {reason}", reason=self._rowRefused
            )
        if self._heartbeat is not None and self._heartbeat.active():
            self._heartbeat.reset(ROW_RETRY)

    def stopService(self) -> Deferred[Any]:
        """
        Say good-bye to the other nodes and close.
        """
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        registered = self._heartbeat is not None
        for delayed in (self._heartbeat, self._keyLook):
            if delayed is not None:
                delayed.cancel()
        self._heartbeat = self._keyLook = None
        self.cluster.stop()
        self.fastForward.stop("the node stops")
        if registered:
            await self._leave()
        for transport in self.transports.values():
            await transport.stopListening()
        self.transports.clear()
        self.fastForward.keyLog = None
        if self._keyLog is not None:
            self._keyLog.close()

    async def _leave(self) -> None:
        """
        Say in the registry that this node is here no more. Its row stays: whoever stops a node has
        not taken it away.
        """
        known = self.registry.nodes.get(self._nodeID)
        if known is not None and known.boot not in (0, self.fastForward.bootID):
            return  # its next process is there already
        try:
            await self.registry.put(self._row(0.0))
        except (RegistryUnavailable, ConfigurationError) as error:
            self._log.warn("the node's row stays as it is: {error}", error=error)
