"""
Mutations of valid messages: what finds the bugs of a decoder that random bytes never reach.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from random import Random
from typing import Final

SOAK: Final = bool(os.environ.get("BMFF_SOAK"))
MUTATIONS: Final = 1_000_000 if SOAK else 50_000  # into each decoder and session


def mutate(random: Random, message: bytes, others: Sequence[bytes] = ()) -> bytes:
    """
    One to three changes of a message: bits, bytes, cuts, growth, or a part of another message.
    """
    data = bytearray(message)
    for _ in range(random.randrange(1, 4)):
        kind = random.randrange(6)
        at = random.randrange(len(data)) if data else 0
        if kind == 0 and data:
            data[at] ^= 1 << random.randrange(8)
        elif kind == 1 and data:
            data[at] = random.choice((0, 1, 0x20, 0x30, 0x7F, 0x80, 0xFF, random.randrange(256)))
        elif kind == 2:
            del data[at:]
        elif kind == 3 and data:
            del data[at : at + random.randrange(1, 9)]
        elif kind == 4:
            data[at:at] = random.randbytes(random.randrange(1, 9))
        elif kind == 5 and others:
            other = random.choice(others)
            data[at:] = (
                other[at:] if random.random() < 0.5 else other[random.randrange(len(other) + 1) :]
            )
    return bytes(data)


def mutations(seed: int, messages: Sequence[bytes], count: int = MUTATIONS) -> Iterator[bytes]:
    """
    L{count} mutations of messages, the same for each seed.
    """
    random = Random(seed)
    for _ in range(count):
        yield mutate(random, random.choice(messages), messages)
