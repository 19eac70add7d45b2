"""
The rules of the house: which room imports which, and how its files look.

L{ROOMS} is the one place where they are written down. The checks read the source with L{ast} and
import nothing of it, so what stands inside a function or under C{TYPE_CHECKING} counts as well.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from configparser import ConfigParser
from dataclasses import dataclass, field
from pathlib import Path
from sys import stdlib_module_names
from typing import Final

# What decides or decodes stays testable without a reactor, and usable outside of Twisted.
IMPURE: Final = ("twisted", "zope", "socket", "asyncio", "time")


@dataclass(frozen=True, slots=True)
class Room:
    """
    What one room of bmff, a module or a package, may import.

    @ivar imports: the other rooms of bmff.
    @ivar exceptions: single modules of rooms that are not in C{imports}, each with the reason.
    @ivar never: modules outside bmff, with all that is in them.
    @ivar reactor: whether it may import the global reactor, which it may only inside a function.
    """

    imports: tuple[str, ...] = ()
    exceptions: Mapping[str, str] = field(default_factory=dict)
    never: tuple[str, ...] = ()
    reactor: bool = False


# Imports run only down: a room's row names rooms that stand above it in this table. A protocol, a
# transport and a registry are found by their plugins, so that a third party's is worth as much as
# ours: only the node, which puts the parts together, imports those rooms.
ROOMS: Final[Mapping[str, Room]] = {
    "errors": Room(),
    "log": Room(),
    "routing": Room(),
    "ibmff": Room(("errors", "routing")),
    "tables": Room(),
    "systemd": Room(),
    "dmr": Room(("errors",), never=IMPURE),
    "events": Room(("errors", "dmr")),
    "journal": Room(("errors", "events")),
    "wire": Room(("errors", "dmr"), never=IMPURE),
    "router": Room(("errors", "routing", "dmr", "events"), never=IMPURE),
    "toml": Room(("errors",)),
    "sections": Room(("errors", "dmr", "toml")),
    "config": Room(("errors", "toml", "sections")),
    "keys": Room(("errors", "toml")),
    "keyfile": Room(("errors", "keys")),
    "peertexts": Room(("errors", "toml", "sections")),
    "access": Room(("errors", "ibmff", "dmr", "router", "keys", "sections", "peertexts")),
    "registries": Room(("errors", "ibmff", "keys", "sections")),
    "sockets": Room(("errors", "ibmff")),
    "transports": Room(("errors", "ibmff", "sockets")),
    "protocols": Room(("errors", "ibmff", "dmr", "events", "wire", "router", "sockets")),
    "registry": Room(
        ("errors", "ibmff", "tables", "dmr", "wire", "peertexts"),
        {"protocols.tarantool": "the protocol that the Tarantool registry speaks"},
    ),
    "web": Room(
        (
            "errors",
            "log",
            "ibmff",
            "tables",
            "dmr",
            "events",
            "wire",
            "router",
            "keys",
            "sections",
            "config",
            "access",
            "sockets",
        )
    ),
    "brokers": Room(("errors", "dmr", "events", "wire", "router", "protocols")),
    "cluster": Room(("errors", "ibmff", "dmr", "events", "wire", "router")),
    "testing": Room(
        ("errors", "ibmff", "dmr", "events", "wire", "router", "sockets"),
        {
            "transports.lifetime": "what the transport in memory has begun ends as that of others",
            "transports.strangers": "it has the same limits for those who are not known yet",
        },
    ),
    "ctl": Room(
        (
            "errors",
            "ibmff",
            "tables",
            "dmr",
            "wire",
            "toml",
            "keys",
            "keyfile",
            "sections",
            "config",
            "registries",
            "sockets",
            "testing",
        ),
        {"protocols.hotspot": "bmffctl logs in to a node as a hotspot does"},
        reactor=True,
    ),
    "bridges": Room(
        (
            "errors",
            "dmr",
            "events",
            "wire",
            "router",
            "sections",
            "access",
            "sockets",
            "systemd",
            "protocols",
        )
    ),
    "uplinks": Room(
        (
            "errors",
            "dmr",
            "events",
            "wire",
            "sections",
            "access",
            "sockets",
            "protocols",
        )
    ),
    "hotspots": Room(
        (
            "errors",
            "toml",
            "router",
            "sections",
            "access",
            "sockets",
            "systemd",
            "protocols",
        )
    ),
    "reload": Room(("errors", "toml", "config")),
    "exchange": Room(("errors", "ibmff", "routing", "dmr", "events", "router")),
    "linkservice": Room(
        (
            "errors",
            "log",
            "ibmff",
            "dmr",
            "events",
            "wire",
            "router",
            "keys",
            "sections",
            "config",
            "registries",
            "sockets",
            "protocols",
            "cluster",
        ),
    ),
    "node": Room(
        (
            "errors",
            "log",
            "ibmff",
            "dmr",
            "events",
            "journal",
            "wire",
            "router",
            "exchange",
            "reload",
            "keys",
            "sections",
            "config",
            "access",
            "sockets",
            "systemd",
            "protocols",
            "hotspots",
            "bridges",
            "uplinks",
            "brokers",
            "registries",
            "linkservice",
            "web",
        ),
        reactor=True,
    ),
}

FOLDERS: Final = ("bmff", "tests", "benchmarks", "examples", "twisted")
PLUGINS: Final = "twisted/plugins/bmff_plugins.py"
# Every twistd on the machine imports the plugin file at every start.
PLUGIN_IMPORTS: Final = ("__future__", "twisted.application.service", "bmff.ibmff")
MAXIMUM_LINES: Final = 700  # a file that is longer holds two nouns
LOADERS: Final = ("import_module", "__import__", "namedAny", "namedModule", "requireModule")
# Where a distribution is not named as the package in it.
DISTRIBUTIONS: Final = {
    "attr": "attrs",
    "paho": "paho-mqtt",
    "prometheus_client": "prometheus-client",
    "zope": "zope.interface",
}


@dataclass(frozen=True, slots=True)
class Import:
    """
    One name that a module imports, however it does.

    @ivar target: in full, as C{"bmff.dmr.frame.Frame"}; whether its last word is a module or a
        name in one makes no difference here.
    @ivar line: where, from 1.
    @ivar late: whether it stands inside a function.
    @ivar relative: whether it is written with leading dots.
    """

    target: str
    line: int
    late: bool
    relative: bool = False


def importsOf(tree: ast.AST, late: bool = False) -> Iterator[Import]:
    """
    All that a module imports: by statement, wherever it stands, or by a constant name that is
    given to something which imports by name.
    """
    for node in ast.iter_child_nodes(tree):
        match node:
            case ast.Import(names=names, lineno=line):
                for alias in names:
                    yield Import(alias.name, line, late)
            case ast.ImportFrom(module=module, names=names, lineno=line, level=level):
                for alias in names:
                    yield Import(f"{module or ''}.{alias.name}", line, late, level > 0)
            case ast.Call(
                func=ast.Name(id=loader) | ast.Attribute(attr=loader),
                args=[ast.Constant(value=str(name)), *_],
                lineno=line,
            ) if loader in LOADERS:
                yield Import(name, line, late, name.startswith("."))
        inside = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        yield from importsOf(node, late or inside)


def within(target: str, modules: tuple[str, ...]) -> bool:
    """
    Whether a name is one of these modules or is in one of them.
    """
    return any(target == module or target.startswith(module + ".") for module in modules)


@dataclass(frozen=True, slots=True)
class Source:
    """
    One file of Python.

    @ivar path: from the root, with slashes.
    @ivar text: what is in it.
    @ivar tree: the same, parsed.
    """

    path: str
    text: str
    tree: ast.Module

    @property
    def room(self) -> str | None:
        """
        The room of bmff that it belongs to; L{None} outside bmff and for C{bmff/__init__.py}.
        """
        folder, _, rest = self.path.partition("/")
        if folder != "bmff" or rest == "__init__.py":
            return None
        return rest.partition("/")[0].removesuffix(".py")


def sourcesOf(root: Path, *folders: str) -> list[Source]:
    """
    The files of Python in these folders, in the order of their paths.
    """
    sources = []
    for folder in folders:
        for path in sorted((root / folder).rglob("*.py")):
            text = path.read_text("utf-8")
            name = path.relative_to(root).as_posix()
            sources.append(Source(name, text, ast.parse(text, name)))
    return sources


def checkRooms(root: Path) -> Iterator[str]:
    """
    Every room has a row, and imports nothing that its row does not name.
    """
    for source in sourcesOf(root, "bmff"):
        if source.room is None:
            continue
        if source.room not in ROOMS:
            yield f"{source.path}:1: {source.room} has no row in ROOMS"
            continue
        row = ROOMS[source.room]
        may = tuple(f"bmff.{one}" for one in (source.room, *row.imports, *row.exceptions))
        for one in importsOf(source.tree):
            foreign = within(one.target, ("bmff",)) and not within(one.target, may)
            if foreign or within(one.target, row.never):
                yield f"{source.path}:{one.line}: {source.room} may not import {one.target}"


def checkReactor(root: Path) -> Iterator[str]:
    """
    The reactor is an argument; the few that hand it out import it when they run.
    """
    for source in sourcesOf(root, "bmff"):
        row = ROOMS.get(source.room or "", Room())
        for one in importsOf(source.tree):
            if within(one.target, ("twisted.internet.reactor",)):
                if not row.reactor:
                    yield f"{source.path}:{one.line}: the reactor is an argument here"
                elif not one.late:
                    yield f"{source.path}:{one.line}: import the reactor inside a function"


def checkPlugins(root: Path) -> Iterator[str]:
    """
    The plugin file imports nothing heavy.
    """
    for source in sourcesOf(root, "twisted"):
        for one in importsOf(source.tree):
            if not within(one.target, PLUGIN_IMPORTS):
                yield f"{source.path}:{one.line}: a plugin file may not import {one.target}"
        if source.path != PLUGINS:
            yield f"{source.path}:1: the plugins are in {PLUGINS} alone"


def checkDependencies(root: Path) -> Iterator[str]:
    """
    What bmff imports from outside comes with Python or is required in C{setup.cfg}.
    """
    setup = ConfigParser()
    setup.read(root / "setup.cfg", "utf-8")
    required = set(re.findall(r"^[\w.-]+", setup["options"]["install_requires"], re.MULTILINE))
    optional = setup["options.extras_require"]["test"]
    strategies = required | set(re.findall(r"^[\w.-]+", optional, re.MULTILINE))
    for source in sourcesOf(root, "bmff"):
        for one in importsOf(source.tree):
            package = one.target.partition(".")[0]
            if one.relative or package == "bmff" or package in stdlib_module_names:
                continue
            declared = strategies if source.room == "testing" else required
            if DISTRIBUTIONS.get(package, package) not in declared:
                yield f"{source.path}:{one.line}: setup.cfg does not require {package}"


def checkFiles(root: Path) -> Iterator[str]:
    """
    Every file says what it is, holds one noun, and names what it imports in full.
    """
    for source in sourcesOf(root, *FOLDERS):
        path, body = source.path, source.tree.body
        if ast.get_docstring(source.tree) is None:
            yield f"{path}:1: no docstring"
        elif path.endswith("/__init__.py") and len(body) > 1:
            yield f"{path}:{body[1].lineno}: an __init__.py holds only a docstring"
        lines = source.text.count("\n")
        if lines > MAXIMUM_LINES:
            yield f"{path}:{lines}: over {MAXIMUM_LINES} lines, so it holds two nouns"
        for one in importsOf(source.tree):
            if one.relative:
                yield f"{path}:{one.line}: relative import"


def checkPackages(root: Path) -> Iterator[str]:
    """
    Every folder of Python is a package, but those that Twisted's own continue in.
    """
    packages = (source.path.rpartition("/")[0] for source in sourcesOf(root, "bmff", "tests"))
    for folder in dict.fromkeys(packages):
        if not (root / folder / "__init__.py").exists():
            yield f"{folder}/__init__.py:1: missing"
    for source in sourcesOf(root, "twisted"):
        if source.path.endswith("/__init__.py"):
            yield f"{source.path}:1: hides Twisted's own"


def checkArchitecture(root: Path) -> Iterator[str]:
    """
    C{ARCHITECTURE.md} names every room as code: a package as C{dmr/}, a module as C{errors}.
    """
    page = root / "ARCHITECTURE.md"
    if not page.exists():
        return
    code = set(re.findall(r"`([^`\n]+)`", page.read_text("utf-8")))
    rooms = {one.room: one.path for one in sourcesOf(root, "bmff") if one.room is not None}
    for room, path in rooms.items():
        name = room if path == f"bmff/{room}.py" else f"{room}/"
        if name not in code:
            yield f"ARCHITECTURE.md:1: does not name {name}"


CHECKS: Final = (
    checkRooms,
    checkReactor,
    checkPlugins,
    checkDependencies,
    checkFiles,
    checkPackages,
    checkArchitecture,
)
