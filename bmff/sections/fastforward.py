"""
The section of FastForward, the links to other nodes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

import attrs

from bmff.sections.values import (
    LARGEST_ID,
    NodeID,
    SecretID,
    Target,
    checkHost,
    checkSocketPath,
    sealed,
)
from bmff.toml import Between

_HYPERVISOR: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_FINGERPRINT: Final = re.compile(r"[0-9A-Fa-f]{2}(?::?[0-9A-Fa-f]{2}){31}")


def checkEnvironment(value: str) -> None:
    if len(value.encode()) > 32:
        raise ValueError("must have 32 bytes at most")


def checkHypervisor(value: str) -> None:
    if value and not _HYPERVISOR.fullmatch(value):
        raise ValueError("must be a name of letters, digits, dots and dashes, 64 at most")


def checkFingerprint(value: str) -> None:
    if not _FINGERPRINT.fullmatch(value):
        raise ValueError("must be a fingerprint as bmffctl certificate shows it, 64 digits of hex")


@attrs.frozen
class FastForward:
    """
    The section of FastForward, the links to other nodes.

    @ivar port: this node's number, the same for all transports, unique on its host; the first free
        one from 54000 when absent.
    @ivar listen: addresses to listen on.
    @ivar key: the id of the key for links whose override names none.
    @ivar environment: the name of the network; nodes of another one are not heard.
    @ivar targets: nodes to be reached beside those of the registry.
    @ivar public: the address that other nodes reach this one at, for its row in the registry.
    @ivar folder: where UNIX sockets are.
    @ivar trust: user IDs of this host that are trusted beside our own and root.
    @ivar keylog: the file that the keys of all sessions are written to, if any.
    @ivar tls: whether links may run over TLS.
    @ivar certificate: the file of this node's certificate for TLS; made when it is not there.
    @ivar privateKey: the file of the certificate's private key.
    @ivar fingerprints: those of other nodes' certificates, before what the registry says.
    @ivar hypervisor: the name that the nodes of one hypervisor have for it; links may run over
        vSockets where it is not empty, and do by themselves where both ends have the same.
    @ivar monitors: sockets of virtual machine monitors on this host (Firecracker, Cloud
        Hypervisor), whose guests may connect.
    """

    certificate: Path
    privateKey: Path
    port: Annotated[int, Between(1, 0xFFFF, "as a port")] | None = None
    listen: tuple[Annotated[str, checkHost], ...] = ("0.0.0.0", "::")
    key: SecretID = "group"
    environment: Annotated[str, checkEnvironment] = ""
    targets: tuple[Target, ...] = ()
    public: str | None = None
    folder: Path = Path("/tmp")
    trust: tuple[Annotated[int, Between(0, LARGEST_ID, "as a user ID")], ...] = ()
    keylog: Path | None = None
    tls: bool = False
    hypervisor: Annotated[str, checkHypervisor] = ""
    monitors: tuple[Annotated[Path, checkSocketPath], ...] = ()
    fingerprints: Mapping[NodeID, Annotated[str, checkFingerprint]] = attrs.field(
        factory=dict, converter=sealed
    )

    @property
    def pinned(self) -> dict[int, str]:
        """
        The fingerprints as they are compared, 64 digits in small letters, by node ID.
        """
        return {node: text.replace(":", "").lower() for node, text in self.fingerprints.items()}
