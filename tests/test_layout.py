"""
Tests that the house keeps its rules, and that the checks of L{tests.layout} see a broken one.
"""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.layout import CHECKS, MAXIMUM_LINES, ROOMS

ROOT = Path(__file__).parent.parent

# A house without a fault, small as it is.
HOUSE = {
    "setup.cfg": (
        "[options]\ninstall_requires =\n    twisted>=26.10\n    zope.interface>=7\n"
        "[options.extras_require]\ntest =\n    hypothesis>=6\n"
    ),
    "ARCHITECTURE.md": "`errors` `dmr/` `wire/`, `node` `testing/`\n",
    "twisted/plugins/bmff_plugins.py": (
        '"""Plugins."""\nfrom twisted.application.service import ServiceMaker\n'
    ),
    "bmff/__init__.py": '"""Bmff."""\n',
    "bmff/errors.py": '"""Errors."""\n',
    "bmff/dmr/__init__.py": '"""DMR."""\n',
    "bmff/dmr/frame.py": '"""Frame."""\nfrom bmff.errors import ProtocolError\n',
    "bmff/wire/__init__.py": '"""Wire."""\n',
    "bmff/wire/homebrew.py": (
        '"""HomeBrew."""\nimport bmff.dmr.frame\nfrom bmff import errors\n'
        "from bmff.wire import options\nfrom timeit import timeit\n"
    ),
    "bmff/testing/__init__.py": '"""Testing."""\n',
    "bmff/testing/strategies.py": '"""Strategies."""\nimport hypothesis\n',
    "bmff/node.py": (
        '"""Node."""\nimport zope.interface\nfrom bmff.protocols.homebrew import HomeBrew\n'
        "def makeService():\n    from twisted.internet import reactor\n"
    ),
    "tests/__init__.py": '"""Tests."""\n',
    "tests/test_dmr.py": '"""Tests of DMR."""\nimport bmff.node\nimport hypothesis\n',
}

