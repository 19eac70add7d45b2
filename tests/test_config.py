"""
Tests for L{bmff.config} and L{bmff.toml}.
"""

from __future__ import annotations

import grp
import os
import re
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

from attrs.exceptions import FrozenInstanceError as FrozenAttrsError
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bmff.config import Configuration, defaultState, loadConfiguration, parseConfiguration
from bmff.errors import ConfigurationError, Mistake
from bmff.sections.homebrew import Homebrew
from bmff.sections.openbridge import OpenBridge
from bmff.sections.values import LARGEST_ID, Address, Server

FOLDER = Path("/somewhere")
EXAMPLE = Path(__file__).parent.parent / "etc" / "bmnode.toml"
GROUP = grp.getgrgid(os.getgid()).gr_name


def configuration(text: str) -> Configuration:
    """
    The configuration in a text, after the one line that every file has.
    """
    return parseConfiguration(f"network = 25011\n{text}", "bmnode.toml", FOLDER)


class MistakesCase(SynchronousTestCase):
    """
    A test that looks at mistakes.
    """

    def mistakes(self, text: str) -> list[Mistake]:
        """
        The mistakes in a text.
        """
        error = self.assertRaises(
            ConfigurationError, parseConfiguration, text, "bmnode.toml", FOLDER
        )
        return list(error.mistakes)

    def places(self, text: str) -> list[str]:
        """
        The places of the mistakes in a text.
        """
        return [mistake.place for mistake in self.mistakes(text)]

    def mistake(self, text: str) -> str:
        """
        The one mistake in a text that has its node ID.
        """
        (mistake,) = self.mistakes(f"network = 25011\n{text}")
        return str(mistake)


# Of these a text is put together that may be nearly TOML.
PIECES: tuple[str, ...] = (
    "[homebrew]",
    "[web]",
    "network",
    "static",
    "listen",
    "allow",
    "1",
    ".",
    " = ",
    "\n",
)
PIECES += ("[", "]", "'", '"x"', "5", "{", "}", "true", "nan", "1979-05-27", ",")

# Key, a good value with what it becomes, and bad values, of a wrong type and out of range.
HOMEBREW: list[tuple[str, str, Any, list[str]]] = [
    (
        "password",
        '"club"',
        "club",
        ["5", "true", '""', '" "', "['club']"],
    ),
    ("hang_time", "0", 0.0, ["'5'", "true", "-1", "60.5", "nan", "inf"]),
    ("hang_time", "2.5", 2.5, ["[5]"]),
    ("dynamic_timeout", "0", 0.0, ["'5'", "false", "-0.1", "86401", "2024-01-01"]),
    ("talk_limit", "3600", 3600.0, ["'5'", "-1", "3601"]),
    ("peer_timeout", "15", 15.0, ["'5'", "14.9", "601", "-inf"]),
    ("beacon_interval", "60", 60.0, ["'5'", "-1", "86401"]),
    ("single", "true", True, ["1", "'true'", "0.0"]),
    ("options", "false", False, ["0", "'false'", "[]"]),
    ("listen", "['[::1]:0']", (Address("::1", 0),), ["'[::]:62031'", "[]", "62031", "{}"]),
    ("static", "{1 = [91, 1], 2 = []}", {1: (91, 1), 2: ()}, ["[91]", "91", "true"]),
    ("peer", "{2345678 = {}}", None, ["[]", "2345678", "true"]),
]


