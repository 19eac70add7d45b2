"""
Numbers of talkgroups and radios that mean something by themselves, as the networks of the field use
them.
"""

from __future__ import annotations

from typing import Final

REFLECTOR: Final = 9  # what a dialled talkgroup is heard under, on slot 2
UNLINK: Final = 4000  # leaves all talkgroups that were keyed
STATUS: Final = 5000  # asks what is linked
PARROT: Final = 9990  # says again what is said to it
ALL_CALL: Final = 0xFFFFFF  # everybody, ETSI TS 102 361-1 annex A
SERVICES: Final = frozenset((UNLINK, STATUS, *range(9990, 10_000)))  # the last ten: parrot and kin


def radioID(peerID: int) -> int:
    """
    The radio ID that a hotspot's ID is made from: the first seven of nine digits, else all.
    """
    return peerID // 100 if 100_000_000 <= peerID <= 999_999_999 else peerID


def isService(number: int) -> bool:
    """
    Whether a number means a service of the node and is never routed, as talkgroup or radio.
    """
    return number in SERVICES or number in {0, ALL_CALL}


def isLocal(talkgroup: int) -> bool:
    """
    Whether a talkgroup means something else on each node, and never leaves it.
    """
    return talkgroup <= 9 or isService(talkgroup)