# What is added to a file of that house, or what a new file holds, and what is then wrong.
DOC = '"""A noun."""\n'
FAULTS: tuple[tuple[str, str, str], ...] = (
    # Every form of import is seen, and by each of them every room keeps to its row.
    (
        "bmff/wire/a.py",
        "from bmff.events import Event",
        "2: wire may not import bmff.events.Event",
    ),
    ("bmff/wire/a.py", "from bmff import router", "2: wire may not import bmff.router"),
    ("bmff/wire/a.py", "from bmff import *", "2: wire may not import bmff.*"),
    ("bmff/wire/a.py", "import bmff", "2: wire may not import bmff"),
    ("bmff/wire/a.py", "import bmff.router as r", "2: wire may not import bmff.router"),
    ("bmff/wire/a.py", "import re, bmff.log", "2: wire may not import bmff.log"),
    (
        "bmff/dmr/a.py",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import bmff.wire",
        "4: dmr may not import bmff.wire",
    ),
    ("bmff/dmr/a.py", "def f():\n    import bmff.wire", "3: dmr may not import bmff.wire"),
    (
        "bmff/router/a.py",
        "try:\n    x = 1\nexcept ImportError:\n    import bmff.wire",
        "5: router may not import bmff.wire",
    ),
    (
        "bmff/web/a.py",
        "import importlib\nx = importlib.import_module('bmff.node')",
        "3: web may not import bmff.node",
    ),
    # Every room keeps to its row.
    ("bmff/errors.py", "import bmff.dmr", "2: errors may not import bmff.dmr"),
    ("bmff/log.py", "import bmff.errors", "2: log may not import bmff.errors"),
    ("bmff/events.py", "import bmff.router", "2: events may not import bmff.router"),
    ("bmff/keys.py", "import bmff.config", "2: keys may not import bmff.config"),
    ("bmff/config.py", "import bmff.keys", "2: config may not import bmff.keys"),
    ("bmff/access.py", "import bmff.wire", "2: access may not import bmff.wire"),
    ("bmff/ibmff.py", "import bmff.dmr", "2: ibmff may not import bmff.dmr"),
    ("bmff/sockets/a.py", "import bmff.dmr", "2: sockets may not import bmff.dmr"),
    ("bmff/transports/a.py", "import bmff.wire", "2: transports may not import bmff.wire"),
    ("bmff/protocols/a.py", "import bmff.keys", "2: protocols may not import bmff.keys"),
    (
        "bmff/registry/a.py",
        "import bmff.protocols.tarantool\nimport bmff.protocols.mqtt",
        "3: registry may not import bmff.protocols.mqtt",
    ),
    (
        "bmff/web/a.py",
        "import bmff.transports.udp",
        "2: web may not import bmff.transports.udp",
    ),
    (
        "bmff/testing/a.py",
        "import bmff.registry",
        "2: testing may not import bmff.registry",
    ),
    (
        "bmff/ctl/a.py",
        "import bmff.protocols.hotspot\nfrom bmff.protocols import homebrew",
        "3: ctl may not import bmff.protocols.homebrew",
    ),
    ("bmff/ctl/a.py", "import bmff.node", "2: ctl may not import bmff.node"),
    ("bmff/node.py", "import bmff.ctl", "6: node may not import bmff.ctl"),
    ("bmff/cellar.py", "", "1: cellar has no row in ROOMS"),
    # What decides or decodes does no I/O and reads no clock.
    ("bmff/wire/a.py", "import asyncio", "2: wire may not import asyncio"),
    ("bmff/wire/a.py", "from time import time", "2: wire may not import time.time"),
    ("bmff/dmr/a.py", "import socket", "2: dmr may not import socket"),
    (
        "bmff/dmr/a.py",
        "from zope.interface import Interface",
        "2: dmr may not import zope.interface.Interface",
    ),
    (
        "bmff/router/a.py",
        "from twisted.python import log",
        "2: router may not import twisted.python.log",
    ),
    # The reactor.
    (
        "bmff/protocols/a.py",
        "def f():\n    from twisted.internet import reactor",
        "3: the reactor is an argument here",
    ),
    (
        "bmff/node.py",
        "from twisted.internet import reactor",
        "6: import the reactor inside a function",
    ),
    (
        "bmff/ctl/a.py",
        "import twisted.internet.reactor as r",
        "2: import the reactor inside a function",
    ),
    # The plugin file.
    (
        "twisted/plugins/bmff_plugins.py",
        "from bmff.node import makeService",
        "3: a plugin file may not import bmff.node.makeService",
    ),
    (
        "twisted/plugins/a.py",
        "",
        "1: the plugins are in twisted/plugins/bmff_plugins.py alone",
    ),
    # Dependencies.
    ("bmff/web/a.py", "import msgpack", "2: setup.cfg does not require msgpack"),
    ("bmff/web/a.py", "import hypothesis", "2: setup.cfg does not require hypothesis"),
    # Files.
    ("bmff/dmr/__init__.py", "import re", "2: an __init__.py holds only a docstring"),
    ("tests/__init__.py", "x = 1", "2: an __init__.py holds only a docstring"),
    ("bmff/dmr/a.py", "from . import frame", "2: relative import"),
    ("tests/test_dmr.py", "from .layout import ROOMS", "4: relative import"),
    (
        "bmff/dmr/a.py",
        "\n" * (MAXIMUM_LINES - 1),
        f"{MAXIMUM_LINES + 1}: over {MAXIMUM_LINES} lines, so it holds two nouns",
    ),
)


