"""
The privacy header, which begins an encrypted call or follows its voice header: how to decipher it,
ETSI TS 102 361-1 §9.1.10, filled in as radios do.
"""

from __future__ import annotations

from dataclasses import dataclass

from bmff.dmr import crc


@dataclass(frozen=True, slots=True)
class PrivacyHeader:
    """
    The parameters of a cipher.

    @ivar algorithm: which cipher, 8 bits.
    @ivar fid: whose ciphers those are, 8 bits.
    @ivar key: which key, 8 bits.
    @ivar vector: what the cipher starts from, 4 bytes.
    @ivar destination: the talkgroup or the radio ID that the call is for, 24 bits.
    """

    algorithm: int
    fid: int
    key: int
    vector: bytes
    destination: int

    @classmethod
    def decode(cls, block: bytes) -> PrivacyHeader:
        """
        The header in the 12 bytes of a burst.

        @raise ProtocolError: when they are not 12, or their check fails.
        """
        data = crc.unseal(block, crc.PI_HEADER_MASK)
        return cls(data[0], data[1], data[2], data[3:7], int.from_bytes(data[7:10], "big"))

    def encode(self) -> bytes:
        """
        Its 12 bytes.
        """
        head = bytes((self.algorithm, self.fid, self.key)) + self.vector
        return crc.seal(head + self.destination.to_bytes(3, "big"), crc.PI_HEADER_MASK)
