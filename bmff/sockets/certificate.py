"""
The certificate that a node shows to others: self-signed, its common name the node ID (RFC 5280),
told from every other by its fingerprint, the SHA-256 of its DER form.
"""

from __future__ import annotations

import os
import re
import secrets
import ssl
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from stat import S_IMODE, S_ISREG
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from bmff.errors import ConfigurationError, Mistake

LIFE: Final = timedelta(days=3653)  # ten years
EARLY: Final = timedelta(days=1)  # for clocks that are slow
LARGEST_FILE: Final = 1 << 16  # bytes

_NODE: Final = re.compile(r"[1-9][0-9]{0,6}\Z")
_BEGIN: Final = "-----BEGIN CERTIFICATE-----"  # a key may stand before it in the same file
_KEY_MODE: Final = 0o600
_CERTIFICATE_MODE: Final = 0o644
_OTHERS: Final = 0o137  # all but what the owner may do, and what a group may read


@dataclass(frozen=True, slots=True)
class Certificate:
    """
    A node's certificate.

    @ivar node: the node ID in it; 0 when there is none.
    @ivar fingerprint: 64 small digits of hex.
    @ivar ends: when it ends.
    """

    node: int
    fingerprint: str
    ends: datetime

    @classmethod
    def decode(cls, data: bytes) -> Certificate:
        """
        Read the DER form.

        @raise ValueError: it is no certificate.
        """
        try:
            found = x509.load_der_x509_certificate(data)
        except x509.InvalidVersion as error:  # which is no C{ValueError}
            raise ValueError(str(error)) from None
        names = found.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        name = names[0].value if len(names) == 1 else ""
        node = int(name) if isinstance(name, str) and _NODE.match(name) else 0
        return cls(node, fingerprintOf(data), found.not_valid_after_utc)


def fingerprintOf(data: bytes) -> str:
    """
    The fingerprint of a certificate.

    @param data: its DER form.
    """
    return sha256(data).hexdigest()


def readCertificate(path: Path) -> Certificate:
    """
    The certificate in a file, PEM.

    @raise ConfigurationError: there is none that can be used.
    """
    try:
        text = _contents(path).decode("ascii")
        certificate = Certificate.decode(ssl.PEM_cert_to_DER_cert(text[text.find(_BEGIN) :]))
    except OSError as error:
        raise _wrong(path, f"cannot be read: {error.strerror}") from None
    except ValueError:
        raise _wrong(path, "holds no certificate (PEM)") from None
    if not certificate.node:
        raise _wrong(path, "is a certificate whose common name is no node ID")
    return certificate


def openKey(path: Path) -> int:
    """
    A descriptor of a file with a private key, which nobody but this process's user, or its group,
    may read.

    @raise ConfigurationError: it cannot be read, or others can.
    """
    try:
        # A named pipe is not waited for, and what is checked is what is read.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise _wrong(path, f"cannot be read: {error.strerror}") from None
    try:
        _checkKey(path, os.fstat(descriptor))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _checkKey(path: Path, status: os.stat_result) -> None:
    user, mode = os.geteuid(), S_IMODE(status.st_mode)
    group = status.st_gid in (os.getegid(), *os.getgroups())
    wrong = None
    if not S_ISREG(status.st_mode):
        wrong = "is not a file"
    elif user != 0 and status.st_uid not in (user, 0):
        wrong = f"belongs to user {status.st_uid}, and this process runs as user {user}"
    elif mode & _OTHERS or (mode & 0o040 and not (group or user == 0)):
        wrong = f"has mode {mode:04o}, so others can read it; type: chmod 600 {path}"
    if wrong is not None:
        raise _wrong(path, wrong)


def makeCertificate(node: int, certificate: Path, key: Path) -> Certificate:
    """
    The certificate of a node, made unless it is there. Where there is a key already it is used: the
    one of a process that was interrupted here, or that makes the same at this moment.

    @param certificate: its file.
    @param key: the file of its private key.
    @raise ConfigurationError: they cannot be made, or are there and cannot be used.
    """
    if not os.path.lexists(certificate):
        try:
            for path in (certificate, key):
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not os.path.lexists(key):
                made = generate_private_key(SECP256R1())
                text = made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
                _write(key, text, _KEY_MODE)
            _write(certificate, _selfSigned(node, _readKey(key)), _CERTIFICATE_MODE)
        except OSError as error:
            raise _wrong(certificate, f"cannot be made: {error.strerror}") from None
    found = readCertificate(certificate)
    if found.node != node:
        raise _wrong(certificate, f"is the certificate of node {found.node}, not of {node}")
    os.close(openKey(key))
    return found


def _readKey(path: Path) -> EllipticCurvePrivateKey:
    descriptor = openKey(path)
    with open(descriptor, "rb") as file:
        content = file.read(LARGEST_FILE)
    try:
        key = load_pem_private_key(content, None)
    except (TypeError, ValueError):
        key = None
    if not isinstance(key, EllipticCurvePrivateKey):
        raise _wrong(path, "holds no private key on an elliptic curve (PEM, no passphrase)")
    return key


def _selfSigned(node: int, key: EllipticCurvePrivateKey) -> bytes:
    """
    A new certificate, PEM.
    """
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, str(node))])
    now = datetime.now(UTC)
    uses = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    return (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - EARLY)
        .not_valid_after(now + LIFE)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
        .sign(key, SHA256())
        .public_bytes(Encoding.PEM)
    )


def _write(path: Path, content: bytes, mode: int) -> None:
    """
    Make a file, unless another process has made it meanwhile.

    @raise OSError: as the host says.
    """
    # The name appears with everything in it: link(2) is exclusive as O_EXCL is.
    unnamed = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(unnamed, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open(descriptor, "wb") as file:
            os.fchmod(descriptor, mode)  # whatever the umask
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        with suppress(FileExistsError):
            os.link(unnamed, path)
    finally:
        unnamed.unlink()


def _contents(path: Path) -> bytes:
    with open(path, "rb") as file:
        return file.read(LARGEST_FILE)


def _wrong(path: Path, message: str) -> ConfigurationError:
    return ConfigurationError([Mistake(str(path), message)])
