"""
The C{rules.py} of hblink3 and FreeDMR: which talkgroups of which systems are one.

It is a program in Python. It is never run: its assignments are read as far as they are literals.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from bmff.ctl.importing.remarks import Remarks
from bmff.errors import ConfigurationError, Mistake
from bmff.sections.values import LARGEST_TALKGROUP

_UNREADABLE: Final = (SyntaxError, ValueError, RecursionError, MemoryError)
_MOST: Final = 10_000  # members of a bridge, and bridges
_NAMES: Final = ("BRIDGES", "UNIT")


@dataclass(frozen=True, slots=True)
class Member:
    """
    One talkgroup of one system that belongs to a bridge.

    @ivar system: the system's name.
    @ivar slot: 1 or 2.
    @ivar talkgroup: its number there.
    @ivar active: whether it is joined from the start.
    @ivar timeout: minutes after which it is left, or joined again.
    @ivar timed: C{"ON"} when it is left then, C{"OFF"} when it is joined again, else C{"NONE"}.
    @ivar on: the talkgroups that join it.
    @ivar off: those that leave it.
    @ivar reset: those that begin the time anew.
    """

    system: str
    slot: int
    talkgroup: int
    active: bool
    timeout: float = 0.0
    timed: str = "NONE"
    on: tuple[int, ...] = ()
    off: tuple[int, ...] = ()
    reset: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Bridging:
    """
    All that is in the file.

    @ivar bridges: the members of each bridge, by its name.
    @ivar units: the systems that private calls go to; L{None} when that is not said.
    """

    bridges: Mapping[str, tuple[Member, ...]] = field(default_factory=dict)
    units: frozenset[str] | None = None


def readBridging(text: str, name: str, remarks: Remarks) -> Bridging:
    """
    What the text of a C{rules.py} says.

    @param name: the file's name, for messages.
    @raise ConfigurationError: it is no Python, or C{BRIDGES} cannot be read.
    """
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        raise _mistake(name, f"line {error.lineno}: is not Python: {error.msg}") from None
    except _UNREADABLE:
        raise _mistake(name, "is not Python") from None
    found: dict[str, Any] = {}
    for statement in tree.body:
        for target, value in _assigned(statement):
            try:
                found[target] = ast.literal_eval(_Bare(found).visit(value))
            except (*_UNREADABLE, TypeError):
                place = f"line {statement.lineno}: {target}"
                if target in _NAMES:
                    raise _mistake(name, f"{place} is made by a program, and not read") from None
                remarks.left(f"{name} {place}", "is made by a program; no program is run")
    if "BRIDGES" not in found:
        raise _mistake(name, "has no BRIDGES")
    bridges = found["BRIDGES"]
    if not isinstance(bridges, dict) or len(bridges) > _MOST:
        raise _mistake(name, "BRIDGES is no table of bridges")
    units = found.get("UNIT")
    return Bridging(
        {
            str(bridge): _members(name, str(bridge), rows, remarks)
            for bridge, rows in bridges.items()
        },
        frozenset(map(str, units)) if isinstance(units, list | tuple | set) else None,
    )


def _assigned(statement: ast.stmt) -> list[tuple[str, ast.expr]]:
    """
    The names that a statement gives a value, each with it.
    """
    if isinstance(statement, ast.Assign):
        targets = [each for each in statement.targets if isinstance(each, ast.Name)]
        return [(each.id, statement.value) for each in targets]
    if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
        return [(statement.target.id, statement.value)] if statement.value is not None else []
    return []


class _Bare(ast.NodeTransformer):
    """
    Leaves of a call its one argument, as in C{bytes_3(91)}, and puts in what a name was given.
    """

    def __init__(self, known: Mapping[str, Any]) -> None:
        self._known = known

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """
        See L{ast.NodeTransformer}.

        @raise ValueError: it has another number of arguments.
        """
        if len(node.args) != 1 or node.keywords:
            raise ValueError("a call")
        argument: ast.AST = self.visit(node.args[0])
        return argument

    def visit_Name(self, node: ast.Name) -> ast.AST:
        """
        See L{ast.NodeTransformer}.

        @raise ValueError: the name has no value.
        """
        if node.id not in self._known:
            raise ValueError("a name")
        return ast.parse(repr(self._known[node.id]), mode="eval").body


def _members(file: str, bridge: str, rows: object, remarks: Remarks) -> tuple[Member, ...]:
    place = f"{file} bridge {bridge!a}"
    if not isinstance(rows, list | tuple) or len(rows) > _MOST:
        remarks.left(place, "is no list of systems")
        return ()
    members = []
    for number, row in enumerate(rows):
        try:
            members.append(_member(row))
        except (KeyError, TypeError, ValueError, OverflowError):
            remarks.left(f"{place} row {number + 1}", "has no SYSTEM, TS and TGID that make sense")
    return tuple(members)


def _member(row: Mapping[str, Any]) -> Member:
    """
    @raise KeyError: something is missing.
    @raise TypeError: it is no table.
    @raise ValueError: something makes no sense.
    """
    slot, talkgroup = int(row["TS"]), int(row["TGID"])
    if slot not in {1, 2} or not 1 <= talkgroup <= LARGEST_TALKGROUP:
        raise ValueError("slot or talkgroup")
    return Member(
        str(row["SYSTEM"]),
        slot,
        talkgroup,
        bool(row.get("ACTIVE", True)),
        float(row.get("TIMEOUT") or 0),
        str(row.get("TO_TYPE", "NONE")).upper(),
        _numbers(row.get("ON")),
        _numbers(row.get("OFF")),
        _numbers(row.get("RESET")),
    )


def _numbers(value: object) -> tuple[int, ...]:
    if not isinstance(value, list | tuple | set):
        return ()
    return tuple(int(each) for each in value)


def _mistake(name: str, message: str) -> ConfigurationError:
    return ConfigurationError([Mistake(name, message)])
