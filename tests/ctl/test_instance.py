"""
Tests of C{bmffctl instance}: nodes are added to a scratch root and taken away again.
"""

from __future__ import annotations

import os
import sys
import threading
from io import StringIO
from pathlib import Path
from pwd import getpwnam
from subprocess import PIPE, STDOUT, run

from bmff.config import loadConfiguration, parseConfiguration
from bmff.ctl.instances import places
from bmff.ctl.instances.folder import Folder
from bmff.ctl.instances.places import Places
from bmff.ctl.instances.registration import Registration
from bmff.ctl.instances.steps import Step, carryOut
from bmff.ctl.instances.units import SERVICE, Units, serviceText
from bmff.errors import ConfigurationError, Mistake
from bmff.ibmff import NodeRow
from bmff.sections.values import Address
from bmff.testing.requirements import requires
from tests.ctl.case import CtlTestCase
from tests.nodes import ROOT, freePort, startNode


class InstanceTestCase(CtlTestCase):
    """
    A scratch root.

    @ivar places: what is where in it.
    """

    def setUp(self) -> None:
        super().setUp()
        self.places = Places(self.home.folder / "root")

    def instance(self, command: str, *words: str, systemd: bool = False) -> int:
        """
        Run a command about instances.

        @return: its exit code.
        """
        flags = [] if systemd or command == "list" else ["--no-systemd"]
        prefix = ("--prefix", str(self.places.prefix))
        return self.command("instance", command, *prefix, *words, *flags)

    def add(self, *words: str) -> None:
        """
        Add an instance, which succeeds.
        """
        self.assertEqual(self.instance("add", *words), 0, self.err)

    def refused(self, *words: str) -> str:
        """
        Add an instance, which is refused with exit code 1 and changes nothing.

        @return: what was said.
        """
        before = self.tree()
        self.assertEqual(self.instance("add", *words), 1)
        self.assertEqual(self.tree(), before)
        return self.err

    def tree(self) -> dict[str, bytes]:
        """
        All files of the scratch root; of the registry only that it is there, as SQLite counts who
        has opened it, and nothing of what is beside it.
        """
        return {
            str(path.relative_to(self.places.prefix)): (
                b"" if path.suffix == ".sqlite" else path.read_bytes()
            )
            for path in self.places.prefix.rglob("*")
            if path.is_file() and not path.name.endswith(("-wal", "-shm"))
        }

    def registration(self) -> Registration:
        """
        The registry that the instances share.
        """
        file = self.places.instances / "25011.toml"
        return Registration(self.places, loadConfiguration(file))

    def rows(self) -> dict[int, NodeRow]:
        """
        What is in it.
        """
        return self.registration().rows()


