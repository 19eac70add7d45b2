"""
Where a node is on RDMA: a host name, an address of IPv4 or IPv6, or a GID in hexadecimal with
C{0x}, which is mapped to one (RoCE: InfiniBand Architecture Specification 1.2.1 Annex A17 §A17.4.5;
IP over InfiniBand: RFC 4391 §8).

A GID of RoCE is an address of the network interface, IPv4 ones as C{::ffff:a.b.c.d}. Where the
network is InfiniBand, a link-local GID belongs to the port, and the interface of IP over InfiniBand
has an address that is made from it. To address by a GID alone (AF_IB) is not to be had: Linux
refuses it on RoCE for want of an interface, and InfiniBand without IP over it has no other way.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from ipaddress import IPv6Address
from pathlib import Path
from socket import AF_INET
from typing import Final

from bmff.errors import TransportUnavailable
from bmff.sockets.addresses import IPV4_SIZE

DEVICES: Final = Path("/sys/class/infiniband")
NO_GID: Final = "; by its GID alone (AF_IB) a node cannot be reached"

_GID: Final = re.compile(r"0[xX]([0-9a-fA-F]{32})(?:%([^%\s]+))?")
_UNIVERSAL: Final = 0x02  # the bit of an interface identifier that RFC 4391 §8 sets
_SOCKADDR_SIZE: Final = 28  # bytes of the longer kind


def isGID(address: str) -> bool:
    """
    Whether an address is meant as a GID.
    """
    return address[:2] in ("0x", "0X")


def hostOf(address: str, devices: Path = DEVICES) -> str:
    """
    The host that an address names.

    @param address: as an override has it; a GID's interface may stand behind it, as C{%eth0}.
    @param devices: the folder in which the kernel shows its RDMA devices.
    @return: a host name or a numeric address.
    @raise TransportUnavailable: it is no GID, or that of an interface nobody can tell.
    """
    if not isGID(address):
        if not address:
            raise TransportUnavailable("no address")
        return address
    match = _GID.fullmatch(address)
    if match is None:
        raise TransportUnavailable(f"{address} is not a GID, which is 0x and 32 hexadecimal digits")
    gid, interface = IPv6Address(bytes.fromhex(match[1])), match[2]
    if gid.ipv4_mapped is not None:
        return str(gid.ipv4_mapped)
    if not gid.is_link_local:
        return str(gid)
    if interface is None:
        found = list(interfaces(devices))
        if len(found) != 1:
            names = ", ".join(sorted(found)) or "none"
            raise TransportUnavailable(
                f"{address} is link-local: add its interface as in {address}%eth0 "
                f"(RDMA interfaces here: {names}){NO_GID}"
            )
        interface = found[0]
    if isInfiniBand(devices):
        packed = bytearray(gid.packed)
        packed[8] |= _UNIVERSAL
        gid = IPv6Address(bytes(packed))
    return f"{gid}%{interface}"


def interfaces(devices: Path = DEVICES) -> Iterable[str]:
    """
    The network interfaces of all RDMA devices, each once.
    """
    found: dict[str, None] = {}
    for name in devices.glob("*/ports/*/gid_attrs/ndevs/*"):
        try:
            found[name.read_text("ascii").strip()] = None
        except (OSError, ValueError):  # an empty row of the table cannot be read
            continue
    for folder in devices.glob("*/device/net/*"):
        found[folder.name] = None
    return found


def isInfiniBand(devices: Path = DEVICES) -> bool:
    """
    Whether the ports here are all InfiniBand's, none Ethernet's.
    """
    layers = set()
    for name in devices.glob("*/ports/*/link_layer"):
        try:
            layers.add(name.read_text("ascii").strip())
        except (OSError, ValueError):  # the device is just being removed
            continue
    return layers == {"InfiniBand"}


def sockaddrOf(key: bytes) -> bytes:
    """
    The C{struct sockaddr} of a key of L{bmff.sockets.addresses}, with zeros behind it.
    """
    return key.ljust(_SOCKADDR_SIZE, b"\0")


def keyOf(sockaddr: bytes) -> bytes:
    """
    The key of a C{struct sockaddr}.

    @param sockaddr: at least 28 bytes.
    """
    if int.from_bytes(sockaddr[:2], sys.byteorder) == AF_INET:
        return sockaddr[:IPV4_SIZE]
    return sockaddr[:4] + bytes(4) + sockaddr[8:_SOCKADDR_SIZE]
