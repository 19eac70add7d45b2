"""
Calls that the node itself makes: to one slot, such as what a parrot says again.
"""

from __future__ import annotations

from bmff.dmr.ranges import Ranges
from bmff.router.call import Slot
from bmff.router.trunk import Trunk


class Announcement(Trunk):
    """
    Where a call of the node's own comes from.

    @ivar slot: the only one that is to hear it.
    """

    def __init__(self, slot: Slot) -> None:
        super().__init__(0, "", Ranges())
        self.slot = slot
