"""
What nodes there are to be in place of a server of theirs, and what stands in the file of each.

Systems that agree in all that is said of every hotspot are addresses of one node. Where a system
lets in few hotspots, which are named, what it has of its own is said of each of these. Any other
system becomes a node of its own on the same host; nodes of a host find each other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Final

from bmff.ctl.importing.bridgetable import BridgeTable
from bmff.ctl.importing.bridging import Bridging, Member
from bmff.ctl.importing.numbering import Numbering
from bmff.ctl.importing.remarks import Remarks
from bmff.ctl.importing.systems import Master, Server
from bmff.ctl.importing.terms import Terms, including
from bmff.ctl.importing.translatetable import shared
from bmff.ctl.importing.uplinktable import uplinkTable
from bmff.dmr.numbers import isService

KEY: Final = "group"  # the id of the key of links
TIMEOUT: Final = 900.0  # seconds until a keyed talkgroup is left, when nothing else is said
_PEER_TIMEOUT: Final = 60.0  # seconds
_LARGEST_PEER_TIMEOUT: Final = 600.0  # seconds
_LONGEST: Final = 86_400.0  # seconds


@dataclass(slots=True)
class Node:
    """
    One node that there is to be.

    @ivar network: its ID.
    @ivar terms: what is said of every hotspot; L{None} when it has none.
    @ivar masters: the systems that are addresses of it.
    @ivar peers: what is said of single hotspots.
    @ivar bridges: the tables of its bridges.
    @ivar listen: where those are.
    @ivar uplinks: the tables of its logins elsewhere.
    """

    network: int
    terms: Terms | None = None
    masters: list[Master] = field(default_factory=list)
    peers: dict[int, Terms] = field(default_factory=dict)
    bridges: list[dict[str, Any]] = field(default_factory=list)
    listen: str = ""
    uplinks: list[dict[str, Any]] = field(default_factory=list)


class Plan:
    """
    All nodes that there are to be, and their secrets.

    @ivar nodes: at least one.
    @ivar passwords: of hotspots, by id.
    @ivar keys: of bridges, by id.
    @ivar peerTimeout: seconds of silence after which a hotspot is gone; L{None} for ours.
    """

    def __init__(
        self,
        server: Server,
        bridging: Bridging | None,
        network: int,
        remarks: Remarks,
    ) -> None:
        """
        @param bridging: what C{rules.py} says; L{None} when there is none.
        @param network: the ID of the first node; others count on from it.
        """
        self.passwords: dict[str, str] = {}
        self.keys: dict[str, str] = {}
        self._server = server
        self._remarks = remarks
        self._bridging = bridging
        self._masters = {one.name: one for one in server.masters}
        self._others = {one.name for one in server.others}
        self._others |= {one.name for one in server.elsewhere}
        self._bridges = dict(self._present()) if bridging is not None else {}
        closed = {one.name for one in server.masters if one.known is not None}
        self._fixed = frozenset(set(self._masters) - closed)
        near = frozenset(self._masters) if len(self._fixed) <= 1 else frozenset(closed)
        self._numbers = Numbering(self._bridges, self._fixed, near, remarks).numbers
        self._timeout = self._keyedTimeout()
        self.nodes = self._nodes(network)
        self._addBridges(self.nodes[0])
        self._addUplinks(self.nodes[0])
        self.peerTimeout = self._silence()
        self._sayWhatElse()

    # The bridges of rules.py.

    def _present(self) -> Iterator[tuple[str, list[Member]]]:
        """
        The bridges with those members that there are.
        """
        assert self._bridging is not None
        for name, members in self._bridging.bridges.items():
            place = f"bridge {name!a}"
            found = []
            for member in members:
                system = self._system(member.system)
                if isService(member.talkgroup):
                    self._remarks.left(
                        place, f"{member.talkgroup} is a service of the node, not a talkgroup"
                    )
                elif system:
                    found.append(replace(member, system=system))
                elif member.system in self._server.absent:
                    self._remarks.left(place, f"is without {member.system}, which is left out")
                else:
                    self._remarks.left(
                        place, f"names {member.system!a}, which {self._server.name} does not have"
                    )
            if found:
                yield name, found

    def _system(self, name: str) -> str:
        """
        The system of a name, which may be one of many that one section stands for; else nothing.
        """
        if name in self._masters or name in self._others:
            return name
        stem, dash, number = name.rpartition("-")
        master = self._masters.get(stem)
        return stem if dash and number.isdigit() and master and master.generated else ""

    def _of(self, system: str) -> Iterator[tuple[str, Member]]:
        """
        The bridges that a system is in, each with its member.
        """
        for name, members in self._bridges.items():
            for member in members:
                if member.system == system:
                    yield name, member

    def _keyedTimeout(self) -> float:
        times = Counter(
            member.timeout * 60.0
            for members in self._bridges.values()
            for member in members
            if member.timed == "ON" and member.timeout > 0
        )
        return min(times.most_common(1)[0][0], _LONGEST) if times else TIMEOUT

    # Hotspots.

    def _terms(self, master: Master) -> Terms:
        """
        What is said of every hotspot of a system.
        """
        first, second = master.talkgroups
        if first != second:
            self._remarks.left(
                f"[{master.name}] TGID_TS1_ACL and TGID_TS2_ACL",
                "differ; here a talkgroup is permitted whatever the slot: all are that one of "
                "them permits",
            )
        talkgroups = first | second
        static = {slot: set(master.static.get(slot, ())) for slot in (1, 2)}
        translate: dict[tuple[int, int], int] = {}
        seen: dict[tuple[int, int], str] = {}
        for name, member in self._of(master.name):
            place, number = f"bridge {name!a}", self._numbers[name]
            before = seen.setdefault((member.slot, member.talkgroup), name)
            if before != name:
                self._remarks.left(
                    place,
                    f"has talkgroup {member.talkgroup} of {master.name} slot {member.slot}, which "
                    f"bridge {before!a} has too; a rule of your own sends a call to both",
                )
                continue
            if number != member.talkgroup:
                translate[member.slot, member.talkgroup] = number
                allowed = member.talkgroup in talkgroups
                talkgroups = including(talkgroups, number) if allowed else talkgroups
                self._remarks.left(
                    place,
                    f"hotspots of {master.name} key {member.talkgroup} on slot {member.slot} as "
                    f"before; who names it in options, or dials it, has to name {number}",
                )
            if member.active and member.timed != "ON":
                static[member.slot].add(number)
            self._sayOfTriggers(place, member, number)
        self.passwords[master.name] = master.passphrase
        timer = self._timeout if master.timer is None else master.timer
        return Terms(
            password=master.name,
            static=(tuple(sorted(static[1])), tuple(sorted(static[2]))),
            timer=timer,
            single=bool(master.single),
            talkgroups=talkgroups,
            hangTime=master.hangTime,
            hotspots=master.hotspots,
            translate=tuple((there, here, slot) for (slot, there), here in translate.items()),
        )

    def _sayOfTriggers(self, place: str, member: Member, number: int) -> None:
        who = f"{member.system} slot {member.slot}"
        others = sorted(set(member.on) - {member.talkgroup, number})
        if others:
            said = ", ".join(map(str, others))
            self._remarks.left(
                place, f"{who}: {said} joined it (ON); here a talkgroup is joined by keying itself"
            )
        if set(member.off) - {4000}:
            self._remarks.left(
                place, f"{who}: the numbers in OFF do nothing here; 4000 leaves what was keyed"
            )
        if set(member.reset) - {member.talkgroup}:
            self._remarks.left(
                place, f"{who}: the numbers in RESET do nothing here; keying begins the time anew"
            )
        if member.timed == "OFF":
            self._remarks.left(place, f"{who}: is static and cannot be left for a time")
        elif member.active and member.timed == "ON":
            self._remarks.left(
                place,
                f"{who}: is not heard from the start until it times out, but once it is keyed",
            )
        elif member.timed == "ON" and member.timeout * 60.0 != self._timeout:
            self._remarks.left(
                place,
                f"{who}: times out after {self._timeout:g} s, as most, not {member.timeout:g} min",
            )

    def _nodes(self, network: int) -> list[Node]:
        """
        Who is together on a node.
        """
        groups: dict[tuple[object, ...], Node] = {}
        closed: list[tuple[Master, Terms]] = []
        for master in self._server.masters:
            terms = self._terms(master)
            if master.known is not None:
                closed.append((master, terms))
                continue
            same = (master.passphrase, replace(terms, password=""))
            if same not in groups:
                groups[same] = Node(network + len(groups), terms)
                if len(groups) > 1:
                    self._remarks.left(
                        f"[{master.name}]",
                        f"becomes a node of its own, {network + len(groups) - 1}, as what is said "
                        "of its hotspots, as their password or their numbers, is not what others "
                        "have; choose other IDs with --node where these are taken",
                    )
            groups[same].masters.append(master)
        nodes = list(groups.values()) or [Node(network)]
        first = nodes[0]
        for master, terms in closed:
            if first.terms is None or not groups:
                first.terms = _together(first.terms, terms)
            first.masters.append(master)
            self._addPeers(first, master, terms)
        if first.terms is not None and not groups:  # whoever may log in is named
            numbers = shared(each.translate for each in first.peers.values())
            first.terms = replace(first.terms, translate=numbers)
        for node in nodes:
            self._sayOfNode(node)
        return nodes

    def _addPeers(self, node: Node, master: Master, terms: Terms) -> None:
        for peerID in master.known or ():
            before = node.peers.setdefault(peerID, terms)
            if before is not terms:
                self._remarks.left(
                    f"[{master.name}] REG_ACL",
                    f"{peerID} is let in by {before.password} too, and has what is said there",
                )
        if node.terms is not None and terms.hangTime != node.terms.hangTime:
            self._remarks.left(
                f"[{master.name}] GROUP_HANGTIME",
                f"is {node.terms.hangTime:g} s, that of the node",
            )

    def _sayOfNode(self, node: Node) -> None:
        for master in node.masters:
            how = "an address of" if master.known is None else "its hotspots are named in"
            self._remarks.turned(
                f"[{master.name}]", f"{how} node {node.network}, at {master.listen}"
            )
            if not master.passphrase:
                self._remarks.left(
                    f"[{master.name}] PASSPHRASE",
                    "is empty, so that anybody was let in; a random password was made, which is in "
                    "secrets.toml",
                )

    # Bridges to other servers.

    def _addBridges(self, node: Node) -> None:
        for other in self._server.others:
            if not node.listen:
                node.listen = other.listen
            elif other.listen != node.listen:
                self._remarks.left(
                    f"[{other.name}] PORT",
                    f"all bridges share {node.listen}; the other end has to send there, not to "
                    f"{other.listen}",
                )
            members = {self._numbers[name]: each.talkgroup for name, each in self._of(other.name)}
            bridge = BridgeTable(other, members, self._server, self._bridging, self._remarks)
            node.bridges.append(bridge.keys(node.network))
            self.keys[other.name] = other.passphrase
            self._remarks.turned(f"[{other.name}]", f"a bridge of node {node.network}")

    def _addUplinks(self, node: Node) -> None:
        for one in self._server.elsewhere:
            place = f"[{one.name}]"
            members = [(self._numbers[name], member) for name, member in self._of(one.name)]
            node.uplinks.append(uplinkTable(one, members, self._bridging, self._remarks))
            self.keys[one.name] = one.passphrase or "none"
            self._remarks.turned(place, f"an uplink of node {node.network}")

    # The rest.

    def _silence(self) -> float | None:
        theirs = self._server.peerTimeout
        if theirs is None or theirs <= _PEER_TIMEOUT:
            if theirs is not None:
                self._remarks.left(
                    "[GLOBAL] PING_TIME and MAX_MISSED",
                    f"a hotspot is gone after {_PEER_TIMEOUT:g} s, not {theirs:g}: hotspots ping "
                    "every 10 s, and pings get lost",
                )
            return None
        return min(theirs, _LARGEST_PEER_TIMEOUT)

    def _sayWhatElse(self) -> None:
        remarks = self._remarks
        units = None if self._bridging is None else self._bridging.units
        if units is not None:
            closed = sorted(set(self._masters) - units)
            if closed:
                remarks.left(
                    "UNIT",
                    f"private calls go between all hotspots, those of {', '.join(closed)} too",
                )
        if not self._server.freeDMR and self._masters:
            remarks.left(
                "REPEAT",
                "a hotspot hears the talkgroups that are static, that it has keyed, or that its "
                "options name; not all that others of its system say",
            )


def _together(one: Terms | None, other: Terms) -> Terms:
    """
    What is said of every hotspot, where there are only such as are named.
    """
    return other if one is None else replace(one, hotspots=one.hotspots | other.hotspots)


def secretIDs(nodes: Iterable[Node]) -> Iterator[str]:
    """
    The ids of the passwords that the files name.
    """
    for node in nodes:
        if node.terms is not None:
            yield node.terms.password
        for terms in node.peers.values():
            yield terms.password
