"""
An authority that vouches for certificates of hosts, for tests of TLS (RFC 5280).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


class Authority:
    """
    Vouches for certificates.

    @ivar certificate: the file of its own certificate.
    """

    def __init__(self, folder: Path) -> None:
        """
        @param folder: where its files are; made when it is not there.
        """
        folder.mkdir(exist_ok=True)
        self._folder = folder
        self._key = generate_private_key(SECP256R1())
        self._name = _named("authority")
        self.certificate = folder / "authority.pem"
        builder = self._begin(self._name, self._key)
        constraint = x509.BasicConstraints(ca=True, path_length=0)
        found = builder.add_extension(constraint, critical=True).sign(self._key, SHA256())
        self.certificate.write_bytes(found.public_bytes(Encoding.PEM))

    def _begin(self, subject: x509.Name, key: EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(hours=1))
        )

    def issue(self, name: str, host: str) -> None:
        """
        Make the files C{name.pem} and C{name.key} of a certificate for a host.
        """
        key = generate_private_key(SECP256R1())
        alternative = x509.SubjectAlternativeName([x509.DNSName(host)])
        builder = self._begin(_named(host), key).add_extension(alternative, critical=False)
        certificate = builder.sign(self._key, SHA256())
        (self._folder / f"{name}.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
        text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (self._folder / f"{name}.key").write_bytes(text)


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
