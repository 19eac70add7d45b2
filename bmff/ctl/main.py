"""
C{bmffctl}: takes the command line apart and runs one command.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import NoReturn, Protocol, cast

from twisted.python import usage

from bmff.ctl.ask import CallsOptions, PeersOptions
from bmff.ctl.certificate import CertificateOptions
from bmff.ctl.check import CheckOptions
from bmff.ctl.counters import CountersOptions
from bmff.ctl.decrypt import DecryptOptions
from bmff.ctl.heard import LastHeardOptions, TalkgroupsOptions
from bmff.ctl.hotspot import HotspotOptions
from bmff.ctl.impair import ImpairOptions
from bmff.ctl.importing.options import ImportOptions
from bmff.ctl.instances.options import InstanceOptions
from bmff.ctl.keys import KeygenOptions, KeyOptions
from bmff.ctl.links import LinksOptions, NodesOptions
from bmff.ctl.networks import BridgesOptions, UplinksOptions
from bmff.ctl.node import NodeOptions
from bmff.ctl.override import OverrideOptions
from bmff.ctl.overrides import OverridesOptions
from bmff.ctl.path import PathOptions
from bmff.ctl.peer import PeerOptions
from bmff.ctl.state import (
    ClusterOptions,
    HealthOptions,
    OrdersOptions,
    StatusOptions,
    SystemOptions,
)
from bmff.ctl.subscription import SubscriptionOptions
from bmff.ctl.token import TokenOptions
from bmff.ctl.verbs import (
    BanOptions,
    DisconnectOptions,
    DrainOptions,
    DropOptions,
    MessageOptions,
    ReloadOptions,
    StaticOptions,
    UnbanOptions,
    UndrainOptions,
)
from bmff.errors import ConfigurationError


class Command(Protocol):
    """
    The options of one command.
    """

    def run(self) -> int:
        """
        Do it.

        @return: the exit code.
        """


class Options(usage.Options):
    """
    The options of C{bmffctl} itself.
    """

    longdesc = "Checks, asks and tries a node; bmffctl COMMAND --help says more."
    subCommands = [
        ("check", None, CheckOptions, "Say what is wrong with a configuration file."),
        ("peers", None, PeersOptions, "List the hotspots and repeaters of a running node."),
        ("calls", None, CallsOptions, "List the calls of a running node."),
        ("nodes", None, NodesOptions, "List the nodes that a running node knows of."),
        ("links", None, LinksOptions, "List the links of a running node."),
        ("bridges", None, BridgesOptions, "List the bridges of a running node to other networks."),
        ("uplinks", None, UplinksOptions, "List the logins of a running node at other networks."),
        ("path", None, PathOptions, "Have a link of a running node run over a transport."),
        ("overrides", None, OverridesOptions, "List what a running node makes of the overrides."),
        ("override", None, OverrideOptions, "List, set or remove overrides in the registry."),
        ("node", None, NodeOptions, "List, add or remove nodes in the registry."),
        ("peer", None, PeerOptions, "Set or ban single hotspots in the registry."),
        (
            "subscription",
            None,
            SubscriptionOptions,
            "Give single hotspots talkgroups in the registry.",
        ),
        ("counters", None, CountersOptions, "List what a running node carried and dropped."),
        ("health", None, HealthOptions, "Say how the parts of a running node do."),
        ("status", None, StatusOptions, "Show a running node in numbers."),
        ("system", None, SystemOptions, "Show the host and the process of a running node."),
        ("cluster", None, ClusterOptions, "List the nodes that a running node reaches."),
        ("lastheard", None, LastHeardOptions, "List who was heard last by a running node."),
        ("talkgroups", None, TalkgroupsOptions, "List who hears what at a running node."),
        ("drain", None, DrainOptions, "Empty a running node, gently."),
        ("reload", None, ReloadOptions, "Have a running node read its configuration file again."),
        ("undrain", None, UndrainOptions, "Let hotspots log in again to such a node."),
        ("disconnect", None, DisconnectOptions, "Say good-bye to a hotspot, which may come back."),
        ("ban", None, BanOptions, "Say good-bye to a hotspot, which may not come back."),
        ("unban", None, UnbanOptions, "Let a hotspot in again that was banned by hand."),
        ("static", None, StaticOptions, "Set what a hotspot hears always."),
        ("drop", None, DropOptions, "End a call."),
        ("message", None, MessageOptions, "Send a text message to a radio or a talkgroup."),
        ("orders", None, OrdersOptions, "List what was ordered by hand."),
        ("keygen", None, KeygenOptions, "Print a new key for links."),
        ("key", None, KeyOptions, "Add, use, remove or rotate the keys of links."),
        ("token", None, TokenOptions, "Add, list or remove the tokens of the HTTP API."),
        ("certificate", None, CertificateOptions, "Make or show a node's certificate for TLS."),
        ("decrypt", None, DecryptOptions, "Open the packets of links in a capture, for Wireshark."),
        ("instance", None, InstanceOptions, "Add, remove or list the nodes of this host."),
        ("import", None, ImportOptions, "Turn the configuration of hblink3 or FreeDMR into ours."),
        ("hotspot", None, HotspotOptions, "Be a hotspot: log in, call, listen, report."),
        ("impair", None, ImpairOptions, "Be a bad path: carry datagrams, and lose and delay some."),
    ]

    def opt_version(self) -> NoReturn:
        """
        Print the version of bmff.
        """
        try:
            print(f"bmff {version('bmff')}")
        except PackageNotFoundError:  # a tree of sources that is not installed
            print("bmff, not installed")
        sys.exit(0)

    def getSynopsis(self) -> str:
        """
        What a usage line begins with; a command adds its own name and words.
        """
        return "Usage: bmffctl" if self.subCommand else "Usage: bmffctl COMMAND [options]"

    def postOptions(self) -> None:
        """
        @raise usage.UsageError: there is no command.
        """
        if self.subCommand is None:
            raise usage.UsageError("a command is needed; --help lists them")


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run a command.

    @return: the exit code: 0, 1 when the answer is no, 2 when the words are off.
    """
    options = Options()
    try:
        options.parseOptions(list(sys.argv[1:] if arguments is None else arguments))
    except usage.UsageError as error:
        print(f"bmffctl: {error}", file=sys.stderr)
        return 2
    try:
        return cast(Command, options.subOptions).run()
    except ConfigurationError as error:
        print(error, file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader, such as head, has seen enough
        return 1


if __name__ == "__main__":
    sys.exit(main())
