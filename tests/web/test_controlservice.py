"""
Tests of L{bmff.web.controlservice}.
"""

from __future__ import annotations

import grp
import os
import stat
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import TestCase

from bmff.config import Configuration, loadConfiguration
from bmff.errors import ConfigurationError
from bmff.web.controlservice import ControlService
from tests.nodes import Home

reactor: Any = _reactor  # mypy does not know which reactor there is


class ControlServiceTests(TestCase):
    """
    A control socket's start and end.
    """

    timeout = 20

    def setUp(self) -> None:
        self.home = Home()
        self.addCleanup(self.home.remove)
        self.group = grp.getgrgid(os.getegid()).gr_name
        self.given: list[tuple[str, int, int]] = []
        self.patch(os, "chown", lambda *words: self.given.append(words))

    def configuration(self, group: str | None = None) -> Configuration:
        """
        The configuration of a node with a control group.
        """
        lines = f'[web]\ncontrol_group = "{group}"\n' if group is not None else ""
        return loadConfiguration(
            self.home.write(f'network = 25011\nstate = "{self.home.state}"\n{lines}')
        )

    def start(self, configuration: Configuration) -> list[str]:
        """
        Start and stop.

        @return: what was logged.
        """
        service = ControlService(reactor, configuration, {})
        self.addCleanup(self.stop, service)
        with capturedLogs() as captured:
            service.startService()
        return [
            str(formatEvent(event))
            for event in captured
            if str(event["log_namespace"]).startswith("bmff.")
        ]

    def stop(self, service: ControlService) -> Deferred[None] | None:
        """
        Stop a service; what it returns is waited for.
        """
        stopped: Deferred[None] | None = service.stopService()
        return stopped

    def refused(self, configuration: Configuration) -> str:
        """
        The one mistake for which it does not start.
        """
        with self.assertRaises(ConfigurationError) as caught:
            self.start(configuration)
        (mistake,) = caught.exception.mistakes
        return str(mistake)

    def mode(self) -> int:
        """
        The state folder's mode.
        """
        return stat.S_IMODE(self.home.state.stat().st_mode)

    def test_noGroup(self) -> None:
        """
        Without a control group the folder is private, and the socket is given to nobody.
        """
        configuration = self.configuration()
        path = configuration.web.socket
        self.assertEqual(self.start(configuration), [f"bmffctl reaches this node at {path}"])
        self.assertEqual((self.mode(), self.given), (0o700, []))

    def test_group(self) -> None:
        """
        With one the folder that is made may be passed through, and the group gets the socket.
        """
        configuration = self.configuration(self.group)
        path = configuration.web.socket
        self.assertEqual(self.start(configuration), [f"bmffctl reaches this node at {path}"])
        self.assertEqual(self.mode(), 0o711)
        self.assertEqual(self.given, [(str(path), -1, os.getegid())])

    def test_closedFolder(self) -> None:
        """
        A folder that was there and cannot be passed through is told in one line, with what to
        type.
        """
        self.home.state.mkdir(mode=0o700)
        configuration = self.configuration(self.group)
        path = configuration.web.socket
        warning, _ = self.start(configuration)
        self.assertEqual(
            warning,
            f"the members of {self.group} cannot reach {path}; type: chmod 711 {self.home.state}",
        )
        self.assertEqual(self.mode(), 0o700)

    def test_noMember(self) -> None:
        """
        A group that the node is no member of is told as that, and no socket is left behind.
        """

        def refuse(path: str, uid: int, gid: int) -> None:
            raise PermissionError(1, "Operation not permitted")

        self.patch(os, "chown", refuse)
        configuration = self.configuration(self.group)
        path = configuration.web.socket
        self.assertEqual(
            self.refused(configuration),
            f"web.control_group: this process may not give {path} to group {self.group}, of which "
            f"it is no member; put SupplementaryGroups={self.group} into its unit, or its user "
            "into the group",
        )
        self.assertFalse(path.exists())

    def test_noSocket(self) -> None:
        """
        A file in the way is told as that, without a guess at other nodes.
        """
        self.home.state.mkdir(mode=0o700)
        configuration = self.configuration()
        path = configuration.web.socket
        path.write_text("")
        self.assertEqual(
            self.refused(configuration),
            f"web.socket: cannot listen on {path}: it is there and is no socket",
        )
        self.assertTrue(path.exists())

    def test_noFolder(self) -> None:
        """
        A folder that cannot be made is a mistake.
        """
        self.home.state.write_text("")
        configuration = loadConfiguration(
            self.home.write(f'network = 25011\nstate = "{self.home.state}/state"\n')
        )
        self.assertIn(
            f"web.socket: cannot make {self.home.state}/state: ", self.refused(configuration)
        )