class AddTests(InstanceTestCase):
    """
    Tests of C{bmffctl instance add}.
    """

    def test_add(self) -> None:
        """
        A node gets a file that is without mistakes, and a row in the registry that does not say it
        has run; it is told how to start it.
        """
        self.add("25011")
        path = self.places.instances / "25011.toml"
        self.assertIn(f"bmnode --config {path}", self.out)
        configuration = loadConfiguration(path)
        self.assertEqual(configuration.network, 25011)
        self.assertEqual(configuration.state, self.places.state)
        assert configuration.homebrew is not None
        self.assertEqual(
            configuration.homebrew.listen, (Address("0.0.0.0", 62031), Address("::", 62031))
        )
        self.assertEqual(self.command("check", str(path)), 0)
        (row,) = self.rows().values()
        self.assertEqual((row.node, row.address, row.port), (25011, "127.0.0.1", 54000))
        self.assertEqual((row.boot, row.seen), (0, 0.0))

    def test_freePorts(self) -> None:
        """
        Ports that are not given are those that no other node has, in its file or in the registry;
        those that are given are taken.
        """
        self.add("25011")
        self.registration().put(NodeRow(25099, "127.0.0.1", 54001, 7, 1, 1e9))
        self.add("25012")
        self.add("25013", "--links-only")
        self.add("25014", "--port", "54004", "--links-port", "62033")
        self.add("25015")
        self.assertEqual(self.instance("list"), 0)
        rows = [line.split() for line in self.out.splitlines()[1:]]
        self.assertEqual(
            [[row[0], *row[2:]] for row in rows],
            [
                ["25011", "0.0.0.0:62031,", "[::]:62031", "54000", "no", "yes"],
                ["25012", "0.0.0.0:62032,", "[::]:62032", "54002", "no", "yes"],
                ["25013", "54003", "no", "yes"],
                ["25014", "0.0.0.0:54004,", "[::]:54004", "62033", "no", "yes"],
                ["25015", "0.0.0.0:62034,", "[::]:62034", "54005", "no", "yes"],
            ],
        )

    def test_twice(self) -> None:
        """
        The same number twice is refused, whatever the ports are and whoever has it: a file, also
        one of another name, or a row in the registry.
        """
        self.add("25011")
        said = self.refused("25011", "--port", "40001", "--links-port", "40002")
        file = self.places.instances / "25011.toml"
        self.assertEqual(said, f"network: 25011 is taken by {file}\n")
        file.rename(self.places.instances / "hotspots.toml")
        self.assertIn("hotspots.toml", self.refused("25011"))
        (self.places.instances / "hotspots.toml").rename(file)
        self.registration().put(NodeRow(25012, "192.0.2.1", 54000, 7, 1, 1e9))
        self.assertEqual(
            self.refused("25012"),
            "network: 25012 is in the registry already, at 192.0.2.1 port 54000\n",
        )
        self.add("25012", "--take-over")
        self.assertEqual(self.rows()[25012].address, "127.0.0.1")

    def test_takenPorts(self) -> None:
        """
        Ports of other nodes are refused, all at once, each with who has it.
        """
        self.add("25011")
        said = self.refused("25012", "--port", "62031", "--links-port", "54000")
        self.assertIn("homebrew.listen: port 62031 is taken by node 25011", said)
        self.assertIn("fastforward.port: port 54000 is taken by node 25011", said)
        self.assertEqual(len(said.splitlines()), 2)
        said = self.refused("25012", "--port", "54000")
        self.assertIn("homebrew.listen: port 54000 is taken by node 25011", said)
        said = self.refused("25012", "--port", "40000", "--links-port", "40000")
        self.assertIn("port 40000 is that of homebrew.listen", said)
        self.registration().put(NodeRow(25099, "127.0.0.1", 54007, 7, 1, 1e9))
        said = self.refused("25012", "--links-port", "54007")
        self.assertIn("port 54007 at 127.0.0.1 is node 25099's in the registry", said)

    def test_addresses(self) -> None:
        """
        One port is for two nodes where their addresses differ, not where one has all of them.
        """
        self.add("25011", "--file", str(self.file(25011, '"127.0.0.1:62031"', 54000)))
        self.add("25012", "--file", str(self.file(25012, '"127.0.0.2:62031"', 54001)))
        said = self.refused("25013", "--file", str(self.file(25013, '"0.0.0.0:62031"', 54002)))
        self.assertIn("taken by node 25011", said)
        self.assertIn("taken by node 25012", said)

    def file(self, number: int, listen: str, links: int) -> Path:
        """
        Write a configuration that is to be taken.
        """
        return self.home.write(
            f'network = {number}\nstate = "{self.places.state}"\n'
            f"[homebrew]\nlisten = [{listen}]\n[fastforward]\nport = {links}\n",
            f"own{number}.toml",
        )

    def test_file(self) -> None:
        """
        A configuration of one's own is taken as it is, if it has the number and no mistake.
        """
        own = self.file(25011, '"127.0.0.1:62031"', 54000)
        self.add("25011", "--file", str(own))
        self.assertEqual((self.places.instances / "25011.toml").read_text(), own.read_text())
        self.assertIn("is not 25012", self.refused("25012", "--file", str(own)))
        own.write_text("network = 25012\ncolour = 3\n")
        self.assertIn("colour: unknown", self.refused("25012", "--file", str(own)))
        self.assertIn("cannot be read", self.refused("25012", "--file", f"{own}.none"))

    def test_unreadable(self) -> None:
        """
        While a file in the folder cannot be read nothing is added, as its numbers are not known.
        """
        self.add("25011")
        broken = self.places.instances / "25019.toml"
        broken.write_text("network = 12\n")
        self.assertIn(f"{broken}: network: must be", self.refused("25012"))
        self.assertEqual(self.instance("list"), 1)
        self.assertIn("25011.toml", self.out)
        self.assertIn(str(broken), self.err)

    def test_dry(self) -> None:
        """
        A dry run tells each step, the file's text among them, and makes nothing; it refuses what
        would be refused.
        """
        self.assertEqual(self.instance("add", "25011", "--dry-run"), 0)
        for line in self.out.splitlines():
            self.assertTrue(line.startswith(("would ", "    ")) or not line, line)
        self.assertIn("    network = 25011\n", self.out)
        self.assertIn("would register node 25011, 127.0.0.1 port 54000", self.out)
        self.assertFalse(self.places.prefix.exists())
        self.add("25011")
        self.refused("25011", "--dry-run")
        before, rows = self.tree(), self.rows()
        self.assertEqual(self.instance("remove", "25011", "--dry-run"), 0)
        self.assertIn("would take node 25011 out of", self.out)
        self.assertEqual((self.tree(), self.rows()), (before, rows))

    def test_undone(self) -> None:
        """
        When a step fails nothing stays of those before it.
        """
        self.add("25011")
        self.patch(os, "environ", {**os.environ, "PATH": str(self.bad())})
        before, rows = self.tree(), self.rows()
        self.assertEqual(self.instance("add", "25012", systemd=True), 1)
        self.assertIn("it is broken", self.err)
        self.assertEqual(self.tree(), before)
        self.assertEqual(self.rows(), rows)

    def bad(self) -> Path:
        """
        A folder with a systemctl that fails.
        """
        folder = self.home.folder / "bad"
        folder.mkdir()
        program = folder / "systemctl"
        program.write_text("#!/bin/sh\necho it is broken\nexit 1\n")
        program.chmod(0o755)
        return folder

    def test_noSystemctl(self) -> None:
        """
        A host without systemd is told of --no-systemd, and nothing is made.
        """
        self.patch(os, "environ", {**os.environ, "PATH": str(self.home.folder)})
        self.assertEqual(self.instance("add", "25011", systemd=True), 1)
        self.assertIn("--no-systemd", self.err)
        self.assertEqual(self.tree(), {})

    def test_badRegistry(self) -> None:
        """
        A registry that cannot be used is told, and nothing is made.
        """
        self.places.state.mkdir(parents=True)
        (self.places.state / "registry.sqlite").write_text("no database, but long enough " * 100)
        self.assertIn("registry.sqlite", self.refused("25011"))

    def test_words(self) -> None:
        """
        Words that do not fit end with exit code 2.
        """
        for words in (
            (),
            ("add",),
            ("add", "x"),
            ("add", "25011", "25012"),
            ("add", "25011", "--port", "0"),
            ("add", "25011", "--port", "x"),
            ("add", "25011", "--colour"),
            ("add", "25011", "--links-only", "--port", "1"),
            ("add", "25011", "--links-only", "--activate"),
            ("add", "25011", "--file", "x", "--port", "1"),
            ("remove",),
            ("list", "25011"),
        ):
            self.assertEqual(self.command("instance", *words), 2, words)
        self.assertIn("1000 to 9999999", self.refused("12"))

    def test_locked(self) -> None:
        """
        Who adds waits until another has finished.
        """
        self.add("25011")
        codes: list[int] = []
        words = ("instance", "add", "25012", "--no-systemd", "-p", str(self.places.prefix))
        with Folder(self.places.instances).locked():
            thread = threading.Thread(target=lambda: codes.append(self.command(*words)))
            thread.start()
            thread.join(0.2)
            self.assertEqual(codes, [])
            (self.places.instances / "25012.toml").write_text("network = 25012\n")
        thread.join()
        self.assertEqual(codes, [1])
        self.assertIn("25012 is taken by", self.err)


