"""
Tests of the operator's guide, C{docs/operators-guide.md} and C{docs/guide}: its links lead
somewhere, its configurations are ones, its rules do what they promise, and what it has people type
is understood.
"""

from __future__ import annotations

import ast
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from grp import getgrgid
from pathlib import Path
from textwrap import dedent
from types import SimpleNamespace, UnionType
from typing import Any, Final, get_args, get_origin

import attrs
from twisted.python import usage
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from bmff.bridges import BridgeService
from bmff.brokers.service import BrokerService
from bmff.config import Configuration, loadConfiguration
from bmff.ctl.ask import CallsOptions, PeersOptions
from bmff.ctl.links import LinksOptions, NodesOptions
from bmff.ctl.main import Options
from bmff.ctl.networks import BridgesOptions, UplinksOptions
from bmff.ctl.overrides import OverridesOptions
from bmff.dmr.frame import DATA_SYNC
from bmff.errors import ConfigurationError
from bmff.events import CallRefused
from bmff.exchange import Exchange
from bmff.hotspots import HomeBrewService
from bmff.ibmff import IRouting
from bmff.keys import Secrets
from bmff.linkservice import LinkService
from bmff.toml import written
from bmff.uplinks import UplinkService
from bmff.web.webservice import WebService
from tests.nodes import ROOT
from tests.router.case import RouterTestCase

FRONT: Final = ROOT / "docs" / "operators-guide.md"
FOLDER: Final = ROOT / "docs" / "guide"
PAGES: Final = (FRONT, *sorted(FOLDER.glob("*.md")))
# Documents whose links lead to the guide, or may.
LINKING: Final = (
    *PAGES,
    ROOT / "README.md",
    ROOT / "ARCHITECTURE.md",
    ROOT / "benchmarks" / "README.md",
    ROOT / "docs" / "coming-from-hblink.md",
)
MINIMAL: Final = "network = 25011\n"
_FENCE: Final = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_LINK: Final = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


@dataclass(frozen=True, slots=True)
class Block:
    """
    A block of code.

    @ivar page: its file.
    @ivar language: what it is said to be in; empty when nothing is said.
    @ivar text: what stands there.
    @ivar before: the last line of text above it.
    """

    page: Path
    language: str
    text: str
    before: str


def blocks(page: Path, language: str | None = None) -> Iterator[Block]:
    """
    The blocks of a page.

    @param language: that of those which are wanted; L{None} for all.
    """
    text = page.read_text()
    for found in _FENCE.finditer(text):
        above = text[: found.start()].rstrip().rpartition("\n")[2]
        if language in {None, found[2]}:
            yield Block(page, found[2], dedent(found[3]), above)


def prose(page: Path) -> str:
    """
    A page without its blocks of code.
    """
    return _FENCE.sub("", page.read_text())


def anchors(page: Path) -> set[str]:
    """
    What a link into a page may name: its headings, as GitHub makes names of them.
    """
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", each.lower()) for each in headings)
    return {each.replace(" ", "-") for each in plain}


class PageTests(SynchronousTestCase):
    """
    How the pages hang together.
    """

    def test_links(self) -> None:
        """
        Every link into this tree leads to a file, and to a heading of it where it names one.
        """
        found = 0
        for page in LINKING:
            for target in _LINK.findall(prose(page)):
                if "://" in target or target.startswith("mailto:"):
                    continue
                path, _, anchor = target.partition("#")
                place = (page.parent / path).resolve() if path else page
                self.assertTrue(place.exists(), f"{page.name}: {target}")
                if anchor:
                    self.assertIn(anchor, anchors(place), f"{page.name}: {target}")
                found += 1
        self.assertGreater(found, 100)

    def test_front(self) -> None:
        """
        The front page leads to every page, and the pages are not its only way to itself.
        """
        targets = {target.partition("#")[0] for target in _LINK.findall(FRONT.read_text())}
        self.assertLessEqual({f"guide/{page.name}" for page in PAGES[1:]}, targets)

    def test_shape(self) -> None:
        """
        Each page has one title, and begins with a paragraph that says what it is for.
        """
        for page in PAGES:
            lines = prose(page).splitlines()
            self.assertEqual([line for line in lines if line.startswith("# ")], lines[:1], page)
            self.assertEqual(lines[1], "", page)
            self.assertTrue(lines[2][0].isupper(), page)

    def test_lines(self) -> None:
        """
        No line of text is longer than 120 characters; a row of a table cannot be broken.
        """
        for page in PAGES:
            for line in prose(page).splitlines():
                if not line.startswith("|"):
                    self.assertLessEqual(len(line), 120, f"{page.name}: {line}")


