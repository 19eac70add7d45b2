"""
Who may send how many messages over RDMA: each end says in every message how many it has taken and
made room again for, and the other never has more on the way than there is room.
"""

from __future__ import annotations

from typing import Final

from bmff.errors import ProtocolError

# Room that packets leave free, for messages that say that there is room again: with two of them
# the ends cannot both wait for the other.
RESERVE: Final = 2

_MASK: Final = 0xFFFF  # counts are told modulo 65536


class Credits:
    """
    The counts of one connection.

    @ivar granted: messages that the other end has room for.
    @ivar sent: messages sent.
    @ivar taken: those of them that the other end has made room for again.
    @ivar returned: messages received and made room for again.
    @ivar told: how many of these the other end has been told.
    """

    __slots__ = ("_due", "granted", "returned", "sent", "taken", "told")

    def __init__(self, granted: int, receives: int) -> None:
        """
        @param granted: messages that the other end has room for, more than L{RESERVE}.
        @param receives: those that this end has room for.
        """
        self.granted = granted
        self.sent = 0
        self.taken = 0
        self.returned = 0
        self.told = 0
        self._due = max(1, receives // 2)

    @property
    def room(self) -> int:
        """
        Messages of packets that may be sent now; negative while the reserve is in use.
        """
        return self.granted - RESERVE - self.sent + self.taken

    @property
    def controlRoom(self) -> int:
        """
        Messages of any kind that may be sent now.
        """
        return self.granted - self.sent + self.taken

    @property
    def due(self) -> bool:
        """
        Whether the other end should be told of room even if there is nothing else to say.
        """
        return self.returned - self.told >= self._due

    def report(self) -> int:
        """
        One message is sent.

        @return: the count that goes with it, 0 to 65535.
        """
        self.sent += 1
        self.told = self.returned
        return self.returned & _MASK

    def reported(self, count: int) -> None:
        """
        A message has come with this count.

        @param count: 0 to 65535.
        @raise ProtocolError: it is impossible.
        """
        news = (count - self.taken) & _MASK
        if news > self.sent - self.taken:
            raise ProtocolError("room for messages that were not sent")
        self.taken += news
