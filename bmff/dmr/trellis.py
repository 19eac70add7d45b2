"""
The trellis code of rate 3/4 of data bursts, ETSI TS 102 361-1 §B.2.4.

Three bits at a time go into a machine whose state is the three bits before; state and input choose
one of 16 points, which are sent as two symbols, so as four bits. Three zeros at the end bring the
machine back. The symbols are sent in another order, so that a burst of errors is spread out.
"""

from __future__ import annotations

from operator import add
from typing import Final

from bmff.errors import ProtocolError

DATA_SIZE: Final = 18  # bytes
_LENGTH: Final = 98  # symbols of two bits
_STEPS: Final = 49  # points: 48 of data, one that brings the machine back to its first state
_STATES: Final = 8
# What it costs to take a symbol for another, by the levels between the two. A receiver mistakes
# neighbours most often; but single wrong bits, which also come from elsewhere, are all put right
# only if the outermost two, which differ in one bit, are not too far apart.
_DISTANCES: Final = (0, 4, 7, 5)
_CORRECTABLE: Final = (
    28  # the cost of seven wrong symbols; noise is about twice as far from a block
)

# The point for each input (column) in each state (row), table B.7.
_POINTS: Final = (
    (0, 8, 4, 12, 2, 10, 6, 14),
    (4, 12, 2, 10, 6, 14, 0, 8),
    (1, 9, 5, 13, 3, 11, 7, 15),
    (5, 13, 3, 11, 7, 15, 1, 9),
    (3, 11, 7, 15, 1, 9, 5, 13),
    (7, 15, 1, 9, 5, 13, 3, 11),
    (2, 10, 6, 14, 0, 8, 4, 12),
    (6, 14, 0, 8, 4, 12, 2, 10),
)
# The two symbols of each point as bits (+3 is 01, +1 is 00, -1 is 10, -3 is 11), table B.8.
_SYMBOLS: Final = (2, 10, 7, 15, 14, 6, 11, 3, 13, 5, 8, 0, 1, 9, 4, 12)
# Which symbol is sent at each place, table B.9: pairs in columns of four.
_SENT: Final = tuple(
    place + half for first in (0, 2, 4, 6) for place in range(first, _LENGTH, 8) for half in (0, 1)
)
_UNSENT: Final = tuple(sorted(range(_LENGTH), key=_SENT.__getitem__))
_LEVELS: Final = (2, 3, 1, 0)  # of the symbols 00, 01, 10 and 11, the lowest as 0


def _cost(sent: int, received: int) -> int:
    """
    What it costs to take one word of two symbols for another.
    """
    return sum(
        _DISTANCES[abs(_LEVELS[sent >> shift & 3] - _LEVELS[received >> shift & 3])]
        for shift in (0, 2)
    )


_WORDS: Final = tuple(tuple(_SYMBOLS[point] for point in row) for row in _POINTS)
# By state and word: the input that leads to it.
_INPUTS: Final = tuple({word: value for value, word in enumerate(row)} for row in _WORDS)
# By received word and input: what each state before costs, times eight to leave room for the number
# of that state.
_COSTS: Final = tuple(
    tuple(
        tuple(_cost(_WORDS[state][value], word) * _STATES for state in range(_STATES))
        for value in range(_STATES)
    )
    for word in range(16)
)


def encode(data: bytes) -> int:
    """
    The block for some data.

    @param data: 18 bytes.
    @return: 196 bits in the order of sending, the first as the highest.
    """
    value = int.from_bytes(data, "big") << 3
    state = 0
    words = []
    for shift in range(3 * _STEPS - 3, -1, -3):
        following = value >> shift & 7
        words.append(f"{_WORDS[state][following]:04b}")
        state = following
    bits = "".join(words)
    return int("".join([bits[2 * place : 2 * place + 2] for place in _SENT]), 2)


def decode(bits: int) -> bytes:
    """
    The data of the block that is closest to a received one (the Viterbi algorithm).

    Two blocks may differ in only three bits, so one wrong bit is put right wherever it is, and more
    where they are not close together.

    @param bits: 196 bits in the order of sending, the first as the highest.
    @return: 18 bytes.
    @raise ProtocolError: when nothing is close to it.
    """
    sent = f"{bits:0196b}"
    ordered = "".join([sent[2 * place : 2 * place + 2] for place in _UNSENT])
    words = [int(ordered[place : place + 4], 2) for place in range(0, 2 * _LENGTH, 4)]
    inputs = _follow(words)
    if inputs is None:
        inputs = _closest(words)
    value = 0
    for one in inputs[:-1]:
        value = value << 3 | one
    return value.to_bytes(DATA_SIZE, "big")


def _follow(words: list[int]) -> list[int] | None:
    """
    The inputs that give exactly these words; L{None} when none do.
    """
    state = 0
    inputs = []
    for word in words:
        following = _INPUTS[state].get(word)
        if following is None:
            return None
        inputs.append(following)
        state = following
    return inputs if state == 0 else None


def _closest(words: list[int]) -> list[int]:
    """
    The inputs whose words are closest to these.
    """
    unreachable = _STATES * 2 * max(_DISTANCES) * _STEPS
    # Of each state: eight times the cost of the best way to it, plus its own number.
    ways = [0, *(unreachable + state for state in range(1, _STATES))]
    befores = []
    for word in words:
        best = [min(map(add, ways, costs)) for costs in _COSTS[word]]
        befores.append([one % _STATES for one in best])
        ways = [one - one % _STATES + state for state, one in enumerate(best)]
    if ways[0] // _STATES > _CORRECTABLE:
        raise ProtocolError("uncorrectable trellis block")
    state = 0
    inputs = []
    for before in reversed(befores):
        inputs.append(state)
        state = before[state]
    inputs.reverse()
    return inputs
