"""
Tests of C{bmff.ctl.certificate} and of C{bmff.sockets.certificate}.
"""

from __future__ import annotations

import os
import ssl
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from stat import S_IMODE

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from bmff.errors import ConfigurationError
from bmff.sockets.certificate import Certificate, makeCertificate, openKey, readCertificate
from tests.ctl.case import CtlTestCase


def selfSigned(name: str) -> bytes:
    """
    A certificate with any common name, PEM; with none when it is empty.
    """
    key = generate_private_key(SECP256R1())
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, name)] if name else []
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(
        x509.Name(attributes), x509.Name(attributes), key.public_key(), 1, now, now
    )
    return builder.sign(key, SHA256()).public_bytes(Encoding.PEM)


class CommandTests(CtlTestCase):
    """
    Tests of C{bmffctl certificate}.
    """

    def files(self, node: int = 25011) -> tuple[Path, Path]:
        """
        A node's certificate and private key.
        """
        folder = self.home.folder / "new"
        return folder / f"fastforward.{node}.crt", folder / f"fastforward.{node}.key"

    def make(self, node: int = 25011) -> int:
        """
        Make them by the command.
        """
        folder = str(self.files()[0].parent)
        return self.command("certificate", "--node", str(node), "--out", folder, "make")

    def test_make(self) -> None:
        """
        A key that only its owner may read and a certificate of ten years that names the node are
        made; the fingerprint that is printed is that of any other program.
        """
        before = os.umask(0)
        self.addCleanup(os.umask, before)
        self.assertEqual(self.make(), 0)
        certificate, key = self.files()
        self.assertEqual(S_IMODE(key.stat().st_mode), 0o600)
        self.assertEqual(S_IMODE(certificate.stat().st_mode), 0o644)
        found = x509.load_pem_x509_certificate(certificate.read_bytes())
        self.assertEqual(found.subject.rfc4514_string(), "CN=25011")
        self.assertEqual(found.issuer, found.subject)
        left = found.not_valid_after_utc - datetime.now(UTC)
        self.assertTrue(timedelta(days=3652) < left < timedelta(days=3654))
        der = ssl.PEM_cert_to_DER_cert(certificate.read_text())
        self.assertIn(f"fingerprint: {sha256(der).hexdigest()}\n", self.out)
        self.assertNotIn("PRIVATE", self.out + self.err)
        self.assertEqual(found.fingerprint(SHA256()), sha256(der).digest())
        self.assertEqual(len(list(certificate.parent.iterdir())), 2)

    def test_show(self) -> None:
        """
        What was made is shown again, and nothing is changed.
        """
        self.make()
        made, before = self.out, self.files()[1].read_bytes()
        folder = str(self.files()[0].parent)
        self.assertEqual(self.command("certificate", "-n", "25011", "-o", folder, "show"), 0)
        self.assertTrue(self.out)
        self.assertIn(self.out, made)
        self.assertEqual(self.files()[1].read_bytes(), before)

    def test_again(self) -> None:
        """
        One that is there is not replaced.
        """
        self.make()
        before = self.files()[0].read_bytes()
        self.assertEqual(self.make(), 1)
        self.assertIn("there already", self.err)
        self.assertEqual(self.files()[0].read_bytes(), before)

    def test_configuration(self) -> None:
        """
        A configuration names the node and where its files are.
        """
        path = self.home.write(
            f'network = 25012\nstate = "{self.home.state}"\n[fastforward]\ncertificate = "my.crt"\n'
        )
        self.assertEqual(self.command("certificate", "--config", str(path), "make"), 0)
        self.assertEqual(readCertificate(self.home.folder / "my.crt").node, 25012)
        self.assertTrue((self.home.state / "fastforward.25012.key").exists())

    def test_noLinks(self) -> None:
        """
        A configuration without links stands for the state folder.
        """
        path = self.home.write(f'network = 25012\nstate = "{self.home.state}"\n')
        self.assertEqual(self.command("certificate", "--config", str(path), "make"), 0)
        self.assertTrue((self.home.state / "fastforward.25012.crt").exists())

    def test_words(self) -> None:
        """
        What does not fit together is refused.
        """
        for words in (("make",), ("-n", "25011", "burn"), ("-n", "1", "-c", "x", "show"), ()):
            self.assertEqual(self.command("certificate", *words), 2, words)
        self.assertEqual(self.command("certificate", "-c", "x", "-o", "y", "show"), 2)
        for node in ("7", "x", "٣٣٣٣", "99999999"):
            self.assertEqual(self.command("certificate", "-n", node, "show"), 1, node)
            self.assertIn("network", self.err)


