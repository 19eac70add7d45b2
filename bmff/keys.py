"""
The file of secrets of a host, by id: hotspots' passwords, FastForward keys, passwords of the
registry and of the MQTT broker, bridge keys and tokens.

One TOML file (toml.io), C{secrets.toml}, that nobody but the service reads. The first node on a
host makes it; every node rereads it when it changes. No text that leaves here holds a secret.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from pwd import getpwuid
from shlex import quote
from stat import S_IMODE, S_ISREG
from typing import Annotated, Final

from attrs import field, frozen
from twisted.logger import Logger

from bmff.errors import ConfigurationError, Mistake
from bmff.toml import Between, Schema, decodeText, parseTable, unusable

LOOK_INTERVAL: Final = 5.0  # seconds between two looks at whether the file has changed
_MODES: Final = (0o600, 0o400)  # for the owner alone
_GROUP_MODES: Final = (0o640, 0o440)  # for the service's group as well
_KEY_SIZE: Final = 32  # bytes
_READABLE: Final = "abcdefghjkmnpqrstuvwxyz23456789"  # nothing that looks like another of them
_GROUPS, _GROUP_SIZE = 4, 5  # 20 characters of 31: 99 bits
RIGHTS: Final = ("read", "control")  # of tokens
_HEX_KEY: Final = re.compile(rf"[0-9A-Fa-f]{{{2 * _KEY_SIZE}}}\Z")

_NEW_FILE: Final = """\
# The secrets of the nodes of this host. Nobody else may read this file (chmod 600).
# Configuration names a secret by its id, the word before the equals sign. After a change every
# node reads the file again by itself.

[homebrew]
# What hotspots and repeaters log in with. "hotspots" is for all that have none of their own.
hotspots = "{password}"

[fastforward]
# Keys of links between nodes: 32 bytes in hex. One without `nodes = [...]` is a group key: who
# has it can speak as every node.
group = {{key = "{key}"}}

[registry]
# Passwords of a registry on Tarantool: bmnode = "..."

[bridges]

[mqtt]
# Passwords of an MQTT broker: mqtt = "..."

