"""
The voice bursts of a call, A to F again and again, and whole calls made of them,
ETSI TS 102 361-1 §5.1.2 and §6.1.

From the first bit to the last: 108 bits of the vocoder, 48 of sync or of what is embedded, 108 of
the vocoder.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from bmff.dmr import embedded
from bmff.dmr.burst import SIZE, Sync, terminator, voiceHeader
from bmff.dmr.embedded import EMB, LCSS
from bmff.dmr.frame import (
    DATA_SYNC,
    PRIVATE,
    SLOT_2,
    TERMINATOR,
    VOICE,
    VOICE_HEADER,
    VOICE_SYNC,
    Frame,
)
from bmff.dmr.lc import FullLinkControl

SILENCE: Final = bytes.fromhex("b9e881526173002a6b") * 3  # of AMBE+2, 27 bytes

_PLACES: Final = (LCSS.FIRST, LCSS.CONTINUATION, LCSS.CONTINUATION, LCSS.LAST)  # bursts B to E


def voiceBurst(vocoder: bytes, centre: int) -> bytes:
    """
    A voice burst, 33 bytes.

    @param vocoder: three frames of AMBE+2 with their error correction, 27 bytes in all.
    @param centre: the 48 bits in its middle: a sync, or what L{EMB.toCentre} gives.
    """
    bits = int.from_bytes(vocoder, "big")
    burst = bits >> 108 << 156 | centre << 108 | bits & (1 << 108) - 1
    return burst.to_bytes(SIZE, "big")


def superframe(
    lc: FullLinkControl, vocoder: bytes = SILENCE, colourCode: int = 1
) -> tuple[bytes, ...]:
    """
    The bursts A to F as a base station sends them, each with the same sound.

    @param lc: the Link Control that they tell to who has missed the header.
    @param vocoder: 27 bytes, as for L{voiceBurst}.
    @param colourCode: 0 to 15; a repeater puts its own in place of it.
    """
    fragments = zip(_PLACES, embedded.encode(lc), strict=True)
    return (
        voiceBurst(vocoder, Sync.BS_VOICE),
        *(voiceBurst(vocoder, EMB(colourCode, place).toCentre(part)) for place, part in fragments),
        voiceBurst(vocoder, EMB(colourCode, LCSS.SINGLE).toCentre()),
    )


def voiceCall(
    *,
    source: int,
    destination: int,
    stream: int,
    superframes: int = 14,
    slot: int = 2,
    private: bool = False,
    colourCode: int = 1,
    vocoder: bytes = SILENCE,
) -> Iterator[Frame]:
    """
    The frames of a call as an MMDVMHost sends them, to be sent 60 ms apart: a header, the
    superframes, a terminator.

    @param source: the radio ID that talks, 24 bits.
    @param destination: the talkgroup, or the radio ID of a private call, 24 bits.
    @param stream: the stream ID, 32 bits, not 0.
    @param superframes: how many, six frames each, which is 0.36 s.
    @param slot: 1 or 2.
    @param private: whether the destination is a radio.
    @param colourCode: 0 to 15; a repeater puts its own in place of it.
    @param vocoder: what each burst sounds, 27 bytes, as for L{voiceBurst}.
    """
    lc = (FullLinkControl.private if private else FullLinkControl.group)(destination, source)
    call = (SLOT_2 if slot == 2 else 0) | (PRIVATE if private else 0)
    kinds = [call | VOICE_SYNC, *(call | VOICE | letter for letter in range(1, 6))]
    voice = list(zip(kinds, superframe(lc, vocoder, colourCode), strict=True))
    header = call | DATA_SYNC | VOICE_HEADER, voiceHeader(lc, colourCode)
    end = call | DATA_SYNC | TERMINATOR, terminator(lc, colourCode)
    for sequence, (flags, burst) in enumerate([header, *voice * superframes, end]):
        yield Frame.make(
            sequence=sequence,
            source=source,
            destination=destination,
            flags=flags,
            stream=stream,
            burst=burst,
        )
