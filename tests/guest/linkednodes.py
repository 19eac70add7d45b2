"""
Two nodes as processes in the guest, whose link runs over what a row of the registry says.
"""

from __future__ import annotations

import os
import signal
from typing import Any, Final

from twisted.internet import reactor as anyReactor
from twisted.internet.task import deferLater

from bmff.ctl.ask import ask
from tests.linkednodes import FIRST, SECOND, LinkedNodes
from tests.talker import Talker

reactor: Any = anyReactor  # mypy does not know which reactor there is

SETTLED: Final = 3.0  # seconds until a link that has changed its path changes it no more
TALK: Final = 4.0  # seconds of a call


class GuestNodes(LinkedNodes):
    """
    What tests of such nodes stand on. The guest is slow, and slower where others use the machine.

    @ivar talkers: a hotspot at each node, which hears the other.
    """

    timeout = 900
    patience = 300.0
    look = 0.02
    told = 2.0
    talkers: list[Talker]

    async def link(self) -> None:
        """
        Start two nodes, link them, and log a hotspot in at each.
        """
        await self.begin(FIRST, SECOND)
        self.talkers = await self.talkersAt(FIRST, SECOND)

    async def moveTo(self, transport: str, address: str) -> None:
        """
        Write rows that say how each node is reached, and wait until the link runs so at both ends.
        """
        await self.override(transport, FIRST, SECOND, address=address)
        for node, other in ((FIRST, SECOND), (SECOND, FIRST)):
            await self.until(f"link to node {other} now runs over {transport} to", node)
        await deferLater(reactor, SETTLED)  # both have connected at once, and one path stays

    def over(self, node: int) -> list[str]:
        """
        What a node says that its links run over.
        """
        links = ask(self.home.state / f"bmnode.{node}.sock", "links")["links"]
        return [str(link["transport"]) for link in links]

    async def talk(self) -> int:
        """
        A call in each direction at once, every frame of which is to be heard once, in its order
        and with all its bytes.

        @return: the frames that were heard.
        """
        for talker in self.talkers:
            talker.call()
        await deferLater(reactor, TALK)
        for talker in self.talkers:
            await talker.hangUp()
        first, second = self.talkers
        await self.comes(
            lambda: len(first.heard) >= len(second.sent) and len(second.heard) >= len(first.sent),
            "the last frame",
        )
        self.assertGreater(min(len(first.sent), len(second.sent)), 20)
        for heard, sent in ((first.heard, second.sent), (second.heard, first.sent)):
            if heard != sent:
                self.fail(
                    f"{len(sent)} frames sent, {len(heard)} heard, "
                    f"{[sent.index(one) if one in sent else -1 for one in heard]}"
                )
        return len(first.heard) + len(second.heard)

    async def kill(self) -> float:
        """
        Kill the second node in the middle of its call.

        @return: seconds until the first knows that it is gone.
        """
        self.talkers[1].call()
        await deferLater(reactor, 1.0)
        victim = self.programs[SECOND].process
        os.kill(victim.pid, signal.SIGKILL)
        took = await self.until(f"link to node {SECOND} is down", FIRST)
        victim.wait()
        for program in self.programs.values():
            self.assertNotIn("Traceback", program.output)
        return took