[tokens]
# Tokens of the HTTP API, by name, as: bmffctl token add NAME
"""

_Stamp = tuple[int, ...]


def _filled(text: str) -> None:
    if not text:
        raise ValueError("must not be empty")


def _key(text: str) -> None:
    if not _HEX_KEY.match(text):
        raise ValueError(f"must be {_KEY_SIZE} bytes in hex, {2 * _KEY_SIZE} characters")


def _digest(text: str) -> None:
    if not _HEX_KEY.match(text):
        raise ValueError("must be a SHA-256, 64 digits of hex; bmffctl token add makes one")


def _right(text: str) -> None:
    if text not in RIGHTS:
        raise ValueError(f"must be {' or '.join(RIGHTS)}")


_Texts = Mapping[str, Annotated[str, _filled]]


@frozen
class _FastForwardKey:
    """
    A key of links.

    @ivar key: 64 characters of hex.
    @ivar nodes: the node IDs that it proves; every one when empty.
    @ivar current: whether links are made under it, whatever the configuration says.
    """

    key: Annotated[str, _key] = field(repr=False)
    nodes: tuple[Annotated[int, Between(1000, 9999999, "(MCC and number)")], ...] = ()
    current: bool = False


@frozen
class Token:
    """
    A token of the HTTP API, which is not in the file itself.

    @ivar sha256: of it, 64 digits of hex.
    @ivar right: C{"read"} or C{"control"}.
    """

    sha256: Annotated[str, _digest] = field(repr=False)
    right: Annotated[str, _right] = "read"

    @property
    def digest(self) -> bytes:
        """
        SHA-256 of it.
        """
        return bytes.fromhex(self.sha256)


@frozen
class _Contents:
    """
    What the file holds, each table by id.
    """

    homebrew: _Texts = field(factory=dict, repr=False)
    fastforward: Mapping[str, _FastForwardKey] = field(factory=dict, repr=False)
    registry: _Texts = field(factory=dict, repr=False)
    bridges: _Texts = field(factory=dict, repr=False)
    mqtt: _Texts = field(factory=dict, repr=False)
    tokens: Mapping[str, Token] = field(factory=dict, repr=False)


class Secrets:
    """
    The secrets of a host, as last read.

    @ivar path: the file's path.
    @ivar mistake: why the file as it is now is not in use, and what was read before is; else
        L{None}.
    """

    def __init__(self, path: Path, contents: _Contents, stamp: _Stamp | None) -> None:
        self.path = path
        self.mistake: ConfigurationError | None = None
        self._contents = contents
        self._stamp = stamp

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Secrets:
        """
        The secrets in a file.

        @raise ConfigurationError: the file cannot be read, somebody else can read or write it,
            or it has mistakes.
        """
        file = Path(path)
        stamp = _stampOf(file)  # before the reading: a change between the two is seen later
        return cls(file, _read(file), stamp)

    @classmethod
    def create(cls, path: str | os.PathLike[str]) -> Secrets:
        """
        The secrets in a file, which is made with random ones when there is none.

        @raise ConfigurationError: as for L{load}, or the file cannot be made.
        """
        return openSecrets(path)[0]

    def refresh(self) -> bool:
        """
        Read the file again if it has changed; one stat if it has not. A file that cannot be used
        leaves the secrets as they are.

        @return: whether the secrets were read again. When they could not be, L{mistake} says why;
            it is the same object until the file changes once more.
        """
        stamp = _stampOf(self.path)
        if stamp == self._stamp:
            return False
        self._stamp = stamp
        try:
            self._contents = _read(self.path)
        except ConfigurationError as error:
            self.mistake = error
            return False
        self.mistake = None
        return True

    def fastForwardKey(self, keyID: str) -> tuple[bytes, frozenset[int]] | None:
        """
        The key of links under an id, 32 bytes, and the node IDs that it proves, every one when
        empty; L{None} when there is none.
        """
        found = self._contents.fastforward.get(keyID)
        return None if found is None else (bytes.fromhex(found.key), frozenset(found.nodes))

    def currentKey(self) -> str | None:
        """
        The id of the key of links that is marked as current; L{None} when none is.
        """
        rows = self._contents.fastforward.items()
        return next((keyID for keyID, row in rows if row.current), None)

    def homebrewPassword(self, secretID: str) -> bytes | None:
        """
        The password of hotspots under an id; L{None} when there is none.
        """
        password = self._contents.homebrew.get(secretID)
        return None if password is None else password.encode()

    def bridgePassword(self, secretID: str) -> bytes | None:
        """
        The passphrase of a bridge under an id; L{None} when there is none.
        """
        password = self._contents.bridges.get(secretID)
        return None if password is None else password.encode()

    def registryPassword(self, secretID: str) -> str | None:
        """
        The password of the registry's server under an id; L{None} when there is none.
        """
        return self._contents.registry.get(secretID)

    def mqttPassword(self, secretID: str) -> str | None:
        """
        The password of the MQTT broker's user under an id; L{None} when there is none.
        """
        return self._contents.mqtt.get(secretID)

    def tokens(self) -> Mapping[str, Token]:
        """
        The tokens of the HTTP API, by name.
        """
        return self._contents.tokens

    def __repr__(self) -> str:
        return f"<Secrets {str(self.path)!r}>"


class SecretsWatch:
    """
    Looks whether the secrets file has changed, and acts on it.
    """

    _log = Logger()

    def __init__(self, secrets: Secrets, changed: Callable[[], object]) -> None:
        """
        @param changed: called when they are others than before.
        """
        self._secrets = secrets
        self._changed = changed
        self._said: ConfigurationError | None = None

    def look(self) -> None:
        """
        Look once; never raises, as a timer would stop for good.
        """
        try:
            changed = self._secrets.refresh()
            if self._secrets.mistake is not self._said:
                self._said = self._secrets.mistake
                if self._said is not None:
                    self._log.error("secrets stay as they were: {mistake}", mistake=str(self._said))
            if changed:
                self._log.info("secrets read again")
                self._changed()
        except Exception:
            self._log.failure("secrets could not be looked at")


def openSecrets(path: str | os.PathLike[str]) -> tuple[Secrets, bool]:
    """
    The secrets in a file, which is made with random ones when there is none.

    Of processes that do so at once one makes the file and all read that one, whole.

    @return: the secrets, and whether this call made the file.
    @raise ConfigurationError: as for L{Secrets.load}, or the file cannot be made.
    """
    file = Path(path)
    try:
        made = not os.path.lexists(file) and _make(file)
    except OSError as error:
        raise unusable(str(file), f"cannot be made: {error.strerror}") from None
    return Secrets.load(file), made


def _stampOf(path: Path) -> _Stamp | None:
    """
    What changes when a file does, its permissions too; L{None} when there is none to see.
    """
    try:
        status = path.stat()
    except OSError:
        return None
    return (
        status.st_mtime_ns,
        status.st_size,
        status.st_ino,
        status.st_mode,
        status.st_uid,
        status.st_gid,
    )


def _read(path: Path) -> _Contents:
    """
    @raise ConfigurationError: the file cannot be read or used.
    """
    try:
        # A named pipe is not waited for, and what is checked is what is read.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            checkStatus(path, os.fstat(descriptor))
            with open(descriptor, "rb", closefd=False) as file:
                content = file.read()
        finally:
            os.close(descriptor)
    except OSError as error:
        raise unusable(str(path), f"cannot be read: {error.strerror}") from None
    table = parseTable(decodeText(content, str(path)), str(path), quote=False)
    try:
        contents = Schema(_Contents, quote=False).read(table)
    except ConfigurationError as error:
        raise ConfigurationError(
            Mistake(f"{path}: {mistake.place}".removesuffix(": "), mistake.message)
            for mistake in error.mistakes
        ) from None
    if not any(table.values()):
        # An editor that is half-way through its writing, too.
        raise unusable(str(path), "holds no secret")
    return contents


def checkStatus(path: Path, status: os.stat_result) -> None:
    """
    See that a file of secrets is the service's alone.

    @raise ConfigurationError: somebody else can read or write it.
    """
    user, mode = os.geteuid(), S_IMODE(status.st_mode)
    # Root may read everything anyway: bmffctl under sudo reads what a service's user owns.
    ours = user == 0 or status.st_gid in (os.getegid(), *os.getgroups())
    wrong = None
    if not S_ISREG(status.st_mode):
        wrong = "is not a file"
    elif user != 0 and status.st_uid not in (user, 0):
        owner, me = _userName(status.st_uid), _userName(user)
        wrong = (
            f"belongs to user {owner}, and this process runs as {me}; run it as {owner} or root, "
            f"or, if the nodes of this file run as {me}, type: sudo chown {me} {quote(str(path))}"
        )
    elif mode not in _MODES and not (ours and mode in _GROUP_MODES):
        wrong = (
            f"has mode {mode:04o}, and must have 0600, or 0640 of a group of this process; "
            f"type: chmod 600 {quote(str(path))}"
        )
    if wrong is not None:
        raise unusable(str(path), wrong)


def _userName(user: int) -> str:
    """
    The name of a user ID, or its digits when the host does not know it.
    """
    try:
        return getpwuid(user).pw_name
    except KeyError:
        return str(user)


def _make(path: Path) -> bool:
    """
    Make a file of random secrets, and its folder.

    @return: whether no other process has made it meanwhile.
    @raise OSError: as the host says.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    letters = [secrets.choice(_READABLE) for _ in range(_GROUPS * _GROUP_SIZE)]
    groups = ("".join(letters[group::_GROUPS]) for group in range(_GROUPS))
    text = _NEW_FILE.format(password="-".join(groups), key=secrets.token_hex(_KEY_SIZE))
    # The name appears with everything in it: link(2) is exclusive as O_EXCL is.
    unnamed = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(unnamed, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            os.fchmod(descriptor, 0o600)  # whatever the umask
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        os.link(unnamed, path)
    except FileExistsError:
        return False
    finally:
        unnamed.unlink()
    return True
