"""
Changes to the keys of links and the tokens in a secrets file, which leave everything else as its
owner wrote it.
"""

from __future__ import annotations

import os
import re
from hashlib import sha256
from pathlib import Path
from secrets import token_hex, token_urlsafe
from typing import Final

from bmff.errors import ConfigurationError, Mistake
from bmff.keys import Secrets

KEY_SIZE: Final = 32  # bytes
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,32}\Z")
_HEADER: Final = re.compile(r"\s*\[\s*fastforward\s*\.\s*\"?(?P<id>[A-Za-z0-9_-]+)\"?\s*\]")
_INLINE: Final = re.compile(r"\s*\"?(?P<id>[A-Za-z0-9_-]+)\"?\s*=\s*\{")
_TOKENS: Final = re.compile(r"\s*\[\s*tokens\s*\]\s*(#.*)?\Z")
_TOKEN: Final = re.compile(r"\s*\[\s*tokens\s*\.\s*\"?(?P<id>[A-Za-z0-9_-]+)\"?\s*\]")
_TABLE: Final = re.compile(r"\s*\[")
_MARK: Final = re.compile(r"\s*current\s*=")


def newKey() -> str:
    """
    A random key, 64 characters of hex.
    """
    return token_hex(KEY_SIZE)


def addKey(path: Path, keyID: str, key: str, nodes: tuple[int, ...] = ()) -> None:
    """
    Add a key. Nothing uses it before L{useKey}, but everybody may speak under it.

    @param key: 64 characters of hex.
    @param nodes: the node IDs that it proves; every one when empty.
    @raise ConfigurationError: the file or the key cannot be used, or the id is taken.
    """
    secrets = Secrets.load(path)
    if not _ID.match(keyID):
        raise _wrong(path, keyID, "an id has 1 to 32 letters, digits, hyphens and underscores")
    if secrets.fastForwardKey(keyID) is not None:
        raise _wrong(path, keyID, "is there already")
    lines = ["", f"[fastforward.{keyID}]", f'key = "{key}"']
    if nodes:
        lines.append(f"nodes = [{', '.join(map(str, nodes))}]")
    _write(path, path.read_text(encoding="utf-8").rstrip("\n") + "\n" + "\n".join(lines) + "\n")


def useKey(path: Path, keyID: str) -> None:
    """
    Make links under a key from now on; the others stay good for those who still use them.

    @raise ConfigurationError: the file cannot be used, or has no such key.
    """
    if Secrets.load(path).fastForwardKey(keyID) is None:
        raise _wrong(path, keyID, "is not there")
    lines: list[str] = []
    for line, block in _blocks(path):
        if block is not None and _MARK.match(line):
            continue
        lines.append(_marked(line, keyID) if block == "" else line)
        if (found := _HEADER.match(line)) and found["id"] == keyID:
            lines.append("current = true")
    _write(path, "\n".join(lines) + "\n")


def removeKey(path: Path, keyID: str) -> None:
    """
    Take a key out: its sessions end within seconds.

    @raise ConfigurationError: the file cannot be used, has no such key, or it is in use.
    """
    secrets = Secrets.load(path)
    if secrets.fastForwardKey(keyID) is None:
        raise _wrong(path, keyID, "is not there")
    if secrets.currentKey() == keyID:
        raise _wrong(path, keyID, "is the one in use; use another one first")
    kept: list[str] = []
    for line, block in _blocks(path):
        found = _INLINE.match(line) if block == "" else None
        if block != keyID and (found is None or found["id"] != keyID):
            kept.append(line)
    _write(path, "\n".join(kept) + "\n")


def addToken(path: Path, name: str, right: str) -> str:
    """
    Add a token; the file keeps only what it can be recognised by.

    @param right: C{"read"} or C{"control"}.
    @return: the token, which cannot be had again.
    @raise ConfigurationError: the file or the name cannot be used, or the name is taken.
    """
    secrets = Secrets.load(path)
    if not _ID.match(name):
        message = "a name has 1 to 32 letters, digits, hyphens and underscores"
        raise _wrong(path, name, message, "tokens")
    if name in secrets.tokens():
        raise _wrong(path, name, "is there already", "tokens")
    token = token_urlsafe(KEY_SIZE)
    digest = sha256(token.encode()).hexdigest()
    text = path.read_text(encoding="utf-8").rstrip("\n")
    _write(path, f'{text}\n\n[tokens.{name}]\nsha256 = "{digest}"\nright = "{right}"\n')
    return token


def removeToken(path: Path, name: str) -> None:
    """
    Take a token out: it is good for nothing within seconds.

    @raise ConfigurationError: the file cannot be used, or has no such token.
    """
    if name not in Secrets.load(path).tokens():
        raise _wrong(path, name, "is not there", "tokens")
    kept: list[str] = []
    own, plain = False, False
    for line in path.read_text(encoding="utf-8").splitlines():
        if _TABLE.match(line):
            header = _TOKEN.match(line)
            own = header is not None and header["id"] == name
            plain = _TOKENS.match(line) is not None
        found = _INLINE.match(line) if plain else None
        if not own and (found is None or found["id"] != name):
            kept.append(line)
    _write(path, "\n".join(kept).rstrip("\n") + "\n")


def _marked(line: str, keyID: str) -> str:
    """
    A line of C{[fastforward]} with the mark if it is the key's, else without.
    """
    found = _INLINE.match(line)
    if found is None:
        return line
    bare = re.sub(r",?\s*current\s*=\s*(true|false)", "", line)
    if found["id"] != keyID:
        return bare
    return bare.rstrip().removesuffix("}").rstrip() + ", current = true}"


def _blocks(path: Path) -> list[tuple[str, str | None]]:
    """
    Each line of a file with the key whose table it is in; empty in C{[fastforward]} itself, L{None}
    elsewhere.
    """
    block: str | None = None
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if _TABLE.match(line):
            header = _HEADER.match(line)
            plain = line.split("#")[0].replace(" ", "").strip() == "[fastforward]"
            block = header["id"] if header else "" if plain else None
        found.append((line, block))
    return found


def _write(path: Path, text: str) -> None:
    """
    Put a new file in place of the old one, with its owner and permissions, if it can be used.
    """
    status = path.stat()
    unnamed = path.with_name(f".{path.name}.{token_hex(8)}")
    descriptor = os.open(unnamed, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            if os.geteuid() == 0:
                os.fchown(descriptor, status.st_uid, status.st_gid)
            os.fchmod(descriptor, status.st_mode & 0o777)
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        Secrets.load(unnamed)
        os.rename(unnamed, path)
    except BaseException:
        unnamed.unlink(missing_ok=True)
        raise


def _wrong(path: Path, name: str, message: str, table: str = "fastforward") -> ConfigurationError:
    return ConfigurationError([Mistake(f"{path}: {table}.{name}", message)])
