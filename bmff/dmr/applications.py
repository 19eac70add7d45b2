"""
What radios say to one another in datagrams, by the port that it is said to: texts, registrations
and locations; with the datagrams that this network sends for itself.
"""

from __future__ import annotations

from typing import Final

from bmff.dmr import ars, lrrp, tms
from bmff.dmr.ars import Registration
from bmff.dmr.datagram import Datagram, groupAddress, radioAddress
from bmff.dmr.lrrp import LocationDocument
from bmff.dmr.tms import TextAnswer, TextMessage
from bmff.errors import ProtocolError

Application = TextMessage | TextAnswer | Registration | LocationDocument

_PORTS: Final = {
    TextMessage: tms.PORT,
    TextAnswer: tms.PORT,
    Registration: ars.PORT,
    LocationDocument: lrrp.PORT,
}


def decodeApplication(datagram: Datagram) -> Application:
    """
    What a datagram says.

    @raise ProtocolError: when it is to no port that is known here, or cannot be read.
    """
    if datagram.destinationPort == tms.PORT:
        return tms.decode(datagram.payload)
    if datagram.destinationPort == ars.PORT:
        return Registration.decode(datagram.payload)
    if datagram.destinationPort == lrrp.PORT:
        return lrrp.decode(datagram.payload)
    raise ProtocolError("datagram to an unknown port")


def applicationDatagram(
    said: Application,
    *,
    source: int,
    destination: int,
    group: bool = False,
    identification: int = 0,
) -> Datagram:
    """
    The datagram that says something.

    @param source: the radio ID that says it, 24 bits.
    @param destination: the talkgroup or radio ID, 24 bits.
    @param group: whether the destination is a talkgroup.
    @param identification: another one for each datagram, 16 bits.
    """
    port = _PORTS[type(said)]
    to = groupAddress(destination) if group else radioAddress(destination)
    return Datagram(radioAddress(source), to, port, port, said.encode(), identification)
