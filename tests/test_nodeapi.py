"""
Tests of the HTTP API as L{bmff.node} puts it together: a node that is all there, on loopback.
"""

from __future__ import annotations

import json
from http.client import HTTPConnection
from typing import Any

import attrs
from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from bmff.config import loadConfiguration
from bmff.dmr.voice import voiceCall
from bmff.events import CallEnded, CallStarted, Event, PeerRegistered
from bmff.keyfile import addToken, removeToken
from bmff.keys import Secrets
from bmff.node import Node
from bmff.protocols.hotspot import Hotspot
from bmff.sockets.datagrams import DatagramPort
from bmff.wire.homebrew import Station
from bmff.wire.homebrewclient import Client, State
from tests.nodes import Home

reactor: Any = _reactor  # mypy does not know which reactor there is


class NodeApiTests(TestCase):
    """
    The API of a whole node.
    """

    timeout = 30

    def setUp(self) -> None:
        self.home = Home()
        self.addCleanup(self.home.remove)
        path = self.home.write(
            f'network = 25011\nstate = "{self.home.state}"\n'
            '[homebrew]\nlisten = ["127.0.0.1:0"]\n'
            '[web]\nlisten = ["127.0.0.1:0"]\nhosts = ["Node.example.org"]\n'
            f'[fastforward]\nlisten = ["127.0.0.1"]\nfolder = "{self.home.folder}"\n'
        )
        configuration = loadConfiguration(path)
        self.secrets = Secrets.create(configuration.secrets)
        self.token = addToken(self.secrets.path, "me", "control")
        self.secrets.refresh()
        self.node = Node(reactor, configuration, self.secrets)
        self.node.startService()
        self.addCleanup(self.stop)
        assert self.node.web is not None
        (port,) = self.node.web.ports
        self.port = port.getHost().port

    async def stop(self) -> None:
        """
        Stop the node, and wait until its connections are gone.
        """
        await self.node.stopService()
        self.node.turn.stop()
        await deferLater(reactor, 0.01)

    async def ask(
        self, path: str, order: object = None, token: str = "", proxy: bool = False
    ) -> tuple[int, Any]:
        """
        Ask from a thread.

        @param proxy: whether somebody elsewhere asks, through a proxy of this host.
        @return: status and content.
        """

        def ask() -> tuple[int, Any]:
            connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            if proxy:
                headers["X-Forwarded-For"] = "192.0.2.7"
            if order is not None:
                headers["Content-Type"] = "application/json"
                connection.request("POST", path, json.dumps(order), headers)
            else:
                connection.request("GET", path, headers={**headers, "Host": "node.example.org"})
            response = connection.getresponse()
            body = response.read()
            connection.close()
            isJSON = response.headers["Content-Type"] == "application/json"
            return response.status, json.loads(body) if isJSON else body

        answer: tuple[int, Any] = await deferToThread(ask)
        return answer

    def next(self, kind: type[Event]) -> Deferred[Any]:
        """
        Fires with the next event of a kind.
        """
        found: Deferred[Any] = Deferred()

        def watch(event: Event) -> None:
            if isinstance(event, kind) and not found.called:
                found.callback(event)

        self.node.events.watch(watch)
        return found

    async def test_everything(self) -> None:
        """
        All that is described is served, and health is well.
        """
        assert self.node.links is not None
        await self.node.links.started
        _, described = await self.ask("/openapi.json")
        for path, operations in described["paths"].items():
            if "get" in operations and path not in {"/events", "/lastheard/stream"}:
                status, _ = await self.ask(path.replace("{object}", "registry"))
                self.assertEqual((path, status), (path, 200))
        _, metrics = await self.ask("/metrics")
        self.assertIn(b'bmff_node_info{environment="",network="25011"', metrics)
        _, cluster = await self.ask("/cluster")
        self.assertEqual((cluster["local"], len(cluster["nodes"])), ("25011", 1))

    async def test_token(self) -> None:
        """
        A token is good until it is taken out of the file and the node has looked at that.
        """
        self.assertEqual((await self.ask("/undrain", {}))[0], 401)
        self.assertEqual((await self.ask("/undrain", {}, self.token))[0], 200)
        removeToken(self.secrets.path, "me")
        self.secrets.refresh()
        self.assertEqual((await self.ask("/undrain", {}, self.token))[0], 401)

    async def test_otherNames(self) -> None:
        """
        By which names the node is called, and whether everybody may look, counts from the next
        request once it is said otherwise, and what is said of ports waits.
        """
        before = self.node.configuration
        web = attrs.evolve(before.web, hosts=(), public=False, listen=())
        self.node.reconfigure(attrs.evolve(before, web=web))
        self.assertEqual((await self.ask("/peers"))[0], 421)
        self.assertEqual(self.node.configuration.web.listen, before.web.listen)
        web = attrs.evolve(web, hosts=("Node.Example.ORG",))
        self.node.reconfigure(attrs.evolve(before, web=web))
        self.assertEqual((await self.ask("/peers"))[0], 200)
        self.assertEqual((await self.ask("/peers", proxy=True))[0], 401)
        self.node.reconfigure(attrs.evolve(before, web=attrs.evolve(web, public=True)))
        self.assertEqual((await self.ask("/peers", proxy=True))[0], 200)
        self.node.reconfigure(attrs.evolve(before, web=attrs.evolve(web, streams=7)))
        assert self.node.api is not None
        self.assertEqual((self.node.api.events.most, self.node.api.lastHeard.most), (7, 7))

    async def test_verbs(self) -> None:
        """
        What is asked for is done to real hotspots and calls.
        """
        here = self.next(PeerRegistered)
        self.hotspot()
        await here
        _, content = await self.ask("/peers", token=self.token)
        self.assertEqual([peer["id"] for peer in content["peers"]], [2340002])
        status, _ = await self.ask("/ban", {"peer": 2340002}, self.token)
        self.assertEqual(status, 200)
        _, content = await self.ask("/peers")
        self.assertEqual(content["peers"], [])

    async def test_drop(self) -> None:
        """
        A call that is dropped is over at once, and what comes of it still goes nowhere.
        """
        here, begun, ended = map(self.next, (PeerRegistered, CallStarted, CallEnded))
        hotspot, client = self.hotspot()
        await here
        while client.state is not State.RUNNING:
            await deferLater(reactor, 0.005)
        first, second, *_ = voiceCall(source=2340001, destination=91, stream=0xBEEF)
        hotspot.sendFrame(first)
        await begun
        status, _ = await self.ask("/drop", {"stream": "0000beef"}, self.token)
        self.assertEqual((status, (await ended).reason), (200, "dropped"))
        hotspot.sendFrame(second)
        while not self.node.router.dropped["after the end of its call"]:
            await deferLater(reactor, 0.005)

    def hotspot(self) -> tuple[Hotspot, Client]:
        """
        A hotspot that logs in, and its login.
        """
        password = self.secrets.homebrewPassword("hotspots") or b""
        station = Station(2340002, "G4TST", slots=3)
        client = Client(station, password, "", lambda frame, now: None)
        (there,) = self.node._ports
        hotspot = Hotspot(reactor, there.address, client, lambda event: None)
        port = DatagramPort(reactor, "127.0.0.1", 0, hotspot)
        hotspot.transport = port
        port.startListening()
        self.addCleanup(port.stopListening)
        self.addCleanup(hotspot.stop)
        hotspot.start()
        return hotspot, client
