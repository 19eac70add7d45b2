"""
The peers of this node as the other nodes have to know them: of two logins the last one counts.

A peer that has proved its secret here is announced to every node in an application message
C{"peer"}: its ID, 4 bytes, and the wall clock's microseconds of its login, 8 bytes, big-endian.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from struct import Struct
from typing import Final

from twisted.internet.interfaces import IReactorTime

from bmff.errors import ProtocolError
from bmff.events import Event, PeerLost, PeerRegistered

PEER: Final = "peer"  # the name of the message
YOUNG: Final = 60.0  # seconds for which a login is told to a new link

_login = Struct(">IQ")


@dataclass(frozen=True, slots=True)
class Login:
    """
    When a peer logged in here.

    @ivar wall: microseconds since 1970, which nodes compare.
    @ivar at: monotonic seconds.
    @ivar verified: whether it proved a secret.
    """

    wall: int
    at: float
    verified: bool


class Logins:
    """
    Announces the logins here, and ends those that another node has later ones of.

    @ivar endPeer: ends a peer's session without a word to it; to be set by who has the sessions.
    """

    def __init__(
        self,
        clock: IReactorTime,
        nodeID: int,
        wallClock: Callable[[], float],
        tell: Callable[[str, bytes], None],
    ) -> None:
        """
        @param clock: monotonic.
        @param wallClock: seconds since 1970.
        @param tell: sends an application message to every node.
        """
        self.endPeer: Callable[[int, str], None] = _leave
        self._clock = clock
        self._nodeID = nodeID
        self._wallClock = wallClock
        self._tell = tell
        self._logins: dict[int, Login] = {}

    def __len__(self) -> int:
        """
        How many peers are here.
        """
        return len(self._logins)

    def watch(self, event: Event) -> None:
        """
        Take what the node tells of its peers.
        """
        match event:
            case PeerRegistered(peer=peer, again=False):
                wall = int(self._wallClock() * 1e6)
                login = Login(wall, self._clock.seconds(), event.verified)
                self._logins[peer] = login
                # Whoever knows an ID could throw its owner out, if no secret were asked for.
                if login.verified:
                    self._tell(PEER, _login.pack(peer, wall))
            case PeerLost(peer=peer):
                self._logins.pop(peer, None)

    def young(self) -> Iterator[bytes]:
        """
        What a new link is told.

        An older login is not news: whichever node the peer was at before has missed it for a
        minute by now and has ended its session, and a new link is not flooded with every peer.
        """
        since = self._clock.seconds() - YOUNG
        for peer, login in self._logins.items():
            if login.verified and login.at > since:
                yield _login.pack(peer, login.wall)

    def received(self, node: int, payload: bytes) -> None:
        """
        A peer has logged in at another node.

        @raise ProtocolError: it is malformed.
        """
        if len(payload) != _login.size:
            raise ProtocolError("malformed peer")
        peer, wall = _login.unpack(payload)
        own = self._logins.get(peer)
        # A tie goes to the lower node ID, so that crossing announcements never end both.
        if own is not None and (own.wall, -self._nodeID) < (wall, -node):
            self.endPeer(peer, f"logged in at node {node}")


def _leave(peer: int, reason: str) -> None:
    """
    Leave a peer where it is, as long as nobody has sessions to end.
    """
