"""
Tests of C{bmffctl import} and of C{bmff.ctl.importing}.
"""

from __future__ import annotations

import os
from pathlib import Path
from random import Random
from stat import S_IMODE
from typing import Any

from bmff.bridges import bridgeSettings
from bmff.config import Configuration, loadConfiguration
from bmff.ctl.importing.numbering import FIRST_FREE
from bmff.dmr.ranges import Ranges
from bmff.keys import Secrets
from bmff.router.translation import Form
from tests.ctl.case import CtlTestCase

GLOBAL = """\
[GLOBAL]
PATH: ./
PING_TIME: 5
MAX_MISSED: 3
USE_ACL: True
REG_ACL: PERMIT:ALL
SUB_ACL: PERMIT:ALL
TGID_TS1_ACL: PERMIT:ALL
TGID_TS2_ACL: PERMIT:ALL
"""


def master(name: str, port: int = 54000, passphrase: str = "s3cr37", **more: object) -> str:
    """
    The section of a system that hotspots log in to.
    """
    keys = {
        "MODE": "MASTER",
        "ENABLED": True,
        "REPEAT": True,
        "IP": "",
        "PORT": port,
        "PASSPHRASE": passphrase,
        "GROUP_HANGTIME": 5,
        "USE_ACL": True,
        "REG_ACL": "DENY:1",
        **more,
    }
    return section(name, keys)


def openBridge(name: str, **more: object) -> str:
    """
    The section of a bridge.
    """
    keys = {
        "MODE": "OPENBRIDGE",
        "ENABLED": True,
        "IP": "",
        "PORT": 62035,
        "NETWORK_ID": 3129100,
        "PASSPHRASE": f"key of {name}",
        "TARGET_IP": "198.51.100.7",
        "TARGET_PORT": 62036,
        "TGID_ACL": "PERMIT:ALL",
        **more,
    }
    return section(name, keys)


def section(name: str, keys: dict[str, Any]) -> str:
    """
    A section of an INI file.
    """
    return "\n".join([f"[{name}]", *(f"{key}: {value}" for key, value in keys.items()), ""])


def row(system: str, slot: int, talkgroup: int, **more: object) -> dict[str, object]:
    """
    A row of a bridge as rules.py has it.
    """
    plain = {"ACTIVE": True, "TIMEOUT": 2, "TO_TYPE": "NONE", "ON": [], "OFF": [], "RESET": []}
    return {"SYSTEM": system, "TS": slot, "TGID": talkgroup, **plain, **more}


class ImportTestCase(CtlTestCase):
    """
    Files that are turned into ours.
    """

    def turn(self, config: str, rules: object = None, *options: str, code: int = 0) -> None:
        """
        Run the command with these files.

        @param rules: the text of rules.py, or its bridges.
        """
        folder = self.home.folder
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "hblink.cfg").write_text(config)
        words = [str(folder / "hblink.cfg")]
        if rules is not None:
            text = rules if isinstance(rules, str) else f"BRIDGES = {rules!r}\n"
            (folder / "rules.py").write_text(text)
            words.append(str(folder / "rules.py"))
        found = self.command("import", *words, "-o", str(self.out_), *options)
        self.assertEqual(found, code, self.err)

    @property
    def out_(self) -> Path:
        """
        The folder of the new files.
        """
        return self.home.folder / "new"

    def load(self, network: int = 25011) -> Configuration:
        """
        A file that was made, after C{bmffctl check} has found nothing wrong with it.
        """
        path = self.out_ / f"{network}.toml"
        said = self.out
        self.assertEqual(self.command("check", str(path)), 0, self.err)
        self.out = said
        return loadConfiguration(path)

    def left(self) -> str:
        """
        What was said that could not be turned.
        """
        return self.out.partition("not turned, or not the same here:\n")[2]


