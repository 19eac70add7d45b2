"""
Tests of L{bmff.protocols.homebrew} under what nobody should send.
"""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path
from random import Random

from bmff.dmr.voice import voiceCall
from bmff.router import remains
from bmff.sockets.addresses import packAddress
from bmff.testing.mutation import MUTATIONS, mutations
from bmff.wire.homebrew import (
    AliasBlock,
    HomePosition,
    Key,
    Login,
    Message,
    OptionsText,
    Ping,
    RadioPosition,
    Station,
    Voice,
)
from tests.protocols.test_homebrew import HomeBrewTestCase


def residentMemory() -> int:
    """
    What this process has in memory, bytes.
    """
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


class MutationTests(HomeBrewTestCase):
    """
    A whole master with its router under mutated datagrams.
    """

    talkLimit = 0.0

    def test_mutations(self) -> None:
        """
        Mutated logins, options and frames from live and strange addresses raise nothing, leave
        memory flat and every table bounded, and a call that goes on at the same time is whole.
        """
        talker, listener = self.hotspot(1), self.hotspot(2, "TS2=91")
        hostile = [self.hotspot(10 + number, "TS1=91;TS2=92") for number in range(4)]
        kinds: list[Message] = []
        for peerID in (10, 11, 12, 13, 77):
            kinds += (
                Login(peerID),
                Key(peerID, bytes(32)),
                Station(peerID, "EVIL", slots=3),
                OptionsText(peerID, "TS1=91,92;TS2=93;SINGLE=1;DISC=1;TIMER=1"),
                Ping(peerID),
                AliasBlock(peerID, 5, 0, b"\x54123456"),
                RadioPosition(peerID, 5, b"1234567"),
                HomePosition(peerID, 1.0, 2.0),
            )
            call = voiceCall(source=5, destination=92, stream=peerID, superframes=2, slot=1)
            kinds += [Voice(peerID, frame) for frame in call]
        messages = [message.encode() for message in kinds]
        random = Random(5)
        receiver = self.masters[0].receiver
        addresses = [hotspot.port.address for hotspot in hostile]
        call = voiceCall(source=9, destination=91, stream=9, superframes=MUTATIONS // 64 // 6 + 1)
        halfway = 0
        for number, data in enumerate(mutations(5, messages)):
            address = random.choice(addresses)
            if random.random() < 0.2:
                # As many as the virtual network, which keeps a way to each, has met halfway.
                address = packAddress("203.0.113.9", random.randrange(1, 1 << 12))
            receiver.datagramReceived(data, address, self.clock.seconds())
            if number % 64 == 0:
                receiver.flush()
                for frame in islice(call, 1):
                    talker.send(frame)
                self.clock.advance(0.06)
                del talker.received[:], listener.received[:], self.events[:]
                for one in hostile:
                    del one.received[:], one.heard[:], one.heardAt[:], one.happened[:]
            if number == MUTATIONS // 2:
                halfway = residentMemory()
        self.clock.advance(0.1)
        self.assertLess(residentMemory() - halfway, 16 << 20)
        self.assertLessEqual(len(self.homebrew.master), 7)
        self.assertLessEqual(len(self.router._remains), remains.LARGEST)
        sequences = [frame.sequence for frame in listener.heard if frame.stream == 9]
        expected = [number & 0xFF for number in range(len(sequences))]
        self.assertEqual(sequences, expected)
        self.assertGreater(len(sequences), MUTATIONS // 64 - 20)
