"""
Nodes whose link runs over the kernel's vSockets.
"""

from __future__ import annotations

from bmff.testing.requirements import requires
from tests.guest.linkednodes import GuestNodes
from tests.linkednodes import FIRST, SECOND

LOCAL = "1"  # VMADDR_CID_LOCAL
NOTICED = 2.0  # seconds


@requires("vsock")
class VSocketNodesTests(GuestNodes):
    """
    Two processes. It is one test, as the guest takes long to start them.
    """

    more = 'hypervisor = "guest"'

    async def test_calls(self) -> None:
        """
        By an override calls go over vSockets in both directions, every frame with all its bytes;
        a node that is killed is known to be gone at once.
        """
        await self.link()
        await self.moveTo("vsock", LOCAL)
        frames = await self.talk()
        self.assertEqual((self.over(FIRST), self.over(SECOND)), (["vsock"], ["vsock"]))
        took = await self.kill()
        print(f"vsock: {frames} frames; the end of a node was noticed after {took:.3f} s")
        self.assertLess(took, NOTICED)