class ConfigurationTests(SynchronousTestCase):
    """
    The blocks of TOML.
    """

    def load(self, text: str) -> Configuration:
        """
        @raise ConfigurationError: it is no configuration.
        """
        path = Path(self.mktemp())
        path.write_text(text)
        return loadConfiguration(path)

    def test_blocks(self) -> None:
        """
        Each is a configuration, whole or with a node's ID in front, or a secrets file; one that is
        said to be wrong is none.
        """
        found, ours = 0, getgrgid(os.getgid()).gr_name
        for page in PAGES:
            for block in blocks(page, "toml"):
                found += 1
                if block.text.startswith("# secrets.toml\n"):
                    path = Path(self.mktemp())
                    path.write_text(block.text)
                    path.chmod(0o600)
                    Secrets.load(path)
                    continue
                whole = "network" in tomllib.loads(block.text)
                text = block.text if whole else MINIMAL + block.text
                # A group that this host has: the guide's are those of setup.sh.
                text = re.sub(
                    r'^control_group = "\w+"', f'control_group = "{ours}"', text, flags=re.M
                )
                try:
                    self.load(text)
                except ConfigurationError as error:
                    self.assertIn("is wrong", block.before, f"{page.name}: {error}\n{block.text}")
                else:
                    self.assertNotIn("is wrong", block.before, page.name)
        self.assertGreater(found, 15)

    def test_unmarked(self) -> None:
        """
        Tables of a configuration stand in blocks that say so, so that none is passed over.
        """
        for page in PAGES:
            for block in blocks(page, ""):
                named = re.search(r"^\[+(\w+)[\].]", block.text, re.MULTILINE)
                sections = {written(field.name) for field in attrs.fields(Configuration)}
                self.assertFalse(named and named[1] in sections, f"{page.name}: {block.text}")

    def test_wrong(self) -> None:
        """
        The file that is wrong has the mistakes that the page shows.
        """
        page = FOLDER / "configuration.md"
        (wrong,) = (each for each in blocks(page, "toml") if "is wrong" in each.before)
        (shown,) = (
            each.text.split("\n\n")[0].partition("\n")[2]
            for each in blocks(page, "")
            if each.text.startswith("$ bmffctl check bad.toml")
        )
        with self.assertRaises(ConfigurationError) as caught:
            self.load(wrong.text)
        self.assertEqual(str(caught.exception), shown)

    def test_keys(self) -> None:
        """
        The guide knows every key that a configuration may have.
        """
        said = "\n".join(page.read_text() for page in PAGES)
        keys = set(keysOf(Configuration))
        self.assertGreater(len(keys), 60)
        self.assertEqual([key for key in sorted(keys) if not re.search(rf"\b{key}\b", said)], [])

    def test_reload(self) -> None:
        """
        The table of what counts at once says of each setting what a running node does with it.
        """
        services: list[Any] = [BridgeService, BrokerService, HomeBrewService, LinkService]
        services += [Exchange, UplinkService, WebService]
        alive = frozenset[str]().union(*(each.alive for each in services))
        page = (FOLDER / "configuration.md").read_text().partition("\n## A changed file")[2]
        rows = re.findall(r"^\| `\[+([a-z]+)\]+`.*? \| *(.*?) *\| *(.*?) *\|$", page, re.MULTILINE)
        found = set()
        for section, once, later in rows:
            types = parts(attrs.fields_dict(Configuration)[section].type)
            (fields,) = (attrs.fields(each) for each in types if attrs.has(each))
            settings = {written(each.name) for each in fields}
            now, then = (set(re.findall(r"`(\w+)`", each)) for each in (once, later))
            self.assertLessEqual(now | then, settings, section)
            if once.startswith("all"):
                now = settings - then
            whole = section in alive and now == settings
            said = {section} if whole else {f"{section}.{each}" for each in now}
            self.assertEqual(said, {each for each in alive if each.startswith(section)}, section)
            found |= said
        self.assertEqual(found, alive)


