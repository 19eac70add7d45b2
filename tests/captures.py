"""
Real traffic between an MMDVMHost with its DMRGateway and a HomeBrew master.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final, NamedTuple


class Packet(NamedTuple):
    """
    One datagram.

    @ivar seconds: since the first one.
    @ivar sender: C{"client"} or C{"master"}.
    """

    seconds: float
    sender: str
    data: bytes


_FILE = json.loads((Path(__file__).parent / "data" / "mmdvm-gateway.json").read_text())

PASSPHRASE: Final[bytes] = _FILE["passphrase"].encode()
PACKETS: Final = tuple(
    Packet(seconds, sender, bytes.fromhex(data)) for seconds, sender, data in _FILE["packets"]
)
