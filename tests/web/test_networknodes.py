"""
Tests of what two whole nodes on loopback tell of the bridge between them, and of the uplink by
which one is logged in at the other.
"""

from __future__ import annotations

import json
from http.client import HTTPConnection
from typing import Any, Final

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from bmff.config import loadConfiguration
from bmff.events import BridgeStarted, Event, UplinkEnded, UplinkStarted
from bmff.keys import Secrets
from bmff.node import Node
from tests.nodes import Home, freePort

reactor: Any = _reactor  # mypy does not know which reactor there is
HOTSPOTS: Final = '[homebrew]\nlisten = ["127.0.0.1:{port}"]\n'
BRIDGE: Final = (
    '[openbridge]\nlisten = ["127.0.0.1:{own}"]\n[[openbridge.bridge]]\nname = "{name}"\n'
    'peer = {peer}\nhost = "127.0.0.1"\nport = {other}\nenhanced = true\npassword = "ours"\n'
)
UPLINK: Final = (
    '[[uplink]]\nname = "east"\nmaster = ["127.0.0.1:{port}"]\nid = 2340002\npassword = "east"\n'
    'callsign = "G4TST"\nkind = "hotspot"\nstatic = {{ 2 = [91] }}\n'
)


class RunningNode:
    """
    One of them.
    """

    def __init__(self, test: TestCase, network: int, text: str, master: Secrets | None) -> None:
        """
        @param master: the secrets of the node that the uplink is logged in at.
        """
        home = Home()
        test.addCleanup(home.remove)
        page = f'network = {network}\nstate = "{home.state}"\n[web]\nlisten = ["127.0.0.1:0"]\n'
        configuration = loadConfiguration(home.write(page + text))
        self.secrets = Secrets.create(configuration.secrets)
        password = (master or self.secrets).homebrewPassword("hotspots")
        assert password is not None
        shared = f'[bridges]\nours = "between us"\neast = "{password.decode()}"\n'
        path = self.secrets.path
        path.write_text(path.read_text().replace("[bridges]\n", shared))
        self.secrets.refresh()
        self.events: list[Event] = []
        self.node = Node(reactor, configuration, self.secrets)
        self.node.events.watch(self.events.append)
        self._runs = True
        self.node.privilegedStartService()  # from now on its sockets keep what comes
        test.addCleanup(self.stop)

    def start(self) -> None:
        """
        Start it.
        """
        self.node.startService()
        assert self.node.web is not None
        self.port = self.node.web.ports[0].getHost().port

    async def stop(self) -> None:
        """
        Stop it, once.
        """
        if self._runs:
            self._runs = False
            await self.node.stopService()
            self.node.turn.stop()
            await deferLater(reactor, 0.01)

    async def ask(self, path: str) -> Any:
        """
        What the API says.
        """

        def ask() -> Any:
            connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
            connection.request("GET", path)
            body = connection.getresponse().read()
            connection.close()
            return body if path == "/metrics" else json.loads(body)

        return await deferToThread(ask)

    def happened(self, *kinds: type[Event]) -> Deferred[None]:
        """
        Fires when there has been an event of each kind.
        """
        found: Deferred[None] = Deferred()

        def watch(event: Event | None = None) -> None:
            if not found.called and set(kinds) <= {type(each) for each in self.events}:
                found.callback(None)

        self.node.events.watch(watch)
        watch()
        return found


class NetworkNodesTests(TestCase):
    """
    A node, and one that has a bridge to it and is logged in at it.
    """

    timeout = 30

    async def test_seen(self) -> None:
        """
        Both ends tell of their bridge that it is up, and the one tells of its uplink, in lists,
        health and metrics; when the master ends, the uplink is a warning.
        """
        hotspots, here, there = freePort(), freePort(), freePort()
        master = RunningNode(
            self,
            25011,
            HOTSPOTS.format(port=hotspots)
            + BRIDGE.format(own=here, other=there, name="south", peer=25012),
            None,
        )
        one = RunningNode(
            self,
            25012,
            BRIDGE.format(own=there, other=here, name="north", peer=25011)
            + UPLINK.format(port=hotspots),
            master.secrets,
        )
        master.start()
        one.start()
        await one.happened(BridgeStarted, UplinkStarted)
        await master.happened(BridgeStarted)
        for node, name, peer in ((master, "south", 25012), (one, "north", 25011)):
            ((bridge),) = (await node.ask("/bridges"))["bridges"]
            self.assertEqual(
                (bridge["name"], bridge["state"], bridge["peer"], bridge["version"]),
                (name, "up", peer, 5),
            )
            self.assertLess(bridge["heard"], 15)
            (check,) = await node.ask("/health/bridges")
            self.assertEqual((check["CheckID"], check["Status"]), (f"bridge:{name}", "passing"))
            metrics = await node.ask("/metrics")
            self.assertIn(f'bmff_bridge_up{{bridge="{name}"}} 1.0'.encode(), metrics)
        self.assertEqual(await master.ask("/uplinks"), {"uplinks": []})
        ((uplink),) = (await one.ask("/uplinks"))["uplinks"]
        self.assertEqual((uplink["state"], uplink["address"]), ("running", f"127.0.0.1:{hotspots}"))
        await master.stop()
        await one.happened(UplinkEnded)
        # What is costly to tell is kept for a moment.
        while b'bmff_uplink_up{uplink="east"} 0.0' not in await one.ask("/metrics"):
            await deferLater(reactor, 0.02)
        ((uplink),) = (await one.ask("/uplinks"))["uplinks"]
        self.assertEqual((uplink["state"], uplink["logins"]), ("waiting", 1))
        (check,) = await one.ask("/health/uplinks")
        self.assertEqual((check["Status"], check["Output"]), ("warning", uplink["reason"]))