def parts(type_: Any) -> tuple[Any, ...]:
    """
    A type, or those that it is put together from.
    """
    return get_args(type_) or (type_,)


def keysOf(type_: Any) -> Iterator[str]:
    """
    The keys of a section and of all in it.
    """
    if attrs.has(type_):
        attrs.resolve_types(type_)
        for field in attrs.fields(type_):
            yield written(field.name)
            yield from keysOf(field.type)
    elif get_origin(type_) is not None or isinstance(type_, UnionType):
        for each in get_args(type_):
            yield from keysOf(each)


class RuleTests(RouterTestCase):
    """
    The rules that the guide has people write.
    """

    def setUp(self) -> None:
        super().setUp()
        (self.block,) = (block for page in PAGES for block in blocks(page, "python"))
        names: dict[str, Any] = {}
        exec(self.block.text, names)
        self.rules = {each.name: each for each in names.values() if IRouting.providedBy(each)}
        self.hour = 12
        names["time"] = SimpleNamespace(localtime=lambda: SimpleNamespace(tm_hour=self.hour))

    def use(self, name: str) -> None:
        """
        Have the router ask a rule.
        """
        self.router.rules.add(name, self.rules[name].decide)

    def refusals(self) -> list[str]:
        return [event.reason for event in self.events if isinstance(event, CallRefused)]

    def test_all(self) -> None:
        """
        They are rules as the interface has it, the configuration below names them, and each is
        tried here.
        """
        for rule in self.rules.values():
            verifyObject(IRouting, rule)
        (block,) = blocks(self.block.page, "toml")
        path = Path(self.mktemp())
        path.write_text(MINIMAL + block.text)
        self.assertEqual(loadConfiguration(path).routing.rules, tuple(self.rules))
        self.assertEqual(set(self.rules), {"night-rest", "relay"})

    def test_nightRest(self) -> None:
        """
        Before six talkgroup 91 is refused with the reason that the page shows, others are not;
        from six on nothing is.
        """
        self.use("night-rest")
        talker = self.peer(1)
        self.peer(2, {2: (91, 262)})
        for hour, talkgroup, heard in ((4, 91, 0), (4, 262, 3), (6, 91, 3)):
            self.hour = hour
            self.outlet.heard.clear()
            self.call(talker, destination=talkgroup, stream=hour + talkgroup)
            self.assertEqual(len(self.heardBy(2)), heard, (hour, talkgroup))
            self.advance(10.0)
        (reason,) = self.refusals()
        self.assertIn(f"refused: {reason}\n", self.block.page.read_text())

    def test_relay(self) -> None:
        """
        What is said on 26200 is heard on 26208 too, for 60 s; data and other talkgroups stay.
        """
        self.use("relay")
        talker = self.peer(1)
        self.peer(2, {2: (26200,)})
        self.peer(3, {2: (26208,)})
        self.call(talker, frames=1100, destination=26200, end=False)
        self.assertEqual({frame.destination for _, frame in self.heardBy(2)}, {26200})
        self.assertEqual({frame.destination for _, frame in self.heardBy(3)}, {26208})
        for peerID in (2, 3):
            self.assertLess(abs(len(self.heardBy(peerID)) * 0.06 - 60.0), 0.3)
        self.assertIn("talk limit", {event.reason for event in self.ended()})
        self.advance(10.0)
        self.outlet.heard.clear()
        self.call(talker, destination=26201, stream=78)
        self.send(talker, 0, flags=DATA_SYNC | 6, destination=26200, stream=79)
        self.assertEqual(self.heardBy(3), [])

    def test_place(self) -> None:
        """
        In the file that its first line names the rules are found by a node, without an
        C{__init__.py}.
        """
        prefix = "/opt/BrandMeister/rules/"
        first = self.block.text.partition("\n")[0]
        self.assertTrue(first.startswith(f"# {prefix}"), first)
        self.assertIn(f"PYTHONPATH={prefix[:-1]}", self.block.page.read_text())
        folder = Path(self.mktemp())
        file = folder / first.removeprefix(f"# {prefix}")
        file.parent.mkdir(parents=True)
        file.write_text(self.block.text)
        program = (
            "from bmff.exchange import Exchange\n"
            f"Exchange(None, print, rules={list(self.rules)!r})\n"
            "print('found')\n"
        )
        path = os.pathsep.join([str(folder.absolute()), str(ROOT), *sys.path])
        done = subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        self.assertEqual(done.stdout, "found\n", done.stderr)