class HomebrewTests(MistakesCase):
    """
    The section C{[homebrew]}.
    """

    def test_values(self) -> None:
        """
        Every key takes what it is for, under its name in Python.
        """
        for key, good, value, _ in HOMEBREW:
            homebrew = configuration(f"[homebrew]\n{key} = {good}").homebrew
            name = {
                "hang_time": "hangTime",
                "dynamic_timeout": "dynamicTimeout",
                "talk_limit": "talkLimit",
                "peer_timeout": "peerTimeout",
                "beacon_interval": "beaconInterval",
            }.get(key, key)
            if value is not None:
                self.assertEqual(getattr(homebrew, name), value, key)
                self.assertIs(type(getattr(homebrew, name)) is bool, type(value) is bool, key)

    def test_badValues(self) -> None:
        """
        A value of a wrong type or out of range is one mistake at its key: nothing is coerced.
        """
        for key, _, _, bad in HOMEBREW:
            for value in bad:
                mistake = self.mistake(f"[homebrew]\n{key} = {value}")
                self.assertTrue(mistake.startswith(f"homebrew.{key}: "), f"{value}: {mistake}")

    def test_off(self) -> None:
        """
        The stack is on when its section is there, were it empty.
        """
        self.assertIsNone(configuration("").homebrew)
        self.assertEqual(configuration("[homebrew]").homebrew, Homebrew())

    def test_defaults(self) -> None:
        """
        An empty section is a master for everybody who knows the password, on IPv4 and IPv6.
        """
        homebrew = Homebrew()
        self.assertEqual([str(each) for each in homebrew.listen], ["0.0.0.0:62031", "[::]:62031"])
        self.assertEqual(homebrew.password, "hotspots")
        self.assertEqual((homebrew.hangTime, homebrew.dynamicTimeout), (5.0, 900.0))
        self.assertEqual((homebrew.talkLimit, homebrew.peerTimeout), (180.0, 60.0))
        self.assertEqual((homebrew.beaconInterval, homebrew.single), (0.0, False))
        self.assertTrue(homebrew.options)
        self.assertEqual((homebrew.allow, homebrew.deny), ((), ()))

    def test_listen(self) -> None:
        """
        An address is numeric, one of IPv6 in brackets, with a port from 0 to 65535.
        """
        homebrew = configuration('[homebrew]\nlisten = ["127.0.0.1:65535", "[0:0::1]:0"]').homebrew
        assert homebrew is not None
        self.assertEqual(homebrew.listen, (Address("127.0.0.1", 65535), Address("::1", 0)))
        bad = [
            "127.0.0.1", "127.0.0.1:", ":62031", "localhost:62031", "::1:62031", "[127.0.0.1]:1",
            "[::1]", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:+1", "256.0.0.1:1", "[::1:1", "",
        ]  # fmt: skip
        listed = ", ".join(f'"{each}"' for each in bad)
        self.assertEqual(
            self.places(f"network = 25011\n[homebrew]\nlisten = [5, {listed}]"),
            [f"homebrew.listen[{index}]" for index in range(len(bad) + 1)],
        )

    def test_listenTwice(self) -> None:
        """
        The same address twice is a mistake; a port that is chosen later is not the same.
        """
        self.assertIn("twice", self.mistake('[homebrew]\nlisten = ["[::]:1", "[0::0]:1"]'))
        homebrew = configuration('[homebrew]\nlisten = ["[::]:0", "[::]:0"]').homebrew
        assert homebrew is not None
        self.assertEqual(len(homebrew.listen), 2)

    def test_static(self) -> None:
        """
        A static talkgroup is 1 to 16777214 and no number of a service; slots are 1 and 2.
        """
        text = "network = 25011\n[homebrew.static]\n"
        good = "[1, 3999, 4001, 9989, 10000, 16777214]"
        self.assertEqual(
            parseConfiguration(f"{text}1 = {good}", "x", FOLDER).homebrew,
            Homebrew(static={1: (1, 3999, 4001, 9989, 10000, 16777214)}),
        )
        bad = "[0, -1, 16777215, 4000, 9990, 9999, true, '91', 91.0, []]"
        self.assertEqual(
            self.places(f"{text}2 = {bad}\n3 = [91]\n01 = [92]\nx = []"),
            [f"homebrew.static.2[{index}]" for index in range(10)]
            + [f"homebrew.static.{slot}" for slot in ("3", "01", "x")],
        )

    def test_lists(self) -> None:
        """
        IDs are written one by one, as ranges and as beginnings; a beginning stands for the IDs of
        all lengths that begin so.
        """
        homebrew = configuration(
            '[homebrew]\nallow = [2345678, "2345678", "2340000 - 2349999", "42949672*"]\n'
            f"deny = [1, {LARGEST_ID}]"
        ).homebrew
        assert homebrew is not None
        self.assertEqual(
            [ids.ranges for ids in homebrew.allow],
            [
                ((2345678, 2345678),),
                ((2345678, 2345678),),
                ((2340000, 2349999),),
                ((42949672, 42949672), (429496720, 429496729), (4294967200, LARGEST_ID)),
            ],
        )
        self.assertEqual([ids.ranges for ids in homebrew.deny], [((1, 1),), ((LARGEST_ID,) * 2,)])

    def test_badLists(self) -> None:
        """
        What stands for no ID is a mistake at its place in the list.
        """
        bad = [
            "0", "-1", f"{LARGEST_ID + 1}", "0x" + "f" * 9999, "true", "1.5", "[]", '""', '"x"',
            '"0"', '"9-1"', '"1-2-3"', '"-5"', '"5-"', '"0*"', '"2*4"', '"99999999999*"',
            '"4294967296*"', '"²"',
        ]  # fmt: skip
        self.assertEqual(
            self.places(f"network = 25011\n[homebrew]\nallow = [1, {', '.join(bad)}]"),
            [f"homebrew.allow[{index}]" for index in range(1, len(bad) + 1)],
        )

    @given(prefix=st.integers(1, LARGEST_ID), number=st.integers(1, LARGEST_ID))
    def test_beginnings(self, prefix: int, number: int) -> None:
        """
        C{"234*"} stands for an ID if, and only if, the ID's digits begin so.
        """
        for start in (prefix, int(str(number)[: 1 + prefix % 10])):
            homebrew = configuration(f'[homebrew]\ndeny = ["{start}*"]').homebrew
            assert homebrew is not None
            (ids,) = homebrew.deny
            self.assertEqual(
                any(first <= number <= last for first, last in ids.ranges),
                str(number).startswith(str(start)),
            )

    def test_peers(self) -> None:
        """
        A hotspot's table is under its ID; what it does not say is L{None}.
        """
        homebrew = configuration(
            "[homebrew.peer.2345678]\npassword = 'own'\nstatic = {2 = [235]}\nsingle = true\n"
            "dynamic_timeout = 60\noptions = false\nbanned = true\n"
            f"[homebrew.peer.{LARGEST_ID}]"
        ).homebrew
        assert homebrew is not None
        self.assertEqual(list(homebrew.peer), [2345678, LARGEST_ID])
        peer = homebrew.peer[2345678]
        self.assertEqual((peer.password, dict(peer.static)), ("own", {2: (235,)}))
        self.assertEqual(
            (peer.single, peer.dynamicTimeout, peer.options, peer.banned), (True, 60, False, True)
        )
        peer = homebrew.peer[LARGEST_ID]
        self.assertEqual(
            (peer.password, peer.single, peer.dynamicTimeout, peer.options, peer.banned),
            (None,) * 5,
        )

    def test_badPeers(self) -> None:
        """
        A hotspot's table is checked as the section is, and its name is an ID, written in one way.
        """
        self.assertEqual(
            self.places(
                "network = 25011\n[homebrew.peer.2345678]\npassword = 5\nstatic.1 = [0]\n"
                "single = 1\ndynamic_timeout = -1\noptions = 'no'\nbanned = 0\nhang_time = 5\n"
                "[homebrew.peer.0]\n[homebrew.peer.02345678]\nsingle = 1\n"
                "[homebrew.peer.4294967296]\n[homebrew.peer.'a b']\n[homebrew.peer]\n1 = 1"
            ),
            [
                "homebrew.peer.2345678.password",
                "homebrew.peer.2345678.static.1[0]",
                "homebrew.peer.2345678.single",
                "homebrew.peer.2345678.dynamic_timeout",
                "homebrew.peer.2345678.options",
                "homebrew.peer.2345678.banned",
                "homebrew.peer.2345678.hang_time",
                "homebrew.peer.0",
                "homebrew.peer.02345678",
                "homebrew.peer.02345678.single",
                "homebrew.peer.4294967296",
                "homebrew.peer.'a b'",
                "homebrew.peer.1",
            ],
        )


class SectionTests(MistakesCase):
    """
    The outermost table, C{[web]} and C{[registry]}.
    """

    def test_network(self) -> None:
        """
        A node ID has 4 to 7 digits and is there.
        """
        for number in (1000, 2501, 25011, 9999999):
            made = parseConfiguration(f"network = {number}", "x", FOLDER)
            self.assertEqual(made.network, number)
        for bad in ("999", "10000000", "-25011", "'25011'", "25011.0", "true", "0x" + "f" * 9999):
            self.assertEqual(self.places(f"network = {bad}"), ["network"], bad)
        self.assertEqual(str(self.mistakes("")[0]), "network: is missing")

    def test_paths(self) -> None:
        """
        Paths are taken from the file's folder, and C{~} is a home.
        """
        made = configuration("state = 's'\nsecrets = '/etc/k'\nweb.socket = '../c'")
        self.assertEqual(made.state, FOLDER / "s")
        self.assertEqual(made.secrets, Path("/etc/k"))
        self.assertEqual(made.web.socket, FOLDER / "../c")
        self.assertEqual(made.registry.file, FOLDER / "s" / "registry.sqlite")
        self.assertEqual(configuration("state = '~/s'").state, Path("~/s").expanduser())

    def test_statePaths(self) -> None:
        """
        What is not said is in the state folder, the socket under the node's own name.
        """
        made = configuration("state = '/s'")
        self.assertEqual(made.secrets, Path("/s/secrets.toml"))
        self.assertEqual(made.web.socket, Path("/s/bmnode.25011.sock"))
        self.assertEqual(made.registry.file, Path("/s/registry.sqlite"))

    def test_badPaths(self) -> None:
        """
        A wrong path is one mistake, at its own place alone.
        """
        for key in ("state", "secrets", "web.socket", "registry.file"):
            for bad in ("5", "''", "['/s']", '"a\\u0000b"', "true"):
                self.assertEqual(self.places(f"network = 25011\n{key} = {bad}"), [key], bad)

    def test_web(self) -> None:
        """
        The control socket is there unless it is switched off.
        """
        self.assertTrue(configuration("").web.enabled)
        self.assertFalse(configuration("web.enabled = false").web.enabled)
        self.assertIsNone(configuration("").web.controlGroup)
        web = configuration(f"[web]\ncontrol_group = '{GROUP}'").web
        self.assertEqual(web.controlGroup, GROUP)
        for bad in ("5", "''", "'no such group'", '"a\\u0000"', "true"):
            mistake = self.mistake(f"[web]\ncontrol_group = {bad}")
            self.assertTrue(mistake.startswith("web.control_group: "), mistake)
        self.assertTrue(self.mistake("[web]\nenabled = 1").startswith("web.enabled: must be true"))

    def test_longSocket(self) -> None:
        """
        A UNIX socket's path has 107 bytes at most, in bytes, also where it follows from the state.
        """
        self.assertEqual(len(str(configuration(f"web.socket = '/{'s' * 106}'").web.socket)), 107)
        self.assertIn("107", self.mistake(f"web.socket = '/{'s' * 107}'"))
        self.assertIn("107", self.mistake(f"web.socket = '/{'ü' * 60}'"))
        self.assertIn("web.socket", self.mistake(f"state = '/{'s' * 100}'"))

    def test_registry(self) -> None:
        """
        The registry is the embedded one unless another plugin is named.
        """
        made = configuration("").registry
        self.assertEqual((made.type, made.user, made.password), ("embedded", "bmnode", "bmnode"))
        self.assertEqual(made.addresses, (Server("127.0.0.1", 3301),))
        made = configuration(
            '[registry]\ntype = "tarantool"\nuser = "me"\npassword = "mine"\naddresses = '
            '["[::1]:1", "localhost:65535", "127.9.9.9:2", "unix:/r", "unix/:/r", "unix:r"]'
        ).registry
        self.assertEqual((made.type, made.user, made.password), ("tarantool", "me", "mine"))
        self.assertEqual(
            list(map(str, made.addresses)),
            ["[::1]:1", "localhost:65535", "127.9.9.9:2", "unix:/r", "unix:/r", f"unix:{FOLDER}/r"],
        )
        self.assertEqual(configuration("registry.type = 'acme'").registry.type, "acme")

    def test_registryMistakes(self) -> None:
        """
        What cannot be used of the registry's section is a mistake at its place.
        """
        for key, bad in (
            ("type", "''"),
            ("type", "'two words'"),
            ("type", "1"),
            ("user", "''"),
            ("user", '"a\\n"'),
            ("password", "''"),
            ("tunnelled", "'yes'"),
            ("addresses", "[]"),
            ("addresses", "'127.0.0.1:3301'"),
            *(
                ("addresses[0]", f"[{one}]")
                for one in (
                    "1",
                    "''",
                    "'unix:'",
                    f"'unix:/{'s' * 107}'",
                    "'127.0.0.1'",
                    "'127.0.0.1:0'",
                    "'127.0.0.1:65536'",
                    "'127.0.0.300:1'",
                    "'::1:3301'",
                    "'[::1::]:3301'",
                    "'user@127.0.0.1:3301'",
                )
            ),
        ):
            place = f"registry.{key}"
            text = f"network = 25011\n{place.removesuffix('[0]')} = {bad}"
            self.assertEqual(self.places(text), [place], bad)

    def test_tunnelled(self) -> None:
        """
        A server that is on another host is a mistake, told with what to do, unless it is said that
        a tunnel leads there.
        """
        for address in ("192.0.2.1:3301", "[2001:db8::1]:3301", "db.example.org:3301", "0.0.0.0:1"):
            text = f"[registry]\naddresses = ['127.0.0.1:1', '{address}']"
            mistake = self.mistake(text)
            self.assertTrue(mistake.startswith(f"registry.addresses[1]: '{address}' is not on"))
            self.assertIn("tunnelled = true", mistake)
            made = configuration(f"{text}\ntunnelled = true").registry
            self.assertEqual(str(made.addresses[1]), address)
        self.assertEqual(
            self.places(f"network = 25011\n{text}\ntunnelled = 1"),
            ["registry.addresses[1]", "registry.tunnelled"],
        )

    def test_sections(self) -> None:
        """
        A section that is no table is a mistake.
        """
        for section in ("homebrew", "web", "registry"):
            for bad in ("5", "[]", "true", "[{}]", "2024-01-01"):
                mistake = self.mistake(f"{section} = {bad}")
                self.assertTrue(mistake.startswith(f"{section}: must be a table, but is"), mistake)


class StateTests(SynchronousTestCase):
    """
    The state folder of a node that names none.
    """

    def folder(self, user: int, **environment: str) -> str:
        """
        The folder for a user in an environment.
        """
        self.patch(os, "geteuid", lambda: user)
        self.patch(os, "environ", environment)
        return str(defaultState())

    def test_service(self) -> None:
        """
        The service manager's folder is taken, the first when there are more.
        """
        self.assertEqual(self.folder(0, STATE_DIRECTORY="/var/lib/a:/var/lib/b"), "/var/lib/a")
        self.assertEqual(self.folder(9, STATE_DIRECTORY="/x", XDG_STATE_HOME="/y"), "/x")

    def test_root(self) -> None:
        """
        Root's is the host's.
        """
        self.assertEqual(self.folder(0, HOME="/root", XDG_STATE_HOME="/y"), "/var/lib/bmff")

    def test_user(self) -> None:
        """
        A user's is in the home; a relative XDG_STATE_HOME is none.
        """
        self.assertEqual(self.folder(1000, HOME="/h"), "/h/.local/state/bmff")
        self.assertEqual(self.folder(1000, HOME="/h", XDG_STATE_HOME="/y"), "/y/bmff")
        self.assertEqual(self.folder(1, HOME="/h", XDG_STATE_HOME="y"), "/h/.local/state/bmff")

    def test_homeless(self) -> None:
        """
        A user without a home is asked for the folder, and for nothing else.
        """
        self.patch(os.path, "expanduser", lambda path: path)
        self.assertRaises(ConfigurationError, self.folder, 1000)
        error = self.assertRaises(ConfigurationError, configuration, "")
        self.assertEqual([mistake.place for mistake in error.mistakes], ["state"])
        self.assertEqual(configuration("state = '/s'").state, Path("/s"))


class MistakesTests(MistakesCase):
    """
    How mistakes are told.
    """

    def test_all(self) -> None:
        """
        Every mistake is told at once, in the order of the file.
        """
        self.assertEqual(
            self.places(
                "staet = 1\nnetwork = 1\n[web]\nenabled = 1\n[mqtt]\n[homebrew]\n"
                "peer_timeout = 1\nlisten = ['x', 5]\nbogus = 1\nhang_time = -1\n"
                "[homebrew.peer.1]\nbanned = 1\n[registry]\nfile = 1"
            ),
            [
                "staet",
                "network",
                "web.enabled",
                "homebrew.peer_timeout",
                "homebrew.listen[0]",
                "homebrew.listen[1]",
                "homebrew.bogus",
                "homebrew.hang_time",
                "homebrew.peer.1.banned",
                "registry.file",
            ],
        )

    def test_suggestion(self) -> None:
        """
        An unknown key is a mistake that names the one that was meant.
        """
        for text, meant in (
            ("[homebrow]", "homebrew"),
            ("[homebrew]\nhangtime = 1", "hang_time"),
            ("[homebrew]\nhangTime = 1", "hang_time"),
            ("[homebrew.peer.1]\nband = true", "banned"),
            ("[web]\nsokcet = 'x'", "socket"),
        ):
            self.assertIn(f"did you mean {meant}?", self.mistake(text))

    def test_noSuggestion(self) -> None:
        """
        An unknown key that resembles none is told with those that there are.
        """
        self.assertEqual(
            self.mistake("[homebrew.peer.1]\nxyz = 1"),
            "homebrew.peer.1.xyz: unknown; known here: password, static, single, dynamic_timeout, "
            "options, banned, dial, auto_static, hold_off, allow_talkgroups, deny_talkgroups, "
            "translate",
        )

    def test_misplaced(self) -> None:
        """
        A key of another table is told with that table, as a line below a [table] belongs to it.
        """
        self.assertIn("above the first [table]", self.mistake("[homebrew]\nstate = '/s'"))
        self.assertIn("in [homebrew]", self.mistake("listen = ['[::]:1']"))
        self.assertIn("in [web]", self.mistake("[registry]\nsocket = '/s'"))

    def test_quotedKey(self) -> None:
        """
        A key that is not plain is quoted in its place, in printable characters.
        """
        self.assertEqual(self.places('network = 25011\n"a.b\\u001b" = 1'), ["'a.b\\x1b'"])

    def test_syntax(self) -> None:
        """
        What is not TOML is told with the file, line and column.
        """
        (mistake,) = self.mistakes("network = 25011\n\n  listen ['x']")
        self.assertEqual(mistake.place, "bmnode.toml")
        self.assertIn("line 3, column 10: ", mistake.message)
        self.assertIn("line 2, at the end", self.mistake("state = '"))

    def test_absurd(self) -> None:
        """
        A text that no reader of TOML can hold is a mistake like any other.
        """
        for text in (f"a = {'[' * 9999}", f"a = {'9' * 9999}"):
            self.assertEqual(self.places(text), ["bmnode.toml"])

    @given(st.lists(st.sampled_from(PIECES)))
    def test_anything(self, parts: list[str]) -> None:
        """
        Any text is a configuration or at least one mistake.
        """
        try:
            self.assertIsInstance(configuration("".join(parts)), Configuration)
        except ConfigurationError as error:
            self.assertTrue(error.mistakes)

    def test_frozen(self) -> None:
        """
        A configuration does not change.
        """
        made = configuration("[homebrew.peer.1]\nstatic = {1 = [91]}")
        homebrew = made.homebrew
        assert homebrew is not None
        for value, name in ((made, "network"), (homebrew, "single"), (made.web, "enabled")):
            self.assertRaises((FrozenInstanceError, FrozenAttrsError), setattr, value, name, 1)
        for table in (homebrew.peer, homebrew.static, homebrew.peer[1].static):
            self.assertFalse(hasattr(table, "__setitem__"))


class FileTests(SynchronousTestCase):
    """
    Files.
    """

    def load(self, content: bytes) -> Configuration:
        """
        The configuration in a new file.
        """
        path = Path(self.mktemp())
        path.write_bytes(content)
        return loadConfiguration(path)

    def message(self, path: str) -> str:
        """
        The one mistake of a file that cannot be used; its place is the file.
        """
        error = self.assertRaises(ConfigurationError, loadConfiguration, path)
        (mistake,) = error.mistakes
        self.assertEqual(mistake.place, path)
        return str(mistake.message)

    def test_example(self) -> None:
        """
        The example that is shipped works as it is.
        """
        made = loadConfiguration(EXAMPLE)
        self.assertEqual(made.network, 25011)
        self.assertEqual(made.homebrew, Homebrew())

    def test_exampleDefaults(self) -> None:
        """
        What the example shows as defaults behind C{#} are keys that there are, with good values.
        """
        shown = [
            line[1:] if line.startswith("#") and line[1:2].isalpha() and " = " in line else line
            for line in EXAMPLE.read_text().splitlines()
            if "control_group" not in line
        ]
        text = re.sub(r"^#\[", "[", "\n".join(shown), flags=re.MULTILINE)
        made = parseConfiguration(text, "x", FOLDER)
        assert made.homebrew is not None
        assert made.openbridge is not None
        self.assertEqual([each.name for each in made.openbridge.bridge], ["brandmeister"])
        self.assertEqual(made.openbridge.listen, OpenBridge().listen)
        self.assertEqual([each.name for each in made.uplink], ["brandmeister"])
        self.assertEqual(list(made.homebrew.peer), [2345678])
        self.assertEqual(made.homebrew.hangTime, Homebrew().hangTime)
        self.assertEqual(made.homebrew.listen, Homebrew().listen)

    def test_relative(self) -> None:
        """
        Relative paths are taken from the file's folder, which is absolute.
        """
        folder = Path(self.mktemp())
        folder.mkdir()
        (folder / "n.toml").write_text("network = 25011\nstate = 's'")
        made = loadConfiguration(os.path.relpath(folder / "n.toml"))
        self.assertEqual(made.state, folder.absolute() / "s")

    def test_windows(self) -> None:
        """
        A byte order mark and line ends of Windows do no harm.
        """
        self.assertEqual(self.load(b"\xef\xbb\xbfnetwork = 25011\r\n[web]\r\n").network, 25011)

    def test_encoding(self) -> None:
        """
        What is not UTF-8 is told with its line.
        """
        error = self.assertRaises(ConfigurationError, self.load, b"network = 25011\n# \xfc\n")
        self.assertIn("line 2: ", str(error))

    def test_missing(self) -> None:
        """
        A file that is not there, or is a folder, is a mistake that says so.
        """
        self.assertIn("No such file", self.message(self.mktemp()))
        self.assertIn("directory", self.message("/"))

    def test_unreadable(self) -> None:
        """
        A file that may not be read is a mistake that says so.
        """

        def refuse(path: Path) -> bytes:
            raise PermissionError(13, "Permission denied", str(path))

        self.patch(Path, "read_bytes", refuse)  # root may read everything
        self.assertIn("Permission denied", self.message("n.toml"))
