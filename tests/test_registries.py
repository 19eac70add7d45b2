"""
Tests of L{bmff.registries}.
"""

from __future__ import annotations

from pathlib import Path

from twisted.internet.endpoints import clientFromString
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from bmff.errors import ConfigurationError
from bmff.ibmff import IRegistry, OverrideRow, RegistryUnavailable
from bmff.keys import Secrets
from bmff.registries import endpointOf, makeRegistry
from bmff.registry.embedded import EmbeddedRegistry
from bmff.registry.tarantool import TarantoolRegistry
from bmff.sections.registry import Registry
from bmff.sections.values import Server


class RegistriesTests(SynchronousTestCase):
    """
    Tests of how a registry is found.
    """

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        path = self.folder / "secrets.toml"
        path.write_text('[registry]\nbmnode = "a password"\n')
        path.chmod(0o600)
        self.secrets = Secrets.load(path)

    def made(self, **settings: object) -> IRegistry:
        """
        The registry that some settings name.
        """
        section = Registry(self.folder / "registry.sqlite", **settings)  # type: ignore[arg-type]
        return makeRegistry(Clock(), section, self.secrets)

    def test_types(self) -> None:
        """
        The type is the name of a plugin.
        """
        for name, kind in (("embedded", EmbeddedRegistry), ("tarantool", TarantoolRegistry)):
            registry = self.made(type=name)
            self.assertIsInstance(registry, kind)
            self.assertTrue(verifyObject(IRegistry, registry))

    def test_unknown(self) -> None:
        """
        A type that no plugin has is a mistake that names those that there are.
        """
        error = self.assertRaises(ConfigurationError, self.made, type="tarantol")
        self.assertEqual(
            str(error), "registry.type: 'tarantol' is no registry; there is embedded, tarantool"
        )

    def test_noPassword(self) -> None:
        """
        A password that the secrets do not have is a mistake, for those who need one.
        """
        self.made(password="other")
        error = self.assertRaises(ConfigurationError, self.made, type="tarantool", password="other")
        self.assertEqual(
            str(error),
            f"registry.password: {self.secrets.path} has no 'other' in its table [registry]",
        )

    def test_endpoints(self) -> None:
        """
        Each address becomes a description of an endpoint that Twisted reads.
        """
        for server, description in (
            (Server("127.0.0.1", 3301), "tcp:127.0.0.1:3301"),
            (Server("::1", 3301), r"tcp:\:\:1:3301"),
            (Server("", 0, Path("/a:b=c")), r"unix:/a\:b\=c"),
        ):
            self.assertEqual(endpointOf(server), description)
            endpoint = clientFromString(Clock(), description)
            self.assertTrue(verifyObject(IStreamClientEndpoint, endpoint))

    def test_transports(self) -> None:
        """
        A registry knows which transports there are, and what an address is for each of them.
        """
        for name in ("embedded", "tarantool"):
            registry = self.made(type=name)
            row = OverrideRow(2501, 0, "pigeon", "", 1)
            error = self.failureResultOf(registry.put(row), ConfigurationError).value
            (mistake,) = error.mistakes
            self.assertEqual(mistake.place, "transport")
            for transport in ("auto", "shm", "tcp", "tls", "udp", "unix"):
                self.assertIn(f" {transport}", mistake.message)
            for transport, fits in (("tcp", False), ("tls", False), ("udp", False), ("unix", True)):
                row = OverrideRow(2501, 0, transport, "no host", 1)
                failure = self.failureResultOf(registry.put(row))
                self.assertEqual(failure.check(RegistryUnavailable) is not None, fits, transport)