# What stands in capitals, or is left out, for what is different each time.
PLACEHOLDERS: Final = {
    "KEY": "0" * 64,
    "HEX": "0" * 64,
    "...": "x",
}
_COMMAND: Final = re.compile(r"(?:^|[\s/$(])bmffctl +(?=[a-z-])(.*)", re.DOTALL)
# Words of the log and of prose that begin as a command does.
NO_COMMANDS: Final = ("reaches this node",)


def commands(page: Path) -> Iterator[str]:
    """
    What a page has people type behind C{bmffctl}.
    """
    typed = [
        line
        for block in blocks(page)
        if block.language in {"", "sh"}
        for line in joined(block.text)
    ]
    typed += [" ".join(each.split()) for each in re.findall(r"`([^`]+)`", prose(page))]
    for line in typed:
        found = _COMMAND.search(line)
        if found and not found[1].startswith(NO_COMMANDS):
            yield found[1]


def joined(text: str) -> list[str]:
    """
    The lines of a terminal, those that a backslash ends with what follows.
    """
    return text.replace("\\\n", " ").splitlines()


def words(command: str) -> list[str]:
    """
    The words of a command, up to what a shell would do with it.
    """
    lexer = shlex.shlex(
        command.replace("[-", "-").replace("]", ""), posix=True, punctuation_chars=True
    )
    lexer.wordchars += ".:,=@%*"
    found: list[str] = []
    for word in lexer:
        if set(word) <= set("&|;<>()"):
            break
        found.append(PLACEHOLDERS.get(word, word))
    return found


class CommandTests(SynchronousTestCase):
    """
    The lines that begin with C{bmffctl}.
    """

    def test_commands(self) -> None:
        """
        Each names a command that there is, and options and words as it takes them. A command may
        be named alone.
        """
        there = {name: parser for name, _, parser, _ in Options.subCommands}
        found = set()
        for page in (*PAGES, ROOT / "docs" / "coming-from-hblink.md"):
            for command in commands(page):
                line = words(command)
                place = f"{page.name}: bmffctl {command}"
                if line[0].startswith("-"):
                    self.assertEqual(line, ["--help"], place)
                    continue
                self.assertIn(line[0], there, place)
                found.add(line[0])
                actions = [each[0] for each in getattr(there[line[0]], "subCommands", ())]
                if len(line) == 1 or (len(line) == 2 and line[1] in actions):
                    continue
                try:
                    Options().parseOptions(line)
                except usage.UsageError as error:
                    self.fail(f"{place}: {error}")
        self.assertGreater(len(found), 20)

    def test_untold(self) -> None:
        """
        The guide names every command.
        """
        said = "\n".join(page.read_text() for page in PAGES)
        said += (ROOT / "docs" / "coming-from-hblink.md").read_text()
        for name, *_ in Options.subCommands:
            self.assertTrue(re.search(rf"bmffctl {name}\b|`{name}`", said), name)

    def test_instances(self) -> None:
        """
        What C{setup.sh} is told, C{bmffctl instance} understands.
        """
        found = 0
        for page in PAGES:
            for block in blocks(page):
                for line in re.findall(r"setup\.sh (\w+.*)", block.text):
                    Options().parseOptions(["instance", *words(line.partition("#")[0])])
                    found += 1
        self.assertGreater(found, 3)

    def test_tables(self) -> None:
        """
        The tables that the guide shows have the columns that the commands print.
        """
        found = set()
        for name, parser, content in (
            ("peers", PeersOptions, {"peers": []}),
            ("calls", CallsOptions, {"calls": [], "ended": []}),
            ("nodes", NodesOptions, {"nodes": []}),
            ("links", LinksOptions, {"links": []}),
            ("bridges", BridgesOptions, {"bridges": []}),
            ("uplinks", UplinksOptions, {"uplinks": []}),
            ("overrides", OverridesOptions, {"overrides": [], "bad": [], "registry": None}),
        ):
            columns = columnsOf(parser().show(content).splitlines()[0])
            for page in PAGES:
                for block in blocks(page, ""):
                    for shown in re.findall(rf"^\$ bmffctl {name}\b.*\n(.*)$", block.text, re.M):
                        self.assertEqual(columnsOf(shown), columns, f"{page.name}: {name}")
                        found.add(name)
        self.assertEqual(len(found), 7)