class FileTests(CtlTestCase):
    """
    Tests of the files.
    """

    def setUp(self) -> None:
        super().setUp()
        self.certificate, self.key = (self.home.folder / name for name in ("a.crt", "a.key"))

    def make(self, node: int = 25011) -> Certificate:
        """
        Make them.
        """
        return makeCertificate(node, self.certificate, self.key)

    def refusal(self) -> str:
        """
        Why they cannot be used.
        """
        return str(self.assertRaises(ConfigurationError, self.make))

    def test_interrupted(self) -> None:
        """
        A key without a certificate, as an interrupted process leaves it, gets one.
        """
        self.make()
        before = self.key.read_bytes()
        self.certificate.unlink()
        self.make()
        self.assertEqual(self.key.read_bytes(), before)

    def test_mode(self) -> None:
        """
        A key that others can read or write is refused; one that a group of this process may read
        is not.
        """
        self.make()
        for mode in (0o644, 0o604, 0o660, 0o620, 0o602):
            self.key.chmod(mode)
            self.assertIn("others can read it", self.refusal())
        for mode in (0o600, 0o400, 0o640):
            self.key.chmod(mode)
            os.close(openKey(self.key))

    def test_noKey(self) -> None:
        """
        A certificate whose key is gone, or is no file, is refused, and no other key is made.
        """
        self.make()
        self.key.unlink()
        self.assertIn("cannot be read", self.refusal())
        self.assertFalse(self.key.exists())
        os.mkfifo(self.key)
        self.assertIn("is not a file", self.refusal())

    def test_otherNode(self) -> None:
        """
        The certificate of another node is refused.
        """
        self.make(25012)
        self.assertIn("is the certificate of node 25012, not of 25011", self.refusal())

    def test_noCertificate(self) -> None:
        """
        What is no certificate, or names no node, is refused; a key that is none as well.
        """
        self.certificate.write_bytes(b"-----BEGIN CERTIFICATE-----\n")
        self.assertIn("holds no certificate", self.refusal())
        self.certificate.unlink()
        self.certificate.mkdir()
        self.assertIn("cannot be read", self.refusal())
        self.certificate.rmdir()
        self.key.write_bytes(b"-----BEGIN PRIVATE KEY-----\n")
        self.key.chmod(0o600)
        self.assertIn("holds no private key", self.refusal())

    def test_noNode(self) -> None:
        """
        A common name that is no node ID, or is not there, names no node.
        """
        for name in ("", "node.example", "0", "007", "25011 ", "12345678"):
            self.certificate.write_bytes(selfSigned(name))
            self.assertIn("is no node ID", self.refusal())

    def test_noFolder(self) -> None:
        """
        A folder that cannot be made is the operator's mistake.
        """
        self.certificate.write_text("")
        self.certificate = self.certificate / "a.crt"
        self.assertIn("cannot be", self.refusal())

    def test_noise(self) -> None:
        """
        Bytes that are no certificate, or are one that was cut or changed, are told so by
        C{ValueError} alone, whatever they are.
        """
        self.make()
        der = ssl.PEM_cert_to_DER_cert(self.certificate.read_text())
        for size in range(len(der)):
            self.assertRaises(ValueError, Certificate.decode, der[:size])
        for place in range(len(der)):
            changed = bytearray(der)
            changed[place] ^= 0x15
            try:
                found = Certificate.decode(bytes(changed))
            except ValueError:
                continue
            self.assertNotEqual(found.fingerprint, sha256(der).hexdigest())