class RemoveTests(InstanceTestCase):
    """
    Tests of C{bmffctl instance remove}.
    """

    def test_remove(self) -> None:
        """
        A node that is removed is in no list and not in the registry; its file stays under another
        name, and its number and ports are free again.
        """
        self.add("25011")
        self.add("25012")
        text = (self.places.instances / "25012.toml").read_text()
        self.assertEqual(self.instance("remove", "25012"), 0, self.err)
        self.assertEqual(list(self.rows()), [25011])
        self.assertEqual((self.places.instances / "25012.toml.removed").read_text(), text)
        self.assertEqual(self.instance("list"), 0)
        self.assertNotIn("25012", self.out)
        self.add("25012")
        self.assertEqual((self.places.instances / "25012.toml").read_text(), text)

    def test_unknown(self) -> None:
        """
        A node that is not there cannot be removed, also where there is no folder yet.
        """
        self.assertEqual(self.instance("remove", "25011"), 1)
        self.assertIn("no such node", self.err)
        self.add("25011")
        self.assertEqual(self.instance("remove", "25012"), 1)
        self.assertEqual(list(self.rows()), [25011])


class UnitTests(InstanceTestCase):
    """
    Tests of the units.
    """

    def analyze(self, unit: str) -> None:
        """
        Have systemd say that nothing is wrong with a unit.
        """
        command = ["systemd-analyze", "verify", "--man=no", str(self.places.units / unit)]
        done = run(command, stdout=PIPE, stderr=STDOUT, text=True, check=False)
        self.assertEqual((done.stdout, done.returncode), ("", 0))

    def test_published(self) -> None:
        """
        The unit in C{etc} is the one that is installed.
        """
        self.assertEqual((ROOT / "etc" / "bmnode@.service").read_text(), SERVICE)
        self.assertIn("/opt/BrandMeister/Instances/%i.toml", serviceText(Places(Path("/"))))

    def test_promises(self) -> None:
        """
        The unit says what nodes of one host need: to see one another's sockets and users, RDMA's
        devices and every family of sockets that links run on.
        """
        lines = [line for line in SERVICE.splitlines() if line and line[0] not in "#["]
        settings = dict(line.split("=", 1) for line in lines if "=" in line)
        for absent in ("PrivateTmp", "DynamicUser", "PrivateUsers", "PrivateDevices"):
            self.assertNotIn(absent, settings)
        families = settings["RestrictAddressFamilies"].split()
        self.assertLessEqual(
            {"AF_UNIX", "AF_INET", "AF_INET6", "AF_VSOCK", "AF_IB", "AF_NETLINK"}, set(families)
        )
        self.assertEqual(settings["ReadWritePaths"], "/tmp")
        self.assertEqual(settings["Type"], "notify")
        self.assertEqual(settings["LimitMEMLOCK"], "infinity")

    @requires("systemd")
    def test_three(self) -> None:
        """
        Three nodes are three enabled units that systemd finds nothing wrong with; one that is
        removed is enabled no more.
        """
        for number in ("25011", "25012", "25013"):
            self.assertEqual(self.instance("add", number, systemd=True), 0, self.err)
        for number in ("25011", "25012", "25013"):
            self.analyze(f"bmnode@{number}.service")
        wants = self.places.units / "multi-user.target.wants"
        names = [f"bmnode@{number}.service" for number in (25011, 25012, 25013)]
        self.assertEqual(sorted(path.name for path in wants.iterdir()), names)
        self.assertEqual(self.instance("list"), 0)
        self.assertEqual(self.out.count("yes      yes"), 3)
        self.assertEqual(self.instance("remove", "25012", systemd=True), 0, self.err)
        self.assertEqual(sorted(path.name for path in wants.iterdir()), [names[0], names[2]])

    @requires("systemd")
    def test_activate(self) -> None:
        """
        A node whose port systemd opens has one more unit, with the addresses of its file; it goes
        with the node.
        """
        self.assertEqual(self.instance("add", "25011", "--activate", systemd=True), 0, self.err)
        self.analyze("bmnode@25011.socket")
        self.analyze("bmnode@25011.service")
        text = (self.places.units / "bmnode@25011.socket").read_text()
        self.assertIn("ListenDatagram=0.0.0.0:62031\nListenDatagram=[::]:62031\n", text)
        self.assertIn("BindIPv6Only=ipv6-only", text)
        wanted = self.places.units / "sockets.target.wants" / "bmnode@25011.socket"
        self.assertTrue(wanted.is_symlink())
        self.assertEqual(self.instance("remove", "25011", systemd=True), 0, self.err)
        self.assertFalse(wanted.is_symlink())
        self.assertFalse((self.places.units / "bmnode@25011.socket").exists())

    @requires("systemd")
    def test_newVersion(self) -> None:
        """
        A unit of an earlier version is replaced with the next node.
        """
        template = self.places.units / "bmnode@.service"
        template.parent.mkdir(parents=True)
        template.write_text("[Service]\nExecStart=/bin/true\n")
        self.assertEqual(self.instance("add", "25011", systemd=True), 0, self.err)
        self.assertEqual(template.read_text(), serviceText(self.places))


