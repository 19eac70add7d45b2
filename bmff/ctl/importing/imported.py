"""
The files of an import: one for each node, and one of secrets. None that is there is touched.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from secrets import choice
from typing import Any, Final

from bmff.config import parseConfiguration
from bmff.ctl.importing.document import Document
from bmff.ctl.importing.plan import KEY, Node, Plan, secretIDs
from bmff.errors import ConfigurationError, Mistake
from bmff.keyfile import newKey

SECRETS: Final = "secrets.toml"
_LETTERS: Final = "abcdefghjkmnpqrstuvwxyz23456789"  # nothing that looks like another of them
_LENGTH: Final = 20


def importedFiles(plan: Plan, origin: str) -> dict[str, tuple[str, int]]:
    """
    The text and the mode of each file, by name.

    @param origin: what the files were made from, for people.
    @raise ConfigurationError: what was found there makes no configuration.
    """
    files = {}
    for node in plan.nodes:
        text = nodeText(node, plan, origin)
        parseConfiguration(text, f"{node.network}.toml", Path())
        files[f"{node.network}.toml"] = (text, 0o644)
    files[SECRETS] = (secretsText(plan, origin), 0o600)
    return files


def writeFiles(folder: Path, files: dict[str, tuple[str, int]]) -> Iterator[Path]:
    """
    Write files that are not there yet; all of them or none.

    @return: their paths.
    @raise ConfigurationError: one is there, or the folder cannot be written.
    """
    made: list[Path] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, (text, mode) in files.items():
            path = folder / name
            # Exclusive, so that neither a file that is there nor one that a link names is changed.
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            descriptor = os.open(path, flags, mode & 0o600)
            made.append(path)
            with open(descriptor, "w", encoding="utf-8") as file:
                os.fchmod(descriptor, mode)
                file.write(text)
    except OSError as error:
        for path in made:
            path.unlink(missing_ok=True)
        message = f"cannot be written: {error.strerror}; nothing was"
        raise ConfigurationError([Mistake(str(error.filename or folder), message)]) from None
    return iter(made)


def nodeText(node: Node, plan: Plan, origin: str) -> str:
    """
    The configuration of one node.
    """
    document = Document()
    document.comment(f"Made by bmffctl import from {origin}. etc/bmnode.toml explains every key.")
    document.table({"network": node.network, "secrets": SECRETS})
    if node.terms is not None:
        keys: dict[str, Any] = {"listen": list(dict.fromkeys(each.listen for each in node.masters))}
        keys |= node.terms.common()
        if plan.peerTimeout is not None:
            keys["peer_timeout"] = plan.peerTimeout
        document.table(keys, "homebrew")
        for peerID, terms in node.peers.items():
            document.table(terms.own(node.terms), "homebrew", "peer", str(peerID))
    if len(plan.nodes) > 1:
        document.table({"key": KEY}, "fastforward")
    if node.bridges:
        document.table({"listen": [node.listen]}, "openbridge")
        for bridge in node.bridges:
            document.table(bridge, "openbridge", "bridge", several=True)
    for uplink in node.uplinks:
        document.table(uplink, "uplink", several=True)
    return document.text


def secretsText(plan: Plan, origin: str) -> str:
    """
    The secrets of all nodes.
    """
    document = Document()
    document.comment(f"Made by bmffctl import from {origin}. Nobody else may read this file.")
    used = dict.fromkeys(secretIDs(plan.nodes))
    passwords = {name: plan.passwords[name] or _password() for name in used}
    for name, secrets in (("homebrew", passwords), ("bridges", plan.keys)):
        if secrets:
            document.table(secrets, name)
    document.table({KEY: {"key": newKey()}}, "fastforward")
    return document.text


def _password() -> str:
    return "".join(choice(_LETTERS) for _ in range(_LENGTH))