def columnsOf(heading: str) -> list[str]:
    return re.split(r"  +", heading.strip())


# Lines of Twisted, of the operating system and of Python.
OTHERS: Final = re.compile(
    r"reactor class|twistd|QuietSite|Received SIGTERM|Main loop|Server Shut|Unhandled|plugin cache"
    r"|Address already in use|Cannot assign|Permission denied"
)
# What differs from line to line.
_DIFFERENT: Final = re.compile(r"\.\.\.|: |, |; |\b[A-Z][A-Z]+\b|\b\d[\d.:/]*\b|'X'|\bN\b")


class LineTests(SynchronousTestCase):
    """
    C{docs/guide/log.md}: what the lines of the log mean.
    """

    def templates(self) -> list[str]:
        """
        All texts in the program, a zero where a value is put in.
        """
        found: list[str] = []
        for path in sorted((ROOT / "bmff").rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.JoinedStr):
                    parts = (each for each in node.values if isinstance(each, ast.Constant))
                    found.append("\0".join(str(each.value) for each in parts))
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found.append(re.sub(r"\{[^}]*\}", "\0", node.value))
        return found

    def test_lines(self) -> None:
        """
        Each line that is explained is one that the program writes: some text of the source is the
        line but for what is put in, or what is the same in it each time stands in the source.
        """
        templates = self.templates()
        texts = "\n".join(templates)
        wholes = [
            re.compile(".+".join(map(re.escape, each.removeprefix("\0: ").split("\0"))))
            for each in templates
            if len(each.replace("\0", "")) > 8
        ]
        found = 0
        for row in re.findall(r"^\| (`.*?) \| ", prose(FOLDER / "log.md"), re.MULTILINE):
            for line in re.findall(r"`([^`]+)`", row):
                if OTHERS.search(line):
                    continue
                found += 1
                if not any(each.fullmatch(line) for each in wholes):
                    for piece in _DIFFERENT.split(line):
                        part = piece.strip(" :,.()[]/")
                        self.assertTrue(len(part) < 4 or part in texts, f"{part!r} of {line}")
        self.assertGreater(found, 60)

    def test_untold(self) -> None:
        """
        Each line that the program writes to the log is explained; one with a traceback is a mistake
        in the program, of which one row speaks.
        """
        said = re.findall(r"`([^`]+)`", " ".join(prose(FOLDER / "log.md").split()))
        found = 0
        for path in sorted((ROOT / "bmff").rglob("*.py")):
            for template in logged(ast.parse(path.read_text())):
                plain = re.sub(r"\{[^}]*\}", "\0", template).removeprefix("\0: ").split("\0")
                line = re.compile(".+".join(map(re.escape, plain)))
                pieces = [each for each in (part.strip(" :,.'()") for part in plain) if each]
                self.assertTrue(
                    any(
                        line.fullmatch(each) or all(one in each for one in pieces) for each in said
                    ),
                    f"{path.name}: {template}",
                )
                found += 1
        self.assertGreater(found, 50)


def logged(tree: ast.AST) -> Iterator[str]:
    """
    What a module writes to the log, with no traceback.
    """
    for node in ast.walk(tree):
        match node:
            case ast.Call(
                func=ast.Attribute(attr="info" | "warn" | "error" | "critical", value=log),
                args=[ast.Constant(value=str(template)), *_],
            ) if ast.unparse(log).endswith("_log"):
                yield template