class HostPlaces(Places):
    """
    A scratch root that is taken for the host itself.
    """

    @property
    def live(self) -> bool:
        """
        As on the host.
        """
        return True


class HostTests(InstanceTestCase):
    """
    Tests of what is different where the host's own systemd looks.
    """

    def setUp(self) -> None:
        super().setUp()
        self.patch(sys, "stdout", StringIO())
        self.places = HostPlaces(self.home.folder / "root")

    def test_owner(self) -> None:
        """
        What root makes for the nodes belongs to their user, who could not read it else.
        """
        if os.geteuid() != 0:
            self.skipTest("not root")
        self.patch(places, "USER", "nobody")
        self.home.folder.chmod(0o711)
        text = f'network = 25011\nstate = "{self.places.state}"\n'
        configuration = parseConfiguration(text, "25011.toml", self.home.folder)
        registration = Registration(self.places, configuration)
        registration.put(NodeRow(25011, "127.0.0.1", 54000, 0, 1, 0.0))
        self.assertEqual(os.geteuid(), 0)
        nobody = getpwnam("nobody").pw_uid
        self.assertEqual(self.places.state.stat().st_uid, nobody)
        self.assertEqual(configuration.registry.file.stat().st_uid, nobody)
        self.assertEqual(list(registration.rows()), [25011])

    def test_noUser(self) -> None:
        """
        Root is told how to make the user where there is none; nobody else needs one.
        """
        self.patch(places, "USER", "bmff-nobody-has-this-name")
        if os.geteuid() != 0:
            self.assertIsNone(self.places.owner())
            return
        error = self.assertRaises(ConfigurationError, self.places.owner)
        self.assertIn("useradd --system", str(error))

    def test_systemctl(self) -> None:
        """
        There systemd reads its units again, starts a node when that is asked for, and stops one
        that is removed, its socket first, which would start it again.
        """
        log = self.home.folder / "log"
        program = self.home.folder / "systemctl"
        program.write_text(f'#!/bin/sh\necho "$*" >> {log}\n')
        program.chmod(0o755)
        self.patch(os, "environ", {**os.environ, "PATH": str(self.home.folder)})
        units = Units(self.places)
        carryOut([*units.adding("25011", "[Socket]\n", True)], False)
        carryOut([*units.removing("25011")], False)
        self.assertEqual(
            log.read_text().splitlines(),
            [
                "daemon-reload",
                "enable bmnode@25011.service bmnode@25011.socket",
                "start bmnode@25011.socket bmnode@25011.service",
                "stop bmnode@25011.socket bmnode@25011.service",
                "disable bmnode@25011.socket bmnode@25011.service",
                "daemon-reload",
            ],
        )


