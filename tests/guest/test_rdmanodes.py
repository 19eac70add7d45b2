"""
Nodes whose link runs over RDMA.
"""

from __future__ import annotations

import os
import signal
from typing import Any

from twisted.internet import reactor as anyReactor
from twisted.internet.task import deferLater

from bmff.testing.requirements import requires
from tests.guest.linkednodes import GuestNodes
from tests.linkednodes import FIRST, SECOND
from tests.talker import HOST

reactor: Any = anyReactor  # mypy does not know which reactor there is

ADDRESS = "10.99.0.1"  # of the guest's device
NOTICED = 2.0  # seconds


@requires("rdma")
class RDMANodesTests(GuestNodes):
    """
    Two processes. It is one test, as the guest takes long to start them.
    """

    addresses = (HOST, ADDRESS)

    async def test_calls(self) -> None:
        """
        By an override calls go over RDMA in both directions, every frame with all its bytes; a
        node that is killed is known to be gone soon.
        """
        await self.link()
        await self.moveTo("rdma", ADDRESS)
        frames = await self.talk()
        self.assertEqual((self.over(FIRST), self.over(SECOND)), (["rdma"], ["rdma"]))
        self.talkers[1].call()
        await deferLater(reactor, 1.0)
        victim = self.programs[SECOND].process
        os.kill(victim.pid, signal.SIGKILL)
        path = await self.until("has lost its path over rdma: closed by the other end", FIRST)
        # The link itself asks over UDP first, on a clock that is slow here.
        link = path + await self.until(f"link to node {SECOND} is down", FIRST)
        victim.wait()
        print(f"rdma: {frames} frames; a node's end: path {path:.3f} s, link {link:.3f} s")
        self.assertLess(path, NOTICED)
        for program in self.programs.values():
            self.assertNotIn("Traceback", program.output)
