"""
C{bmffctl bridges} and C{uplinks}: ask a running node about its ways to other networks.
"""

from __future__ import annotations

from typing import Any, Final

from bmff.ctl.ask import AskOptions
from bmff.ctl.tables import table

_BRIDGES: Final = (
    *("BRIDGE", "STATE", "PROTOCOL", "ADDRESS", "HEARD", "SENT", "RECEIVED"),
    *("QUENCHED", "DROPPED", "TALKGROUPS", "REASON"),
)
_UPLINKS: Final = (
    *("UPLINK", "STATE", "ID THERE", "MASTER", "LOGINS", "SENT", "RECEIVED", "DROPPED", "REASON"),
)
_WIDEST: Final = 24  # characters of a list of talkgroups


class BridgesOptions(AskOptions):
    """
    The options of C{bmffctl bridges}.
    """

    synopsis = "[options]"
    longdesc = (
        "Lists the bridges of a running node to other networks. PROTOCOL is plain, or enhanced "
        "with the version that was heard. HEARD: how long ago something came from the other end. "
        "SENT and RECEIVED are frames. QUENCHED: frames that did not leave, as the other end does "
        "not want their call. TALKGROUPS are those that go out. bmffctl counters says by reason "
        "what was dropped."
    )
    resource = "bridges"

    def show(self, content: Any) -> str:
        """
        A line for each bridge.
        """
        rows = [
            (
                bridge["name"],
                bridge["state"],
                _protocol(bridge),
                bridge["address"] or "-",
                _ago(bridge["heard"]),
                bridge["frames_sent"],
                bridge["frames_received"],
                bridge["frames_quenched"],
                sum(bridge["dropped"].values()),
                _shortened(bridge["talkgroups"]),
                bridge["reason"] or "",
            )
            for bridge in content["bridges"]
        ]
        return table(_BRIDGES, rows)


class UplinksOptions(AskOptions):
    """
    The options of C{bmffctl uplinks}.
    """

    synopsis = "[options]"
    longdesc = (
        "Lists the logins of a running node at other networks' masters. ID THERE is ours, MASTER "
        "the one that is spoken to, or was last. SENT and RECEIVED are frames. bmffctl counters "
        "says by reason which calls did not cross."
    )
    resource = "uplinks"

    def show(self, content: Any) -> str:
        """
        A line for each uplink.
        """
        rows = [
            (
                uplink["name"],
                uplink["state"],
                uplink["id"],
                uplink["address"] or "-",
                uplink["logins"],
                uplink["frames_sent"],
                uplink["frames_received"],
                sum(uplink["dropped"].values()),
                uplink["reason"] or "",
            )
            for uplink in content["uplinks"]
        ]
        return table(_UPLINKS, rows)


def _protocol(bridge: dict[str, Any]) -> str:
    if not bridge["enhanced"]:
        return "plain"
    return f"enhanced {bridge['version']}" if bridge["version"] else "enhanced"


def _ago(seconds: float | None) -> str:
    if seconds is None:
        return "never"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"


def _shortened(text: str) -> str:
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 1]}\N{HORIZONTAL ELLIPSIS}"