class StepsTests(CtlTestCase):
    """
    Tests of L{carryOut}.
    """

    def setUp(self) -> None:
        super().setUp()
        for name in ("stdout", "stderr"):
            self.patch(sys, name, StringIO())

    def test_undo(self) -> None:
        """
        Steps are undone in the order from the last to the first; one that cannot be is told, and
        the others are undone all the same.
        """
        done: list[str] = []

        def fail() -> None:
            raise ConfigurationError([Mistake("third", "cannot be done")])

        def stuck() -> None:
            raise OSError("stuck")

        steps = [
            Step("one", lambda: done.append("1"), lambda: done.append("-1")),
            Step("two", lambda: done.append("2"), stuck),
            Step("three", lambda: done.append("3"), lambda: done.append("-3")),
            Step("four", fail),
        ]
        self.assertRaises(ConfigurationError, carryOut, steps, False)
        self.assertEqual(done, ["1", "2", "3", "-3", "-1"])

    def test_host(self) -> None:
        """
        What the host refuses is the operator's to mend, with the step that it refused.
        """

        def fail() -> None:
            raise PermissionError(13, "Permission denied")

        error = self.assertRaises(ConfigurationError, carryOut, [Step("write it", fail)], False)
        self.assertIn("cannot write it: ", str(error))


class RunTests(InstanceTestCase):
    """
    Tests of nodes that were added.
    """

    def test_run(self) -> None:
        """
        Two nodes that were added run, one for hotspots and one for links only, and link to each
        other by what they share.
        """
        port, links = freePort(), freePort()
        self.add("25011", "--port", str(port), "--links-port", str(links))
        self.add("25012", "--links-only", "--links-port", str(freePort()))
        nodes = []
        for number in (25011, 25012):
            node = startNode(self.home, self.places.instances / f"{number}.toml")
            self.addCleanup(node.remove)
            nodes.append(node)
        for node, other in zip(nodes, (25012, 25011), strict=True):
            node.says(f"link to node {other} is up")


class ExampleTests(CtlTestCase):
    """
    Tests of the examples in C{etc/instances}.
    """

    def test_pair(self) -> None:
        """
        Both files are without mistakes, share registry and secrets, and nothing that may be only
        one node's; one takes hotspots and the other none.
        """
        folder = Folder(ROOT / "etc" / "instances")
        folder.checkReadable()
        hotspots, bridges = folder.instances
        for each in folder.instances:
            self.assertEqual(each.path.name, f"{each.number}.toml")
        self.assertIsNotNone(hotspots.configuration.homebrew)
        self.assertIsNone(bridges.configuration.homebrew)
        self.assertEqual(hotspots.configuration.registry, bridges.configuration.registry)
        self.assertEqual(hotspots.configuration.secrets, bridges.configuration.secrets)
        folder.instances.remove(bridges)
        self.assertEqual(
            [each for each in folder.clashes(bridges) if each.place != str(bridges.path)], []
        )
