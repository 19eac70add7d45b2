"""
C{bmffctl certificate}: the certificate that a node shows to others over TLS.
"""

from __future__ import annotations

import os
from pathlib import Path

from twisted.python import usage

from bmff.config import (
    certificateName,
    defaultState,
    loadConfiguration,
    parseConfiguration,
    privateKeyName,
)
from bmff.ctl.anyorder import AnyOrderOptions
from bmff.errors import ConfigurationError, Mistake
from bmff.sockets.certificate import makeCertificate, readCertificate


class CertificateOptions(AnyOrderOptions):
    """
    The options of C{bmffctl certificate}.
    """

    synopsis = "[options] make | show"
    longdesc = (
        "make: a private key and a self-signed certificate of ten years, which names the node. "
        "show: the fingerprint of the one that is there; other nodes know it by that, from the "
        "registry that they share or from their configuration. A node whose links may run over "
        "TLS makes its own when it starts."
    )
    optParameters = [
        ["node", "n", None, "the node ID"],
        ["out", "o", None, "the folder of certificate and key; the state folder when absent"],
        ["config", "c", None, "the node's configuration file, which names all of them"],
    ]

    def parseArgs(self, action: str) -> None:  # type: ignore[override]
        """
        @param action: C{make} or C{show}.
        """
        if action not in {"make", "show"}:
            raise usage.UsageError(f"unknown action {action}; there is make, show")
        self["action"] = action

    def postOptions(self) -> None:
        """
        @raise usage.UsageError: the node is not named, or in two ways.
        """
        if (self["node"] is None) == (self["config"] is None):
            raise usage.UsageError("certificate takes --node or --config")
        if self["config"] is not None and self["out"] is not None:
            raise usage.UsageError("certificate takes --out with --node only")

    def run(self) -> int:
        """
        Make or show it.

        @raise ConfigurationError: it cannot be made or used, or is there already.
        """
        node, certificate, key = self._files()
        if self["action"] == "make":
            if os.path.lexists(certificate):
                message = "is there already; other nodes know it. To make another take it away"
                raise ConfigurationError([Mistake(str(certificate), message)])
            found = makeCertificate(node, certificate, key)
            print(f"certificate: {certificate}")
            print(f"private key: {key}")
        else:
            found = readCertificate(certificate)
        print(f"node: {found.node}")
        print(f"fingerprint: {found.fingerprint}")
        print(f"ends: {found.ends:%Y-%m-%d}")
        return 0

    def _files(self) -> tuple[int, Path, Path]:
        """
        The node ID, the certificate and the key.

        @raise ConfigurationError: the configuration or the node ID cannot be used.
        """
        if self["config"] is not None:
            configuration = loadConfiguration(self["config"])
            links = configuration.fastforward
            if links is not None:
                return configuration.network, links.certificate, links.privateKey
            folder = configuration.state
        else:
            folder = Path(self["out"]) if self["out"] is not None else defaultState()
            node = self["node"] if self["node"].isascii() and self["node"].isdigit() else "0"
            configuration = parseConfiguration(f"network = {int(node)}", "--node", Path())
        network = configuration.network
        return network, folder / certificateName(network), folder / privateKeyName(network)
