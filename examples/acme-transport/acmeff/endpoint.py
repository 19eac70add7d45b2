"""
FastForward over any stream endpoint of Twisted (twisted.internet.endpoints): an endpoint string
says where the node listens, another one, in an override, where the other node is.
"""

from __future__ import annotations

import os
from typing import Any, Final

from twisted.internet.defer import Deferred, fail, maybeDeferred
from twisted.internet.endpoints import clientFromString, connectProtocol, serverFromString
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from acmeff.connection import EndpointConnection
from acmeff.stranger import Stranger
from bmff.errors import TransportUnavailable
from bmff.ibmff import IAcceptor, IPathReceiver, ITransport, TransportSettings

LISTEN: Final = "ACME_FF_LISTEN"  # in the environment; {port} in it is the node's number
CONNECT_TIME: Final = 5.0  # seconds for one attempt to connect


def make(reactor: Any, settings: TransportSettings) -> ITransport:
    """@see: L{bmff.ibmff.ITransportMaker.make}"""
    if not (description := os.environ.get(LISTEN)):
        raise TransportUnavailable(f"{LISTEN} names no endpoint to listen at")
    return EndpointTransport(reactor, description.replace("{port}", str(settings.port)))


@implementer(ITransport)
class EndpointTransport:
    """
    What one node listens at, and its connections.
    """

    name = EndpointConnection.name
    _log = Logger()

    def __init__(self, reactor: Any, description: str) -> None:
        self._reactor = reactor
        self._strangers: dict[Stranger, Any] = {}
        self._description = description
        self._connections: set[EndpointConnection] = set()
        self._attempts: set[Deferred[Any]] = set()
        self._ports: list[Any] = []
        self._failures: list[Failure] = []
        self._stopped = False

    def listen(self, acceptor: IAcceptor) -> None:
        """@see: L{ITransport.listen}"""
        factory = Factory.forProtocol(lambda: self._accepted(acceptor))
        listening = maybeDeferred(
            lambda: serverFromString(self._reactor, self._description).listen(factory)
        )
        listening.addCallbacks(self._ports.append, self._failures.append)
        if self._failures:
            raise TransportUnavailable(self._whyNot())
        if not self._ports:  # a hidden service is made first
            self._attempts.add(listening)
            listening.addCallback(self._listens, listening)

    def _accepted(self, acceptor: IAcceptor) -> EndpointConnection:
        stranger = Stranger(self._strangers, acceptor)
        stranger.connection = EndpointConnection(self._reactor, stranger, self._connections)
        stranger.limit(self._reactor)
        return stranger.connection

    def _listens(self, result: object, listening: Deferred[Any]) -> None:
        self._attempts.discard(listening)
        if self._failures and not self._stopped:
            self._log.warn("{name}: cannot listen: {reason}", name=self.name, reason=self._whyNot())

    def _whyNot(self) -> str:
        return f"{self._description}: {self._failures[0].getErrorMessage()}"

    def connect(self, address: str, port: int, receiver: IPathReceiver) -> Deferred[Any]:
        """@see: L{ITransport.connect}"""
        if self._stopped:
            return fail(TransportUnavailable("stopped"))
        description = address.replace("{port}", str(port))
        connection = EndpointConnection(self._reactor, receiver, self._connections)

        def ended(result: Any) -> Any:
            self._attempts.discard(attempt)
            if not isinstance(result, Failure):
                return result
            reason = "stopped" if self._stopped else result.getErrorMessage()
            return Failure(TransportUnavailable(f"{description}: {reason}"))

        attempt = maybeDeferred(
            lambda: connectProtocol(clientFromString(self._reactor, description), connection)
        ).addTimeout(CONNECT_TIME, self._reactor)
        self._attempts.add(attempt)
        return attempt.addBoth(ended)

    def stopListening(self) -> Deferred[None]:
        """@see: L{ITransport.stopListening}"""
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        self._stopped = True
        for attempt in [*self._attempts]:
            attempt.cancel()
        for connection in [*self._connections]:
            connection.loseConnection()
        while self._ports:
            await maybeDeferred(self._ports.pop().stopListening)
        for connection in [*self._connections]:
            await connection.gone
