"""
The topics of one node on MQTT: C{Master/<network>/...}, as BrandMeister's public pages have them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bmff.errors import ProtocolError

ROOT: Final = "Master"
LARGEST_ID: Final = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Topics:
    """
    The topics of a node.

    @ivar network: its node ID.
    @ivar root: the first level of all.
    """

    network: int
    root: str = ROOT

    @property
    def base(self) -> str:
        """
        What all of them begin with.
        """
        return f"{self.root}/{self.network}"

    @property
    def state(self) -> str:
        """
        Whether the node is there; kept by the broker.
        """
        return f"{self.base}/State"

    @property
    def system(self) -> str:
        """
        Links to other nodes.
        """
        return f"{self.base}/System"

    @property
    def session(self) -> str:
        """
        Calls.
        """
        return f"{self.base}/Session"

    @property
    def service(self) -> str:
        """
        What radios say of themselves beside calls.
        """
        return f"{self.base}/Service"

    @property
    def repeater(self) -> str:
        """
        The coming and going of hotspots and repeaters.
        """
        return f"{self.base}/Repeater"

    @property
    def repeaters(self) -> str:
        """
        What the topics of single hotspots and repeaters begin with.
        """
        return f"{self.repeater}/"

    def repeaterState(self, peer: int) -> str:
        """
        One hotspot or repeater; kept by the broker.
        """
        return f"{self.repeaters}{peer}"

    def incoming(self, kind: str, source: int, destination: int) -> str:
        """
        What has come to the node.

        @param kind: C{"Message"}, C{"Data"}, C{"Report"}.
        """
        return f"{self.base}/Incoming/{kind}/{source}/{destination}"

    def outgoing(self, kind: str, source: int, destination: int) -> str:
        """
        What the node has sent.
        """
        return f"{self.base}/Outgoing/{kind}/{source}/{destination}"

    @property
    def _commands(self) -> str:
        return f"{self.base}/Outgoing/Command/"

    @property
    def commands(self) -> str:
        """
        The filter of what the node is to do.
        """
        return f"{self._commands}#"

    def partiesOf(self, topic: str) -> tuple[int, int]:
        """
        Source and destination in the topic of a command.

        @raise ProtocolError: it is not one.
        """
        parts = topic.removeprefix(self._commands).split("/")
        if not topic.startswith(self._commands) or len(parts) != 2:
            raise ProtocolError("topic of no command")
        return _number(parts[0]), _number(parts[1])


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 10 and int(text) <= LARGEST_ID):
        raise ProtocolError("topic of no command")
    return int(text)
