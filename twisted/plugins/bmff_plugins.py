"""
What bmff adds to twistd.

Twisted imports this file at every start of any twistd on the machine, so it imports nothing of
bmff but the interfaces: a maker holds the name of its module and imports that when it is asked for.
"""

from __future__ import annotations

from twisted.application.service import ServiceMaker

from bmff.ibmff import ModuleRegistry, ModuleTransport

bmnode = ServiceMaker(
    "bmnode",
    "bmff.node",
    "A node of a DMR network, for hotspots and repeaters that speak HomeBrew.",
    "bmnode",
)

embedded = ModuleRegistry("embedded", "bmff.registry.embedded")
tarantool = ModuleRegistry("tarantool", "bmff.registry.tarantool")

rdma = ModuleTransport("rdma", "bmff.transports.rdma")
shm = ModuleTransport("shm", "bmff.transports.shm", "none")
tcp = ModuleTransport("tcp", "bmff.transports.streams", "host")
tls = ModuleTransport("tls", "bmff.transports.tls", "host")
udp = ModuleTransport("udp", "bmff.transports.udp", "host")
unix = ModuleTransport("unix", "bmff.transports.unix", "none")
vsock = ModuleTransport("vsock", "bmff.transports.vsock")