class MasterTests(ImportTestCase):
    """
    Systems that hotspots log in to.
    """

    def test_one(self) -> None:
        """
        A system becomes the stack of one node: its address, its passphrase, who may log in, what
        may be keyed, how long a slot is kept.
        """
        acl = {"TGID_TS1_ACL": "PERMIT:91,3100-3199", "TGID_TS2_ACL": "PERMIT:3100-3199,91"}
        self.turn(GLOBAL + master("M", 54001, "50 %% \"'\\", IP="192.0.2.1", **acl))
        node = self.load()
        assert node.homebrew is not None
        self.assertEqual([str(each) for each in node.homebrew.listen], ["192.0.2.1:54001"])
        self.assertEqual((node.homebrew.deny[0].ranges, node.homebrew.allow), (((1, 1),), ()))
        ranges = [each for item in node.homebrew.allowTalkgroups for each in item.ranges]
        self.assertEqual(ranges, [(91, 91), (3100, 3199)])
        self.assertEqual(node.homebrew.hangTime, 5.0)
        secrets = Secrets.load(node.secrets)
        self.assertEqual(secrets.homebrewPassword(node.homebrew.password), b"50 % \"'\\")
        self.assertEqual(S_IMODE(node.secrets.stat().st_mode), 0o600)
        self.assertIsNone(node.openbridge)
        self.assertIsNone(node.fastforward)

    def test_together(self) -> None:
        """
        Systems that say the same of their hotspots are addresses of one node.
        """
        self.turn(GLOBAL + master("A", 54001) + master("B", 54002) + master("C", 54001))
        node = self.load()
        assert node.homebrew is not None
        self.assertEqual([each.port for each in node.homebrew.listen], [54001, 54002])
        self.assertEqual(sorted(os.listdir(self.out_)), ["25011.toml", "secrets.toml"])

    def test_apart(self) -> None:
        """
        Systems with other passphrases are nodes of their own, which link to each other by a key
        that they share, and this is said.
        """
        self.turn(GLOBAL + master("A", 54001) + master("B", 54002, "other"), None, "-n", "3101")
        one, two = self.load(3101), self.load(3102)
        assert one.homebrew is not None
        assert two.homebrew is not None
        secrets = Secrets.load(one.secrets)
        self.assertEqual(secrets.homebrewPassword(one.homebrew.password), b"s3cr37")
        self.assertEqual(secrets.homebrewPassword(two.homebrew.password), b"other")
        for node in (one, two):
            assert node.fastforward is not None
            self.assertIsNotNone(secrets.fastForwardKey(node.fastforward.key))
        self.assertEqual(one.secrets, two.secrets)
        self.assertIn("[B]: becomes a node of its own, 3102", self.left())

    def test_named(self) -> None:
        """
        Where a system lets in hotspots by name, its passphrase, its talkgroups and its numbers are
        said of each, on the same node.
        """
        config = (
            GLOBAL + master("A", 54001) + master("B", 54002, "b", REG_ACL="PERMIT:312001-312002")
        )
        bridge = [row("A", 2, 91), row("B", 1, 8), row("A", 1, 91, ACTIVE=False)]
        self.turn(config, {"X": bridge, "Y": [row("B", 2, 3100), row("A", 2, 3100, ACTIVE=False)]})
        node = self.load()
        assert node.homebrew is not None
        self.assertEqual([each.port for each in node.homebrew.listen], [54001, 54002])
        self.assertEqual(dict(node.homebrew.static), {2: (91,)})
        self.assertEqual(set(node.homebrew.peer), {312001, 312002})
        peer = node.homebrew.peer[312001]
        self.assertEqual(dict(peer.static), {1: (91,), 2: (3100,)})
        self.assertIs(peer.banned, False)
        (each,) = peer.translate
        self.assertEqual((each.there.number, each.here.number, each.slot), (8, 91, 1))
        assert peer.password is not None
        self.assertEqual(Secrets.load(node.secrets).homebrewPassword(peer.password), b"b")
        self.assertIn("bridge 'X': is talkgroup 91 here; it had 8, 91\n", self.out)

    def test_namedAlone(self) -> None:
        """
        Where all hotspots are named, nobody else is let in.
        """
        config = GLOBAL + master("A", REG_ACL="PERMIT:1001") + master("B", REG_ACL="PERMIT:1002")
        self.turn(config)
        node = self.load()
        assert node.homebrew is not None
        allowed = Ranges(one for item in node.homebrew.allow for one in item.ranges)
        self.assertEqual(list(allowed), [(1001, 1002)])

    def test_static(self) -> None:
        """
        What is joined from the start is static, what is joined by keying is left after the time
        that most have, and every trigger that does nothing here is named.
        """
        rows = [
            row("A", 1, 91),
            row("A", 2, 92, TO_TYPE="ON", TIMEOUT=15, ACTIVE=False, ON=[92, 5], RESET=[92]),
            row("A", 2, 93, TO_TYPE="ON", TIMEOUT=15, ACTIVE=False, OFF=[4000]),
            row("A", 2, 94, TO_TYPE="ON", TIMEOUT=3, ACTIVE=True, OFF=[6], RESET=[7]),
            row("A", 2, 95, TO_TYPE="OFF"),
        ]
        bridges = {f"B{each['TGID']}": [each] for each in rows}
        self.turn(GLOBAL + master("A"), bridges)
        node = self.load()
        assert node.homebrew is not None
        self.assertEqual(dict(node.homebrew.static), {1: (91,), 2: (95,)})
        self.assertEqual(node.homebrew.dynamicTimeout, 900.0)
        left = self.left()
        for expected in (
            "bridge 'B92': A slot 2: 5 joined it (ON)",
            "bridge 'B94': A slot 2: the numbers in OFF",
            "bridge 'B94': A slot 2: the numbers in RESET",
            "bridge 'B94': A slot 2: is not heard from the start",
            "bridge 'B95': A slot 2: is static",
        ):
            self.assertIn(expected, left)
        for name in ("B91", "B93"):
            self.assertNotIn(f"'{name}'", left)
        self.assertEqual(left.count("'B92'"), 1)

    def test_empty(self) -> None:
        """
        No system is left open where an empty passphrase let everybody in.
        """
        self.turn(GLOBAL + master("A", passphrase=""))
        node = self.load()
        assert node.homebrew is not None
        password = Secrets.load(node.secrets).homebrewPassword(node.homebrew.password)
        assert password is not None
        self.assertGreaterEqual(len(password), 20)
        self.assertIn("[A] PASSPHRASE: is empty", self.left())
        self.assertNotIn(password.decode(), self.out)

    def test_left(self) -> None:
        """
        What has nothing like it here is named with its reason, and no passphrase is printed.
        """
        config = (
            GLOBAL.replace("SUB_ACL: PERMIT:ALL", "SUB_ACL: DENY:1")
            + "[REPORTS]\nREPORT: True\n[LOGGER]\nLOG_LEVEL: DEBUG\n[ALIASES]\n[ODD]\nX: 1\n"
            + master("A", MAX_PEERS=10, EXPORT_AMBE=True, GROUP_HANGTIME=90, REPEAT=False)
            + master("OFF", ENABLED=False)
            + section("UP", {"MODE": "XLXPEER", "ENABLED": True, "PASSPHRASE": "s3cr37up"})
            + section("XLX", {"MODE": "XLXPEER", "ENABLED": True})
            + section("NEW", {"MODE": "FUTURE"})
            + master("PARROT", TGID_TS1_ACL="DENY:ALL", TGID_TS2_ACL="PERMIT:9990")
            + master("P", TGID_TS1_ACL="DENY:ALL", TGID_TS2_ACL="PERMIT:9990")
        )
        bridges = {"X": [row("A", 1, 91), row("UP", 1, 91), row("NONE", 1, 91), row("A", 1, 9990)]}
        self.turn(config, bridges)
        node = self.load()
        assert node.homebrew is not None
        self.assertEqual(node.homebrew.hangTime, 60.0)
        left = self.left()
        for place in (
            "[GLOBAL] SUB_ACL",
            "[REPORTS]",
            "[LOGGER]",
            "[ALIASES]",
            "[ODD]",
            "[A] MAX_PEERS",
            "[A] EXPORT_AMBE",
            "[A] GROUP_HANGTIME",
            "[A] REPEAT",
            "[OFF]",
            "[UP]",
            "[XLX]",
            "[NEW]",
            "[PARROT]",
            "[P]",
            "[GLOBAL] PING_TIME and MAX_MISSED",
            "network",
            "bridge 'X': is without UP",
            "bridge 'X': names 'NONE'",
            "bridge 'X': 9990 is a service",
        ):
            self.assertIn(place, left)
        self.assertNotIn("s3cr37", self.out)


