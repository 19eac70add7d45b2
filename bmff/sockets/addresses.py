"""
Addresses of datagrams: opaque keys of bytes, cut from the C{sockaddr_in} and C{sockaddr_in6} of
POSIX.1-2017 (netinet/in.h) and RFC 3493 §3.3 as Linux lays them out.

A key is what a dictionary of peers is looked up by: no tuple and no text is made for a datagram
that comes in. An IPv4 key is the first 8 bytes of its sockaddr (family, port, address), an IPv6
key all 28 with the flow information zero. Family and scope are in the host's byte order, so a key
has no meaning outside the host, and shall not be stored or sent.
"""

from __future__ import annotations

from functools import lru_cache
from socket import AF_INET, AF_INET6, if_nametoindex, inet_ntop, inet_pton
from struct import Struct
from typing import Final

IPV4_SIZE: Final = 8  # bytes of an IPv4 key
IPV6_SIZE: Final = 28  # bytes of an IPv6 key

_FAMILY: Final = Struct("=H")  # the host's byte order
_PORT: Final = Struct("!H")
_SCOPE: Final = Struct("=I")
_NO_FLOW: Final = bytes(4)


def packAddress(host: str, port: int, scope: int = 0) -> bytes:
    """
    The key of a numeric host and a port.

    @param host: an IPv4 or IPv6 address; the latter may carry its scope, as in C{fe80::1%eth0}.
    @param port: 0 to 65535.
    @param scope: the interface's index that a link-local IPv6 address belongs to, 0 for none; a
        scope in C{host} comes before it.
    @return: 8 bytes for IPv4, 28 for IPv6.
    @raise ValueError: the host is not a numeric address, or the port is not one.
    """
    if not 0 <= port <= 0xFFFF:
        raise ValueError(f"port {port} is not within 0 to 65535")
    name, percent, zone = host.partition("%")
    try:
        if ":" not in host:
            return _FAMILY.pack(AF_INET) + _PORT.pack(port) + inet_pton(AF_INET, host)
        if percent:
            scope = int(zone) if zone.isdecimal() else if_nametoindex(zone)
        address = inet_pton(AF_INET6, name)
    except OSError:
        raise ValueError(f"{host!r} is not a numeric address") from None
    if not 0 <= scope <= 0xFFFFFFFF:
        raise ValueError(f"scope {scope} is not the index of an interface")
    return _FAMILY.pack(AF_INET6) + _PORT.pack(port) + _NO_FLOW + address + _SCOPE.pack(scope)


@lru_cache(maxsize=4096)
def unpackAddress(address: bytes) -> tuple[str, int] | tuple[str, int, int, int]:
    """
    The key as the tuple that C{socket.sendto} takes.

    @return: (host, port) for IPv4, (host, port, 0, scope) for IPv6.
    @raise ValueError: it is not such a key.
    """
    size = len(address)
    family = _FAMILY.unpack_from(address)[0] if size in (IPV4_SIZE, IPV6_SIZE) else None
    if family == AF_INET and size == IPV4_SIZE:
        return inet_ntop(AF_INET, address[4:]), _PORT.unpack_from(address, 2)[0]
    if family == AF_INET6 and size == IPV6_SIZE and address[4:8] == _NO_FLOW:
        return (
            inet_ntop(AF_INET6, address[8:24]),
            _PORT.unpack_from(address, 2)[0],
            0,
            _SCOPE.unpack_from(address, 24)[0],
        )
    raise ValueError(f"{address!r} is not the key of an address")


def formatAddress(address: bytes) -> str:
    """
    The key as people write it: C{192.0.2.1:62031}, C{[2001:db8::1]:62031}, C{[fe80::1%2]:62031}.

    @raise ValueError: it is not such a key.
    """
    host, port, *rest = unpackAddress(address)
    if not rest:
        return f"{host}:{port}"
    scope = rest[1]
    return f"[{host}%{scope}]:{port}" if scope else f"[{host}]:{port}"
