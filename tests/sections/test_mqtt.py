"""
Tests of L{bmff.sections.mqtt}.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

from twisted.trial.unittest import SynchronousTestCase

from bmff.errors import ConfigurationError
from bmff.sections.mqtt import KINDS, MQTT, BrokerPlace, makeBrokerPlace
from bmff.toml import Schema, parseTable
from bmff.wire.brandmeister import commands

FOLDER = Path("/etc/bmff")


def read(text: str) -> MQTT:
    """
    The section that a text holds.
    """
    types: dict[type, Callable[[Any], object]] = {
        BrokerPlace: lambda value: makeBrokerPlace(value, FOLDER),
        Path: lambda value: FOLDER / str(value),
    }
    return Schema(MQTT, types).read(parseTable(text, "test"))


class MQTTTests(SynchronousTestCase):
    """
    What the section may say.
    """

    def mistake(self, text: str) -> str:
        """
        The one mistake in a text.
        """
        error = self.assertRaises(ConfigurationError, read, text)
        self.assertEqual(len(error.mistakes), 1)
        return str(error)

    def test_defaults(self) -> None:
        """
        Nothing need be said for a broker on this host; no command is taken.
        """
        self.assertEqual(str(read("").broker), "127.0.0.1:1883")
        self.assertEqual(read("").commands, ())

    def test_places(self) -> None:
        """
        A broker is at a host or at a UNIX socket.
        """
        for said, host, port in (
            ("broker.example.org:8883", "broker.example.org", 8883),
            ("[2001:db8::1]:1883", "2001:db8::1", 1883),
            ("broker.example.org.:1883", "broker.example.org.", 1883),
        ):
            self.assertEqual(read(f'broker = "{said}"').broker, BrokerPlace(host, port))
            self.assertEqual(str(read(f'broker = "{said}"').broker), said)
        path = Path("/etc/bmff/run/mqtt")
        self.assertEqual(read('broker = "unix:run/mqtt"').broker, BrokerPlace("", 0, path))

    def test_badPlaces(self) -> None:
        """
        What is neither is a mistake.
        """
        for said in ("", "a", "a:0", "a:65536", "a..b:1", ".:1", "1.2.3:1", "[::g]:1", "[1]:1"):
            self.mistake(f'broker = "{said}"')

    def test_commands(self) -> None:
        """
        Commands are taken from this host; from another one only with TLS and a name.
        """
        for said in (
            "",
            'broker = "unix:/run/mqtt"',
            'broker = "[::1]:1"',
            'broker = "a:1"\ntls = true\nuser = "25011"',
            'broker = "a:1"\ntls = true\ncertificate = "c.pem"',
        ):
            self.assertEqual(read(f'commands = ["drop"]\n{said}').commands, ("drop",))
        for said in (
            'broker = "a:1"',
            'broker = "a:1"\nuser = "25011"',
            'broker = "a:1"\ntls = true',
            'broker = "192.0.2.1:1"',
        ):
            self.assertIn("anybody's", self.mistake(f'commands = ["drop"]\n{said}'))

    def test_kinds(self) -> None:
        """
        The kinds of commands are those that there are.
        """
        self.assertEqual(KINDS, commands.KINDS)
        self.assertEqual(len(get_args(commands.Order)), len(KINDS))
        self.assertIn("commands[1]", self.mistake('commands = ["drop", "reboot"]'))

    def test_tls(self) -> None:
        """
        What is of no use is a mistake.
        """
        self.mistake('broker = "unix:/run/mqtt"\ntls = true')
        self.mistake('ca = "ca.pem"')
        self.mistake('tls = true\nprivate_key = "key.pem"')
        self.mistake('root = "a/#"')
        self.mistake("keepalive = 0")