class FreeDMRTests(ImportTestCase):
    """
    What FreeDMR has beyond hblink3.
    """

    def test_everything(self) -> None:
        """
        Its server's ID, its generated systems behind a proxy, static talkgroups, timer and single
        mode, and its enhanced bridges are turned.
        """
        config = (
            GLOBAL.replace("PING_TIME: 5", "PING_TIME: 30")
            + "SERVER_ID: 2349\n[PROXY]\nLISTENPORT: 62032\n"
            + master(
                "SYSTEM",
                56400,
                GENERATOR=100,
                DEFAULT_UA_TIMER=60,
                SINGLE_MODE=True,
                TS1_STATIC=235,
                TS2_STATIC="2350, 9990",
                DEFAULT_REFLECTOR=0,
                VOICE_IDENT=True,
            )
            + openBridge(
                "OBP",
                PORT=62044,
                NETWORK_ID=2341,
                TARGET_IP="",
                TGID_ACL="DENY:0-82,9990-9999",
                ENHANCED_OBP=True,
                PROTO_VER=5,
                RELAX_CHECKS=True,
            )
            + openBridge("OLD", NETWORK_ID=2342, ENHANCED_OBP=True, PROTO_VER=2, RELAX_CHECKS=True)
        )
        self.turn(config, {"X": [row("SYSTEM-3", 2, 2351), row("OLD", 1, 7)]})
        node = self.load(2349)
        assert node.homebrew is not None
        assert node.openbridge is not None
        self.assertEqual([str(each) for each in node.homebrew.listen], ["0.0.0.0:62032"])
        self.assertEqual(dict(node.homebrew.static), {1: (235,), 2: (2350, 2351)})
        self.assertEqual((node.homebrew.dynamicTimeout, node.homebrew.single), (3600.0, True))
        self.assertEqual(node.homebrew.peerTimeout, 90.0)
        enhanced, old = node.openbridge.bridge
        self.assertEqual((enhanced.enhanced, enhanced.roaming, enhanced.host), (True, True, ""))
        self.assertEqual((enhanced.peer, enhanced.checkPeer, enhanced.private), (2341, True, True))
        terms = bridgeSettings(enhanced, node.network)
        self.assertEqual(terms.terms.server, 2349)
        self.assertNotIn(82, terms.wanted)
        self.assertIn(83, terms.wanted)
        self.assertEqual((old.enhanced, old.strict, old.checkPeer), (False, False, False))
        self.assertEqual(
            [(each.there.number, each.here.number) for each in old.translate], [(7, 2351)]
        )
        left = self.left()
        for place in (
            "[SYSTEM] TS2_STATIC",
            "[SYSTEM] VOICE_IDENT",
            "[OLD] PROTO_VER",
            "[OLD] PORT",
        ):
            self.assertIn(place, left)
        self.assertNotIn("DEFAULT_REFLECTOR", left)


