"""
C{bmffctl lastheard} and C{talkgroups}: ask a running node who talks, and who hears it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from bmff.ctl.ask import AskOptions
from bmff.ctl.tables import table

_PRIVATE: Final = {4: "data", 5: "voice"}


class LastHeardOptions(AskOptions):
    """
    The options of C{bmffctl lastheard}.
    """

    synopsis = "[options]"
    longdesc = "Lists who was heard last by a running node."
    resource = "lastheard"

    def show(self, content: Any) -> str:
        """
        A line for each call.
        """
        return table(
            ("START (UTC)", "FROM", "NAME", "TO", "OVER", "SLOT", "LENGTH", "LOSS"),
            [_row(call) for call in content["lastheard"]],
        )


def _row(call: dict[str, Any]) -> tuple[object, ...]:
    started, stopped, total = call["Start"], call["Stop"], call["TotalCount"]
    who = "radio" if call["SessionType"] in _PRIVATE else "TG"
    return (
        datetime.fromtimestamp(started, UTC).strftime("%Y-%m-%d %H:%M:%S"),
        call["SourceID"],
        call["TalkerAlias"] or call["SourceCall"],
        f"{who} {call['DestinationID']}",
        call["LinkCall"] or call["ContextID"],
        call["Slot"],
        f"{stopped - started} s" if stopped else "on",
        f"{100 * call['LossCount'] / total:.1f}%" if total else "",
    )


class TalkgroupsOptions(AskOptions):
    """
    The options of C{bmffctl talkgroups}.
    """

    synopsis = "[options]"
    longdesc = (
        "Lists the talkgroups that somebody hears at a running node: on how many slots always, "
        "on how many as they were keyed, and at which other nodes."
    )
    resource = "talkgroups"

    def show(self, content: Any) -> str:
        """
        A line for each talkgroup.
        """
        rows = [
            (
                row["talkgroup"],
                len(row["static"]),
                len(row["dynamic"]),
                " ".join(map(str, row["nodes"])),
                " ".join(row["calls"]),
            )
            for row in content["talkgroups"]
        ]
        return table(("TALKGROUP", "STATIC", "DYNAMIC", "NODES", "CALLS"), rows)
