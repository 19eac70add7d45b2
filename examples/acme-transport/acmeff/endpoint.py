"""
FastForward over any stream endpoint of Twisted (twisted.internet.endpoints): an endpoint string
says where the node listens, another one, in an override, where the other node is.
"""

from __future__ import annotations

import os
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import clientFromString, serverFromString
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from bmff.errors import TransportUnavailable
from bmff.ibmff import IAcceptor, IPathReceiver, IPathTransport, ITransport, TransportSettings
from bmff.transports.lifetime import Lifetime
from bmff.transports.packetprotocol import PacketFactory, PacketProtocol
from bmff.transports.strangers import Reception

LISTEN: Final = "ACME_FF_LISTEN"  # in the environment; {port} in it is the node's number


def make(reactor: Any, settings: TransportSettings) -> ITransport:
    """@see: L{bmff.ibmff.ITransportMaker.make}"""
    if not (description := os.environ.get(LISTEN)):
        raise TransportUnavailable(f"{LISTEN} names no endpoint to listen at")
    return EndpointTransport(reactor, description.replace("{port}", str(settings.port)))


@implementer(ITransport)
class EndpointTransport(Reception):
    """
    What one node listens at, and its connections.
    """

    name = "acme-endpoint"
    _log = Logger()

    def __init__(self, reactor: Any, description: str) -> None:
        super().__init__(reactor)
        self._description = description
        self._life = Lifetime()
        self._ports: list[Any] = []

    def listen(self, acceptor: IAcceptor) -> None:
        """@see: L{ITransport.listen}"""
        listening = self._life.attempt(self._listen(acceptor))
        if listening.called:
            failures: list[Failure] = []
            listening.addErrback(failures.append)
            for failure in failures:
                failure.raiseException()
        else:  # a hidden service is made first
            listening.addErrback(self._listensNot)

    async def _listen(self, acceptor: IAcceptor) -> None:
        factory = PacketFactory(self._reactor, self, self._life, acceptor)
        try:
            endpoint = serverFromString(self._reactor, self._description)
            self._ports.append(await endpoint.listen(factory))
        except Exception as error:  # whatever a plugin of Twisted's raises
            raise TransportUnavailable(f"{self._description}: {error}") from error

    def _listensNot(self, failure: Failure) -> None:
        if not self._life.stopped:
            reason = failure.getErrorMessage()
            self._log.warn("{name}: cannot listen: {reason}", name=self.name, reason=reason)

    def connect(self, address: str, port: int, receiver: IPathReceiver) -> Deferred[IPathTransport]:
        """@see: L{ITransport.connect}"""
        return self._life.attempt(self._connect(address.replace("{port}", str(port)), receiver))

    async def _connect(self, description: str, receiver: IPathReceiver) -> IPathTransport:
        connection = PacketProtocol(self._reactor, receiver, self._life, name=self.name)
        try:
            return await connection.connect(clientFromString(self._reactor, description))
        except Exception as error:
            raise TransportUnavailable(f"{description}: {error}") from error

    def stopListening(self) -> Deferred[None]:
        """@see: L{ITransport.stopListening}"""
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        over = self._life.stop()
        while self._ports:
            await self._ports.pop().stopListening()
        await over