class BridgeTests(ImportTestCase):
    """
    Bridges to other servers.
    """

    def test_rules(self) -> None:
        """
        What the rules join to a bridge crosses it, as far as its list permits, under the number
        that it has there, and nothing else; private calls only where the rules say so.
        """
        config = (
            GLOBAL
            + master("A")
            + openBridge("ONE", TGID_ACL="DENY:92")
            + openBridge("TWO", PORT=62045, BOTH_SLOTS=True, PASSPHRASE="k")
            + openBridge("THREE")
        )
        bridges = {
            "X": [row("A", 1, 91), row("ONE", 1, 91), row("TWO", 1, 9191)],
            "Y": [row("A", 2, 92), row("ONE", 1, 92)],
        }
        self.turn(config, f"BRIDGES = {bridges!r}\nUNIT = ['ONE', 'A']\n")
        node = self.load()
        assert node.openbridge is not None
        self.assertEqual([str(each) for each in node.openbridge.listen], ["0.0.0.0:62035"])
        one, two, three = (bridgeSettings(each, node.network) for each in node.openbridge.bridge)
        self.assertEqual([list(each.wanted) for each in (one, two, three)], [[(91, 91)]] * 2 + [[]])
        self.assertEqual(list(one.brought), [(91, 91)])
        self.assertEqual([each.private for each in (one, two, three)], [True, False, False])
        self.assertEqual((one.terms.server, one.terms.checkID), (3129100, False))
        self.assertEqual((one.terms.bothSlots, two.terms.bothSlots), (False, True))
        (each,) = node.openbridge.bridge[1].translate
        self.assertEqual((each.there.number, each.here.number), (9191, 91))
        secrets = Secrets.load(node.secrets)
        self.assertEqual(secrets.bridgePassword("TWO"), b"k")
        left = self.left()
        for place in ("[TWO] PORT", "[THREE]: is in no bridge", "[ONE] NETWORK_ID"):
            self.assertIn(place, left)

    def test_withoutRules(self) -> None:
        """
        Without rules all that is permitted crosses, and this is said.
        """
        self.turn(GLOBAL + openBridge("ONE", TGID_ACL="PERMIT:ALL"))
        node = self.load()
        assert node.openbridge is not None
        self.assertIn(91, bridgeSettings(node.openbridge.bridge[0], 1).wanted)
        self.assertIsNone(node.homebrew)
        self.assertIn("[ONE]: no rules were given", self.left())

    def test_numbers(self) -> None:
        """
        Two bridges of one number get two, as here a number is one talkgroup; what a hotspot is to
        name otherwise than by keying is told.
        """
        bridges = {
            "X": [row("A", 1, 1), row("B", 1, 1), row("O", 1, 3100)],
            "Y": [row("A", 2, 3100)],
            "Z": [row("B", 2, 3100), row("O", 1, 1)],
        }
        config = GLOBAL + master("A", 54001) + master("B", 54002, "b") + openBridge("O")
        self.turn(config, bridges)
        left = self.left()
        self.assertIn("bridge 'X': is talkgroup 3100", self.out)
        self.assertIn(f"bridge 'Y': is talkgroup {FIRST_FREE} here", left)
        self.assertIn(f"bridge 'Z': is talkgroup {FIRST_FREE + 1} here", left)
        self.assertIn("bridge 'X': hotspots of A key 1 on slot 1 as before; who names it", left)
        node = self.load()
        assert node.openbridge is not None
        assert node.homebrew is not None
        self.assertEqual(
            [(*each.there, *each.here, each.slot) for each in node.homebrew.translate],
            [(1, False, 3100, False, 1), (3100, False, FIRST_FREE, False, 2)],
        )
        translation = bridgeSettings(node.openbridge.bridge[0], 1).translation
        self.assertEqual(translation.inward(0, Form(1)), Form(FIRST_FREE + 1))


