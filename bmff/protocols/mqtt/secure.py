"""
TLS to a broker (RFC 8446): how it proves who it is, and an endpoint that speaks it.
"""

from __future__ import annotations

import ssl
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from zope.interface import implementer

from bmff.errors import ConfigurationError, Mistake
from bmff.sockets.secure import SecureFactory


def makeContext(
    authorities: Path | None = None, certificate: Path | None = None, key: Path | None = None
) -> ssl.SSLContext:
    """
    How a broker has to prove who it is, and what is shown to it.

    @param authorities: the file of the certificates that vouch for it, PEM; those of this host
        when L{None}.
    @param certificate: the file of the client's own certificate, if it has one.
    @param key: the file of its private key; in the same file when L{None}.
    @raise ConfigurationError: one of them cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # which asks for a certificate and its name
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    try:
        if authorities is None:
            context.load_default_certs()
        else:
            context.load_verify_locations(authorities)
    except OSError as error:  # C{SSLError} is one
        raise _unusable("mqtt.ca", authorities, error) from None
    try:
        if certificate is not None:
            # An empty passphrase: OpenSSL would ask for one at the terminal.
            context.load_cert_chain(certificate, key, b"")
    except OSError as error:
        raise _unusable("mqtt.certificate", certificate, error) from None
    return context


def _unusable(place: str, path: Path | None, error: OSError) -> ConfigurationError:
    reason = error.strerror or getattr(error, "reason", None) or error
    return ConfigurationError([Mistake(place, f"{path} cannot be used: {reason}")])


@implementer(IStreamClientEndpoint)
class SecureEndpoint:
    """
    Connects as another endpoint does, and speaks TLS there.
    """

    def __init__(self, endpoint: IStreamClientEndpoint, context: ssl.SSLContext, host: str) -> None:
        """
        @param host: the name that the other end's certificate has to have.
        """
        self._endpoint = endpoint
        self._context = context
        self._host = host

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """
        @see: L{IStreamClientEndpoint.connect}
        """
        return self._endpoint.connect(
            SecureFactory(protocolFactory, lambda: self._context, self._host)
        )
