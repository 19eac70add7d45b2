"""
HTTP over TLS (RFC 8446, RFC 9110 section 4.2.2): who the node is to those that ask; its certificate
is read again when the file has changed.
"""

from __future__ import annotations

import os
import ssl
from contextlib import suppress
from pathlib import Path
from typing import Final

from twisted.logger import Logger

from bmff.errors import ConfigurationError, Mistake
from bmff.sockets.certificate import openKey

_PROTOCOLS: Final = ["http/1.1"]


def makeContext(certificate: Path, key: Path) -> ssl.SSLContext:
    """
    Who the node is to those that reach it over TLS.

    @param certificate: the file of its certificate and those that vouch for it, PEM.
    @param key: the file of its private key, PEM, which nobody else may read.
    @raise ConfigurationError: one of them cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(_PROTOCOLS)
    descriptor = openKey(key)
    try:
        # An empty passphrase: OpenSSL would ask for one at the terminal.
        context.load_cert_chain(certificate, f"/proc/self/fd/{descriptor}", b"")
    except OSError as error:  # C{SSLError} is one
        reason = f"{certificate} and {key} cannot be used: {error.strerror or error}"
        raise ConfigurationError([Mistake("web.certificate", reason)]) from None
    finally:
        os.close(descriptor)
    return context


class Certificates:
    """
    The context of new connections. Files that have become unusable change nothing.
    """

    _log = Logger()

    def __init__(self, certificate: Path, key: Path) -> None:
        """
        @raise ConfigurationError: as L{makeContext}.
        """
        self._files = certificate, key
        self._stamp = self._look()
        self._context = makeContext(certificate, key)

    def context(self) -> ssl.SSLContext:
        """
        The context for a connection that is there now.
        """
        stamp = self._look()
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                self._context = makeContext(*self._files)
                self._log.info("the API has a new certificate: {file}", file=self._files[0])
            except ConfigurationError as error:
                self._log.error("the API keeps its old certificate: {reason}", reason=str(error))
        return self._context

    def _look(self) -> tuple[tuple[int, int, int], ...]:
        found = []
        for path in self._files:
            with suppress(OSError):
                status = path.stat()
                found.append((status.st_mtime_ns, status.st_size, status.st_ino))
        return tuple(found)
