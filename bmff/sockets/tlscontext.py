"""
How TLS is spoken between nodes: version 1.3 (RFC 8446), both ends with a certificate, no sessions
that are resumed, C{bmff-ff/1} as the name of the protocol (ALPN, RFC 7301).

Certificates are self-signed, so nobody vouches for them; L{bmff.sockets.tls} looks at each when
the handshake is over. Python's own C{ssl} asks a client for a certificate only together with a
judgement by certificate authorities; OpenSSL leaves the judgement to the caller where it is told
to (SSL_CTX_set_cert_verify_callback(3)), for which it is called by C{ctypes}. What comes of a
handshake is asked of Python's C{ssl} alone: without this call no client would be let in.
"""

from __future__ import annotations

import _ssl
import ctypes
import os
import ssl
import sys
from pathlib import Path
from typing import Any, Final

from bmff.errors import TransportUnavailable
from bmff.sockets.certificate import openKey

PROTOCOL: Final = "bmff-ff/1"
ACCEPTED: Final = 1

_Judge = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)


# Lets every certificate pass, to where it is looked at.
_LEAVE_TO_CALLER: Final = _Judge(lambda context, argument: ACCEPTED)


def makeContext(certificate: str, key: str, *, server: bool) -> ssl.SSLContext:
    """
    The context of one role of a node.

    @param certificate: the file of its certificate, PEM.
    @param key: the file of its private key, PEM.
    @param server: whether it is for those who connect to the node.
    @raise ConfigurationError: others can read the key, or it cannot be read.
    @raise TransportUnavailable: the files do not fit together, or this Python cannot do it.
    """
    role = ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT
    context = ssl.SSLContext(role)  # which, made so, writes no keys for C{SSLKEYLOGFILE}
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED if server else ssl.CERT_NONE
    context.set_alpn_protocols([PROTOCOL])
    descriptor = openKey(Path(key))
    try:
        # An empty passphrase: OpenSSL would ask for one at the terminal.
        context.load_cert_chain(certificate, f"/proc/self/fd/{descriptor}", b"")
    except OSError as error:  # C{SSLError} is one
        reason = f"{certificate} and {key} cannot be used: {error.strerror or error}"
        raise TransportUnavailable(reason) from None
    finally:
        os.close(descriptor)
    if server:
        context.num_tickets = 0
        _askOnly(context)
    return context


def _askOnly(context: ssl.SSLContext) -> None:
    """
    Have clients show a certificate, whoever has signed it.
    """
    if sys.implementation.name != "cpython":
        raise TransportUnavailable("only CPython shows what OpenSSL is to be told")
    # What C{_ssl} itself is linked with, whichever OpenSSL that is.
    library: Any = ctypes.CDLL(_ssl.__file__) if hasattr(_ssl, "__file__") else ctypes.CDLL(None)
    try:
        tell = library.SSL_CTX_set_cert_verify_callback
    except AttributeError:
        raise TransportUnavailable("this Python keeps its OpenSSL to itself") from None
    tell.restype, tell.argtypes = None, (ctypes.c_void_p, _Judge, ctypes.c_void_p)
    # C{PySSLContext} begins, behind what every object begins with, with its C{SSL_CTX *}.
    tell(ctypes.c_void_p.from_address(id(context) + object.__basicsize__), _LEAVE_TO_CALLER, None)