class FaultTests(SynchronousTestCase):
    """
    Tests of the checks, on a small house in a folder of its own.
    """

    def house(self, **changes: str) -> Path:
        """
        Build the house without a fault, then what a test changes about it.

        @param changes: paths and what is in them.
        @return: its root.
        """
        root = Path(self.mktemp())
        for path, text in {**HOUSE, **changes}.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text, "utf-8")
        return root

    def faults(self, **changes: str) -> list[str]:
        """
        What all checks say about the house with these changes.
        """
        root = self.house(**changes)
        return [fault for check in CHECKS for fault in check(root)]

    def test_sound(self) -> None:
        """
        A house that keeps the rules has no fault: a room may import itself and the rooms in its
        row, a module whose name begins like a forbidden one is not that one, tests import
        anything, and nobody minds a page that does not exist.
        """
        self.assertEqual(self.faults(), [])
        root = self.house()
        (root / "ARCHITECTURE.md").unlink()
        self.assertEqual([fault for check in CHECKS for fault in check(root)], [])

    def test_faults(self) -> None:
        """
        Each breach of a rule is found, at its place, and nothing else is.
        """
        for path, addition, fault in FAULTS:
            rooms = HOUSE["ARCHITECTURE.md"] + " ".join(f"`{room}/` `{room}`" for room in ROOMS)
            rooms += " `cellar`"
            changes = {"ARCHITECTURE.md": rooms, path: HOUSE.get(path, DOC) + addition + "\n"}
            folder, _, name = path.rpartition("/")
            if folder.startswith("bmff/"):
                changes.setdefault(f"{folder}/__init__.py", DOC)
            found = self.faults(**changes)
            self.assertEqual(found, [f"{path}:{fault}"], f"{addition!r} in {name} of {folder}")

    def test_noDocstring(self) -> None:
        """
        A module without a docstring is found, in whichever folder.
        """
        for path in ("bmff/dmr/a.py", "tests/a.py", "benchmarks/a.py", "examples/a.py"):
            self.assertEqual(self.faults(**{path: "x = 1\n"}), [f"{path}:1: no docstring"])

    def test_packages(self) -> None:
        """
        A folder that lacks its C{__init__.py} is found, and so is one that would take the place
        of Twisted's own.
        """
        self.assertEqual(
            self.faults(**{"tests/dmr/test_a.py": DOC}), ["tests/dmr/__init__.py:1: missing"]
        )
        self.assertIn(
            "twisted/plugins/__init__.py:1: hides Twisted's own",
            self.faults(**{"twisted/plugins/__init__.py": DOC}),
        )

    def test_architecture(self) -> None:
        """
        A page that leaves out a room, or has it as a part of something else, is found.
        """
        page = "`errors`, `xdmr/`, dmr/, `wire/`, node, `node/`, `testing/`\n"
        self.assertEqual(
            self.faults(**{"ARCHITECTURE.md": page}),
            [
                "ARCHITECTURE.md:1: does not name dmr/",
                "ARCHITECTURE.md:1: does not name node",
            ],
        )


class TableTests(SynchronousTestCase):
    """
    Tests of the table itself.
    """

    def test_down(self) -> None:
        """
        Imports run only down: a row names only rooms above its own.
        """
        above: list[str] = []
        for room, row in ROOMS.items():
            named = [*row.imports, *(module.partition(".")[0] for module in row.exceptions)]
            self.assertEqual([one for one in named if one not in above], [], room)
            above.append(room)

    def test_plugged(self) -> None:
        """
        What comes as a plugin is named by the node alone, and the node by nobody.
        """
        for plugged in ("protocols", "transports", "registry"):
            importers = {room for room in ROOMS if plugged in ROOMS[room].imports}
            self.assertLessEqual(
                importers, {"bridges", "brokers", "hotspots", "linkservice", "node", "uplinks"}
            )
        self.assertEqual([room for room in ROOMS if "node" in ROOMS[room].imports], [])

    def test_reasons(self) -> None:
        """
        An exception is one module, not a room, and comes with its reason.
        """
        for row in ROOMS.values():
            for module, reason in row.exceptions.items():
                self.assertIn(".", module)
                self.assertGreater(len(reason.split()), 3)


class HouseTests(SynchronousTestCase):
    """
    Tests of bmff's own source.
    """

    def test_rules(self) -> None:
        """
        The house keeps every rule.
        """
        faults = [fault for check in CHECKS for fault in check(ROOT)]
        self.assertEqual(faults, [], "\n" + "\n".join(faults))