class UplinkTests(ImportTestCase):
    """
    Systems that log in to another server.
    """

    def up(self, **more: object) -> str:
        """
        A file with one of them.
        """
        keys = {
            "MODE": "PEER",
            "PORT": 54003,
            "MASTER_IP": "2001:db8::1",
            "MASTER_PORT": 54000,
            "PASSPHRASE": "home%%brew",
            "CALLSIGN": "W1ABC   ",
            "RADIO_ID": 312000,
            "RX_FREQ": 449000000,
            "TX_POWER": 25,
            "LATITUDE": "-38.5",
            "LONGITUDE": "W95",
            "LOCATION": "Anywhere, USA",
            "OPTIONS": "TS2=91",
            "TGID_TS1_ACL": "DENY:92",
            "SUB_ACL": "DENY:1,5-9",
            **more,
        }
        return GLOBAL + master("A") + section("UP", keys)

    def test_uplink(self) -> None:
        """
        One becomes an uplink: where to, who we are there, what crosses under which number.
        """
        bridges = {
            "X": [row("A", 2, 91), row("UP", 1, 9191)],
            "Y": [row("A", 1, 92), row("UP", 1, 92)],
            "Z": [row("UP", 2, 93)],
        }
        self.turn(self.up(), f"BRIDGES = {bridges!r}\nUNIT = ('UP',)")
        node = self.load()
        (up,) = node.uplink
        self.assertEqual((up.name, up.master), ("UP", (("2001:db8::1", 54000),)))
        self.assertEqual((up.id, up.callsign, up.kind), (312000, "W1ABC", "repeater"))
        self.assertEqual((up.rxFrequency, up.power, up.latitude), (449000000, 25, -38.5))
        self.assertEqual((up.longitude, up.location, up.options), (0.0, "Anywhere, USA", "TS2=91"))
        self.assertEqual(dict(up.static), {1: (91,), 2: (93,)})
        self.assertEqual([each.ranges for each in up.deny], [((1, 1),), ((5, 9),)])
        self.assertNotIn("SUB_ACL", self.out)
        (each,) = up.translate
        self.assertEqual((each.there.number, each.here.number, each.slot), (9191, 91, 1))
        self.assertIs(up.private, True)
        self.assertEqual(Secrets.load(node.secrets).bridgePassword("UP"), b"home%brew")
        self.assertIn("[UP]: an uplink of node 25011", self.out)

    def test_nothing(self) -> None:
        """
        One that is in no bridge is made, and it is said that nothing crosses.
        """
        self.turn(self.up())
        (up,) = self.load().uplink
        self.assertEqual((dict(up.static), up.kind, up.private), ({}, "hotspot", False))
        self.assertIn("[UP]: is in no bridge", self.left())

    def test_local(self) -> None:
        """
        A talkgroup that never leaves a node has another number here.
        """
        self.turn(self.up(), {"X": [row("UP", 2, 9)]})
        (up,) = self.load().uplink
        self.assertEqual(dict(up.static), {2: (FIRST_FREE,)})
        self.assertEqual((up.translate[0].there.number, up.kind), (9, "hotspot"))

    def test_mistakes(self) -> None:
        """
        One that leads nowhere, or has no ID, is a mistake.
        """
        self.turn(self.up(MASTER_IP="", RADIO_ID=0), code=1)
        self.assertIn("[UP] MASTER_IP", self.err)
        self.assertIn("[UP] RADIO_ID", self.err)


