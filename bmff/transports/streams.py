"""
FastForward on TCP where TLS may share the port with it: a node has one number for all transports.
"""

from __future__ import annotations

import socket
from typing import Final, cast

from bmff.errors import TransportUnavailable
from bmff.ibmff import IAcceptor, ITransport, TransportSettings
from bmff.sockets.sharedport import SharedPort
from bmff.transports.connected import TransportReactor
from bmff.transports.tcp import TCPTransport

PORT: Final = "bmff.streams"  # what a L{SharedPort} is found under in the settings


def make(reactor: object, settings: TransportSettings) -> ITransport:
    """
    @see: L{bmff.ibmff.ITransportMaker.make}
    """
    return StreamTransport(cast(TransportReactor, reactor), settings)


class StreamTransport(TCPTransport):
    """
    Connections of TCP on a port of which TLS takes its own.

    @cvar secure: whether this is TLS.
    """

    secure = False

    def listen(self, acceptor: IAcceptor) -> None:
        """
        @see: L{ConnectedTransport.listen}
        """
        shared = self._settings.shared
        port: SharedPort | None = shared.get(PORT)
        if port is None:
            port = SharedPort(self._reactor, self.bind())
            try:
                port.start()
            except OSError as error:  # another has begun to listen since
                raise TransportUnavailable(error.strerror or str(error)) from error
            shared[PORT] = port
        elif port.takes(self.secure):
            raise TransportUnavailable(f"{self.name} listens already")

        def accepted(sock: socket.socket) -> None:
            self._accepted(sock, acceptor)

        self._port = port
        port.give(self.secure, accepted)

    _port: SharedPort | None = None

    def _closeListeners(self) -> None:
        port, self._port = self._port, None
        if port is not None and not port.leave(self.secure):
            self._settings.shared.pop(PORT, None)
