"""
How a node does, for systemd, Kubernetes, load balancers and people, in the form of Consul's health
API (developer.hashicorp.com/consul/api-docs/health).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import isinf
from typing import Any, Final

from twisted.web.resource import IResource
from twisted.web.server import Request

from bmff.web.lag import Lag
from bmff.web.parts import Parts
from bmff.web.resource import Missing, Reading, answer
from bmff.web.rights import Right, visitorOf

PASSING: Final = "passing"
WARNING: Final = "warning"
CRITICAL: Final = "critical"
SLOW: Final = 0.1  # seconds of lag that a caller hears
LOSSY: Final = 0.05  # share of packets lost on a path that callers hear
LINK: Final = "link:"
BRIDGE: Final = "bridge:"
UPLINK: Final = "uplink:"
_ALL: Final = {"links": ("links", LINK), "bridges": (BRIDGE,), "uplinks": (UPLINK,)}
_ORDER: Final = (PASSING, WARNING, CRITICAL)


@dataclass(frozen=True, slots=True)
class Check:
    """
    How one thing does.

    @ivar subject: C{"node"}, C{"registry"}, C{"link:25012"}, C{"bridge:NAME"} ...
    @ivar name: the same for people.
    @ivar status: passing, warning (it goes on) or critical (it does not).
    @ivar reason: why it is not passing; else more about it.
    """

    subject: str
    name: str
    status: str
    reason: str = ""


class Health:
    """
    Looks at the parts of a node.
    """

    def __init__(self, parts: Parts, lag: Lag, links: Callable[[], dict[str, Any]]) -> None:
        """
        @param links: as L{bmff.web.links.LinksView} has them.
        """
        self._parts = parts
        self._lag = lag
        self._links = links

    def checks(self) -> list[Check]:
        """
        How everything does.
        """
        return [
            *self._node(),
            *self._registry(),
            *self._broker(),
            *self._linkChecks(),
            *self._bridgeChecks(),
            *self._uplinkChecks(),
        ]

    def check(self, subject: str) -> list[Check]:
        """
        How one thing does, C{"links"} for all links, C{"bridges"} and C{"uplinks"} for all of
        those; empty where it is not there.
        """
        checks = self.checks()
        if subject in _ALL:
            return [check for check in checks if check.subject.startswith(_ALL[subject])]
        return [check for check in checks if check.subject == subject]

    def _node(self) -> Iterator[Check]:
        lag, orders = self._lag.worst, self._parts.orders
        draining = orders is not None and orders.draining
        if lag > SLOW:
            reason = f"turns come {lag * 1000:.0f} ms late"
            yield Check("node", "the process", WARNING, reason)
        else:
            yield Check("node", "the process", PASSING, "emptied by hand" if draining else "")
        if self._parts.homebrew is not None:
            if draining:
                yield Check("logins", "hotspots' logins", CRITICAL, "the node is being emptied")
            elif not self._parts.ports:
                yield Check("logins", "hotspots' logins", CRITICAL, "no socket is open")
            else:
                count = len(self._parts.homebrew.master)
                yield Check("logins", "hotspots' logins", PASSING, f"{count} are here")

    def _registry(self) -> Iterator[Check]:
        registry = self._parts.registry
        if registry is None:
            return
        bad = len(registry.badRows)
        if not registry.available:
            known = not isinf(registry.age)
            reason = registry.reason or "it cannot be reached"
            yield Check("registry", "the registry", WARNING if known else CRITICAL, reason)
        elif bad:
            reason = f"rows that cannot be used: {bad}"
            yield Check("registry", "the registry", WARNING, reason)
        else:
            yield Check("registry", "the registry", PASSING)

    def _broker(self) -> Iterator[Check]:
        broker = self._parts.broker
        if broker is not None:
            status = PASSING if broker.connected else WARNING
            reason = "" if broker.connected else broker.reason or "it cannot be reached"
            yield Check("broker", "the broker", status, reason)

    def _linkChecks(self) -> Iterator[Check]:
        links = self._parts.links
        if links is None:
            return
        if links.failure:
            yield Check("links", "links to other nodes", CRITICAL, links.failure)
            return
        found = {link["node"]: link for link in self._links()["links"]}
        for node in links.describeNodes():
            name = f"the link to node {node['node']}"
            subject = f"{LINK}{node['node']}"
            if node["state"] == "linked" and node["node"] in found:
                reason = _trouble(found[node["node"]])
                yield Check(subject, name, WARNING if reason else PASSING, reason)
            elif node["state"] == "unreachable":
                yield Check(subject, name, CRITICAL, node.get("reason", "") or "unreachable")
            else:
                yield Check(subject, name, WARNING, "it is not there yet")

    def _bridgeChecks(self) -> Iterator[Check]:
        bridges = self._parts.bridges
        for bridge in bridges.describe() if bridges is not None else ():
            name = f"the bridge {bridge['name']}"
            subject = f"{BRIDGE}{bridge['name']}"
            if bridge["state"] != "up":
                yield Check(subject, name, WARNING, bridge["reason"] or "it is down")
            else:
                # Who has no sign of life may be there all the same, without a call.
                said = "nothing has been heard of it yet" if bridge["heard"] is None else ""
                yield Check(subject, name, PASSING, said)

    def _uplinkChecks(self) -> Iterator[Check]:
        uplinks = self._parts.uplinks
        for uplink in uplinks.describe() if uplinks is not None else ():
            name = f"the uplink {uplink['name']}"
            subject = f"{UPLINK}{uplink['name']}"
            if uplink["state"] == "running":
                yield Check(subject, name, PASSING)
            else:
                yield Check(subject, name, WARNING, uplink["reason"] or "it is not logged in yet")


def _trouble(link: dict[str, Any]) -> str:
    """
    What is not as it should be of a link that is there.
    """
    if not link["ready"]:
        return "the other node has not said yet what it wants to hear"
    for path in link["paths"]:
        if path["carries"] and path["loss"] > LOSSY:
            return f"{100 * path['loss']:.0f} % of packets are lost over {path['transport']}"
    wanted = link["chosen"]
    if wanted and wanted != link["transport"] and wanted in link["missing"]:
        return f"not over {wanted}: {link['missing'][wanted]}"
    return ""


def worst(checks: list[Check]) -> str:
    """
    How all of them together do.
    """
    return max((check.status for check in checks), key=_ORDER.index, default=PASSING)


class HealthResource(Reading):
    """
    C{/health} and C{/health/<object>}. Whoever calls the node by its name may ask: load balancers
    have no token. Why something is not passing is told to those who may look.

    The status is 200 unless something is critical: then 503. With C{?warning=429} a warning is 429,
    as Consul has it; else those who understand only yes and no would take a node away that works.
    With C{?always=200} it is 200 whatever it says: a browser writes other ones into its console.
    """

    isLeaf = False
    right = Right.NOTHING

    def __init__(self, network: int, health: Health, subject: str = "") -> None:
        """
        @param network: the node ID.
        @param subject: what is asked for; everything when empty.
        """
        super().__init__()
        self._network = network
        self._health = health
        self._subject = subject

    def getChild(self, path: bytes, request: Request) -> IResource:
        """
        How one thing does.
        """
        subject = path.decode("utf-8", "replace")
        if self._subject or not subject or not self._health.check(subject):
            return Missing()
        return HealthResource(self._network, self._health, subject)

    def read(self, request: Request) -> bytes:
        """
        Answer.
        """
        health, subject = self._health, self._subject
        checks = health.check(subject) if subject else health.checks()
        told = visitorOf(request).right >= Right.LOOK
        status = worst(checks)
        code = 503 if status == CRITICAL and request.args.get(b"always") != [b"200"] else 200
        if status == WARNING and request.args.get(b"warning") == [b"429"]:
            code = 429
        return answer(request, [self._row(check, told) for check in checks], code)

    def _row(self, check: Check, told: bool) -> dict[str, Any]:
        return {
            "Node": str(self._network),
            "CheckID": check.subject,
            "Name": check.name,
            "Status": check.status,
            "Notes": "",
            "Output": check.reason if told else "",
            "ServiceID": "bmnode",
            "ServiceName": "bmnode",
            "ServiceTags": [],
        }