class FileTests(ImportTestCase):
    """
    Files that are read and written.
    """

    def test_again(self) -> None:
        """
        A file that is there is not touched, and then none is written.
        """
        self.out_.mkdir(parents=True)
        (self.out_ / "secrets.toml").write_text("mine")
        self.turn(GLOBAL + master("A"), code=1)
        self.assertIn("secrets.toml", self.err)
        self.assertEqual(os.listdir(self.out_), ["secrets.toml"])
        self.assertEqual((self.out_ / "secrets.toml").read_text(), "mine")

    def test_link(self) -> None:
        """
        No secret is written through a link.
        """
        self.out_.mkdir(parents=True)
        (self.out_ / "secrets.toml").symlink_to(self.home.folder / "elsewhere")
        self.turn(GLOBAL + master("A"), code=1)
        self.assertFalse((self.home.folder / "elsewhere").exists())

    def test_umask(self) -> None:
        """
        The secrets are their owner's alone whatever the umask is.
        """
        before = os.umask(0)
        self.addCleanup(os.umask, before)
        self.turn(GLOBAL + master("A"))
        self.assertEqual(S_IMODE((self.out_ / "secrets.toml").stat().st_mode), 0o600)

    def test_mistakes(self) -> None:
        """
        All mistakes of a file are told at once, by their places, without a passphrase, and nothing
        is written.
        """
        config = (
            GLOBAL.replace("REG_ACL: PERMIT:ALL", "REG_ACL: PERMIT:x")
            + master("A", port=99999)
            + master("B", GROUP_HANGTIME="five")
            + openBridge("O", PASSPHRASE="", NETWORK_ID=0, TARGET_IP="")
        )
        self.turn(config, code=1)
        for place in (
            "[GLOBAL] REG_ACL",
            "[A] PORT",
            "[B] GROUP_HANGTIME",
            "[O] PASSPHRASE",
            "[O] NETWORK_ID",
            "[O] TARGET_IP",
        ):
            self.assertIn(place, self.err)
        self.assertNotIn("s3cr37", self.err)
        self.assertFalse(self.out_.exists())

    def test_noConfiguration(self) -> None:
        """
        What is no such file is refused with one line, which quotes nothing of it.
        """
        for text in ("PASSPHRASE: s3cr37", "[A\nx", "[A]\n[A]\n", "[GLOBAL]\nPATH: x\n", ""):
            self.turn(text, code=1)
            self.assertEqual(self.err.count("\n"), 1)
            self.assertNotIn("s3cr37", self.err)
        self.turn("[A]\nPASSPHRASE: s3cr37\nPASSPHRASE: s3cr37\n", code=1)
        self.assertNotIn("s3cr37", self.err)
        self.assertEqual(self.command("import", "nothing.cfg"), 1)
        self.assertEqual(self.command("import"), 2)
        self.assertEqual(self.command("import", "x", "-n", "12"), 2)

    def test_run(self) -> None:
        """
        Rules are read and not run.
        """
        mark = self.home.folder / "mark"
        self.turn(
            GLOBAL + master("A"),
            f"open({str(mark)!r}, 'w')\nX = open({str(mark)!r}, 'w')\n"
            f"Y = __import__('os').system('touch {mark}')\nBRIDGES = {{}}\n",
        )
        self.assertFalse(mark.exists())
        self.assertIn("rules.py line 2: X: is made by a program", self.left())

    def test_mutations(self) -> None:
        """
        Any damage to a file makes a mistake of the operator's, or another import that passes its
        check, never an exception.
        """
        random = Random(7)
        bridges = {"X": [row("A", 1, 91), row("O", 1, 3100), row("B", 2, 9, TO_TYPE="ON", ON=[1])]}
        named = master("B", REG_ACL="PERMIT:312001", GENERATOR=2)
        texts = [GLOBAL + master("A") + named + openBridge("O"), f"BRIDGES = {bridges!r}"]
        folder = self.home.folder
        good = 0
        for turn in range(80):
            found = [list(text) for text in texts]
            for _ in range(random.randint(1, 3)):
                letters = random.choice(found)
                place = random.randrange(len(letters))
                letters[place] = random.choice([*"0159:,-%#[]'\"{}\n xé", ""])
            paths = folder / f"{turn}.cfg", folder / f"{turn}.py"
            for path, letters in zip(paths, found, strict=True):
                path.write_text("".join(letters))
            new = folder / f"new{turn}"
            if self.command("import", *map(str, paths), "-o", str(new)) == 0:
                for path in new.glob("[0-9]*.toml"):
                    self.assertEqual(self.command("check", str(path)), 0, self.err)
                    good += 1
            else:
                self.assertFalse(new.exists())
        self.assertGreater(good, 15)
