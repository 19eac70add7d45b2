"""
Tests of L{bmff.web.webservice} and L{bmff.web.secure}: sockets on loopback, in clear and over TLS.
"""

from __future__ import annotations

import os
import socket
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from twisted.internet import reactor as _reactor
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from bmff.errors import ConfigurationError
from bmff.sections.values import Address
from bmff.web import webservice
from bmff.web.webservice import WebService
from tests.web.apicase import OPERATOR, SomeNode

reactor: Any = _reactor  # mypy does not know which reactor there is
HERE = Address("127.0.0.1", 0)


@dataclass(frozen=True, slots=True)
class SomeSettings:
    """
    Where the API listens.
    """

    listen: tuple[Address, ...] | None = (HERE,)
    tls: tuple[Address, ...] = ()
    certificate: Path | None = None
    privateKey: Path | None = None
    connections: int = 10


def makePair(folder: Path, name: str) -> tuple[Path, Path]:
    """
    A certificate for a name, and its key.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    files = folder / "node.crt", folder / "node.key"
    files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    files[1].chmod(0o600)
    return files


class WebServiceTests(TestCase):
    """
    The API on the network.
    """

    timeout = 20

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.node = SomeNode()

    def service(self, settings: SomeSettings) -> WebService:
        """
        A service that is stopped when the test is over.
        """
        node = self.node
        service = WebService(reactor, settings, node.api, node.admission, node.refusals)

        async def stop() -> None:
            await service.stopService()
            # What was cut off is told of it in a later turn.
            while service._site.connections:
                await deferToThread(lambda: None)

        self.addCleanup(stop)
        return service

    def started(self, settings: SomeSettings) -> list[int]:
        """
        The ports of a service that runs.
        """
        service = self.service(settings)
        service.startService()
        return [port.getHost().port for port in service.ports]

    def refusal(self, settings: SomeSettings) -> str:
        """
        The one mistake for which it does not start; nothing is open then.
        """
        service = self.service(settings)
        with self.assertRaises(ConfigurationError) as caught:
            service.privilegedStartService()
        self.assertEqual(service.ports, [])
        (mistake,) = caught.exception.mistakes
        return str(mistake)

    async def get(self, port: int, authority: Path | None = None, **headers: str) -> bytes:
        """
        What is answered, from a thread: a client that shares nothing with the server.
        """

        def ask() -> bytes:
            plain = socket.create_connection(("127.0.0.1", port), 10)
            sock: socket.socket = plain
            if authority is not None:
                context = ssl.create_default_context(cafile=str(authority))
                sock = context.wrap_socket(plain, server_hostname="node.example.org")
            with sock:
                said = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
                sock.sendall(
                    b"GET /session HTTP/1.1\r\nHost: node.example.org\r\nConnection: close\r\n"
                    + said.encode()
                    + b"\r\n"
                )
                received = b""
                while data := sock.recv(65536):
                    received += data
                return received

        answer: bytes = await deferToThread(ask)
        return answer

    async def test_clear(self) -> None:
        """
        It listens where it is told to.
        """
        (port,) = self.started(SomeSettings())
        self.assertIn(b'"right":"look"', await self.get(port))

    async def test_somewhere(self) -> None:
        """
        Where nothing is said each node of a host has a port of loopback of its own, and where none
        is free it goes without.
        """
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            first = taken.getsockname()[1]
            self.patch(webservice, "FIRST_PORT", first)
            self.patch(webservice, "MOST_PORTS", 1)
            self.assertEqual(self.started(SomeSettings(listen=None)), [])
            self.patch(webservice, "MOST_PORTS", 20)
            (port,) = self.started(SomeSettings(listen=None))
        self.assertTrue(first < port <= first + 20)

    async def test_nowhere(self) -> None:
        """
        No address, no port.
        """
        self.assertEqual(self.started(SomeSettings(listen=())), [])

    async def test_taken(self) -> None:
        """
        A port that somebody has is a mistake.
        """
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            address = Address("127.0.0.1", taken.getsockname()[1])
            reason = self.refusal(SomeSettings(listen=(HERE, address)))
        self.assertTrue(reason.startswith(f"web.listen: cannot listen on {address}: "), reason)

    async def test_tls(self) -> None:
        """
        Over TLS the same is served, and browsers are told to keep cookies to it.
        """
        certificate, key = makePair(self.folder, "node.example.org")
        settings = SomeSettings((), (HERE,), certificate, key)
        (port,) = self.started(settings)
        self.assertIn(b'"right":"look"', await self.get(port, certificate))
        answer = await self.get(port, certificate, Authorization=f"Bearer {OPERATOR}")
        self.assertIn(b'"right":"control"', answer)

    async def test_notTLS(self) -> None:
        """
        Who speaks no TLS is sent away.
        """
        certificate, key = makePair(self.folder, "node.example.org")
        (port,) = self.started(SomeSettings((), (HERE,), certificate, key))
        self.assertNotIn(b"HTTP/1.1 200", await self.get(port))
        self.assertIn(b'"right":"look"', await self.get(port, certificate))

    async def test_renewed(self) -> None:
        """
        A certificate that was renewed is shown from the next connection on; one that became bad is
        not, and is told once.
        """
        certificate, key = makePair(self.folder, "node.example.org")
        (port,) = self.started(SomeSettings((), (HERE,), certificate, key))
        old = self.folder / "old.crt"
        certificate.rename(old)
        makePair(self.folder, "node.example.org")
        self.assertIn(b'"right":"look"', await self.get(port, certificate))
        with self.assertRaises(ssl.SSLError):
            await self.get(port, old)
        good = self.folder / "good.crt"
        certificate.rename(good)
        certificate.write_text("nonsense")
        self.assertIn(b'"right":"look"', await self.get(port, good))

    async def test_mistakes(self) -> None:
        """
        Certificates that are missing or cannot be used are mistakes.
        """
        self.assertEqual(
            self.refusal(SomeSettings(tls=(HERE,))), "web.certificate: is missing, for web.tls"
        )
        certificate, key = makePair(self.folder, "node.example.org")
        os.chmod(key, 0o644)
        self.assertIn("0644", self.refusal(SomeSettings((), (HERE,), certificate, key)))
        key.chmod(0o600)
        certificate.write_text("nonsense")
        self.assertTrue(
            self.refusal(SomeSettings((), (HERE,), certificate, key)).startswith("web.certificate")
        )
