"""
What every registry promises, as tests that a registry of a third party passes as well.

A test class takes L{RegistryContract} and C{twisted.trial.unittest.TestCase} as its bases, in this
order, and says how a registry is made and which reactor there is. The database is real and so is
the time: a test waits until something is so, and fails when it is not within L{PATIENCE}.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, cast

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater
from zope.interface.verify import verifyObject

from bmff.errors import ConfigurationError
from bmff.ibmff import (
    IRegistry,
    NodeRow,
    OverrideRow,
    PeerRow,
    RegistryUnavailable,
    SubscriptionRow,
)

PATIENCE: Final = 5.0  # seconds
PROMPT: Final = 1.0  # seconds in which a change reaches everybody
_LOOK_INTERVAL: Final = 0.002  # seconds


def nodeRow(node: int, **fields: Any) -> NodeRow:
    """
    A node's row that can be used.
    """
    usual = {"address": "192.0.2.1", "port": 54000, "boot": 1, "pid": 100, "seen": 1.5e9}
    return NodeRow(node, **{**usual, **fields})


def overrideRow(node: int, **fields: Any) -> OverrideRow:
    """
    An override that can be used.
    """
    usual = {"key": "group", "transport": "udp", "address": "192.0.2.1", "port": 54000}
    return OverrideRow(node, **{**usual, **fields})


class RegistryCase:
    """
    What tests of a registry stand on: one registry, started, on an empty store of its own.

    @ivar reactor: the reactor that the tests run on; set by the class that has these.
    @ivar registry: the registry.
    """

    reactor: Any
    registry: Any

    # What trial's TestCase brings.
    addCleanup: Callable[..., Any]
    assertEqual: Callable[..., Any]
    assertFalse: Callable[..., Any]
    assertIs: Callable[..., Any]
    assertLess: Callable[..., Any]
    assertRaises: Callable[..., Any]
    assertTrue: Callable[..., Any]
    fail: Callable[..., Any]
    failureResultOf: Callable[..., Any]
    flushLoggedErrors: Callable[..., list[Any]]
    successResultOf: Callable[..., Any]

    def makeRegistry(self) -> Any:
        """
        Make another registry on the store of this test, not started.
        """
        raise NotImplementedError

    def setUp(self) -> Any:
        """
        Start the registry.
        """
        return self._begin()

    async def _begin(self) -> None:
        self.registry = await self.startRegistry()

    async def startRegistry(self) -> Any:
        """
        Another registry on the store of this test, started.
        """
        registry = self.makeRegistry()
        self.addCleanup(registry.stop)
        await registry.start()
        return registry

    def changesOf(self, registry: Any) -> list[str]:
        """
        A list that grows with the names of the tables that a watcher of a registry is told.
        """
        changes: list[str] = []
        registry.watch(changes.append)
        return changes

    async def until(self, condition: Callable[[], object], within: float = PATIENCE) -> None:
        """
        Wait until something is so.

        @param within: seconds.
        """
        deadline = self.reactor.seconds() + within
        while not condition():
            if self.reactor.seconds() > deadline:
                self.fail(f"not so within {within} s")
            await deferLater(self.reactor, _LOOK_INTERVAL)


class RegistryContract(RegistryCase):
    """
    The tests.
    """

    def test_interface(self) -> None:
        """
        A registry has all that L{IRegistry} names.
        """
        self.assertTrue(verifyObject(IRegistry, self.registry))

    def test_empty(self) -> None:
        """
        A new store has no rows, and a registry that has read it is available and current.
        """
        registry = self.registry
        self.assertEqual((dict(registry.nodes), dict(registry.overrides)), ({}, {}))
        self.assertEqual((dict(registry.peers), dict(registry.subscriptions)), ({}, {}))
        self.assertEqual((registry.available, registry.reason), (True, ""))
        self.assertEqual(registry.badRows, ())
        self.assertLess(registry.age, PROMPT)

    def test_notStarted(self) -> None:
        """
        Before its start a registry is not available and infinitely old, refuses to write, and may
        be stopped.
        """
        registry = self.makeRegistry()
        self.assertFalse(registry.available)
        self.assertTrue(registry.reason)
        self.assertEqual(registry.age, float("inf"))
        self.failureResultOf(registry.put(nodeRow(2501)), RegistryUnavailable)
        self.successResultOf(registry.stop())

    async def test_put(self) -> None:
        """
        A row that was put is in the mapping when its Deferred fires, and watchers have been told
        of its table once.
        """
        changes = self.changesOf(self.registry)
        await self.registry.put(nodeRow(2501))
        self.assertEqual(self.registry.nodes, {2501: nodeRow(2501)})
        self.assertEqual(changes, ["nodes"])
        await self.registry.put(overrideRow(2502))
        self.assertEqual(self.registry.overrides, {2502: overrideRow(2502)})
        self.assertEqual(changes, ["nodes", "overrides"])
        await self.registry.put(PeerRow(234567801))
        self.assertEqual(self.registry.peers, {234567801: PeerRow(234567801)})
        row = SubscriptionRow(234567801, 2, 91)
        await self.registry.put(row)
        self.assertEqual(self.registry.subscriptions, {(234567801, 2, 91): row})
        self.assertEqual(changes, ["nodes", "overrides", "peers", "subscriptions"])

    async def test_toldAfterwards(self) -> None:
        """
        When a watcher is told, the mapping holds the row already.
        """
        seen: list[object] = []
        self.registry.watch(lambda table: seen.append(dict(self.registry.nodes)))
        await self.registry.put(nodeRow(2501))
        self.assertEqual(seen, [{2501: nodeRow(2501)}])

    async def test_replace(self) -> None:
        """
        A row replaces the one with the same node ID, in its own table alone.
        """
        await self.registry.put(nodeRow(2501))
        await self.registry.put(overrideRow(2501))
        await self.registry.put(overrideRow(2501, transport="tcp"))
        self.assertEqual(self.registry.overrides, {2501: overrideRow(2501, transport="tcp")})
        self.assertEqual(self.registry.nodes, {2501: nodeRow(2501)})
        await self.registry.put(PeerRow(2501, banned=True, timeout=60))
        await self.registry.put(PeerRow(2501, single=False))
        self.assertEqual(self.registry.peers, {2501: PeerRow(2501, single=False)})

    async def test_same(self) -> None:
        """
        Nobody is told of a row that is put again as it was.
        """
        for row in (nodeRow(2501), PeerRow(1, banned=False), SubscriptionRow(1, 2, 91)):
            await self.registry.put(row)
            changes = self.changesOf(self.registry)
            await self.registry.put(row)
            self.assertEqual(changes, [])

    async def test_unchanged(self) -> None:
        """
        The mapping of a table that has not changed is the one that was there before, so that who
        has made something of it need not do so again.
        """
        await self.registry.put(SubscriptionRow(1, 2, 91))
        before = self.registry.subscriptions
        await self.registry.put(PeerRow(1))
        await self.registry.put(SubscriptionRow(1, 2, 91))
        self.assertIs(self.registry.subscriptions, before)

    async def test_remove(self) -> None:
        """
        A row that was removed is in no mapping any more, and watchers are told; to remove it again
        is no error and no news.
        """
        await self.registry.put(nodeRow(2501))
        await self.registry.put(nodeRow(2502))
        changes = self.changesOf(self.registry)
        await self.registry.remove("nodes", 2501)
        self.assertEqual(self.registry.nodes, {2502: nodeRow(2502)})
        await self.registry.remove("nodes", 2501)
        self.assertEqual(changes, ["nodes"])

    async def test_removeSubscription(self) -> None:
        """
        Of the talkgroups of a peer each is removed by itself, and so is what is said of the peer.
        """
        rows = [SubscriptionRow(1, 1, 91), SubscriptionRow(1, 2, 91), SubscriptionRow(1, 2, 92)]
        await gatherResults(self.registry.put(row) for row in (PeerRow(1), *rows))
        await self.registry.remove("subscriptions", (1, 2, 91))
        self.assertEqual(self.registry.subscriptions.keys(), {(1, 1, 91), (1, 2, 92)})
        await self.registry.remove("peers", 1)
        await self.registry.remove("subscriptions", (2, 2, 91))
        self.assertEqual(self.registry.peers, {})
        self.assertEqual(self.registry.subscriptions.keys(), {(1, 1, 91), (1, 2, 92)})

    def test_misused(self) -> None:
        """
        To remove from a table that there is not, or by a key that no row can have, is an error of
        the caller, as is a second start.
        """
        self.assertRaises(ValueError, self.registry.remove, "nodez", 2501)
        for table, key in (
            ("nodes", 2**64),
            ("nodes", (2501, 1, 91)),
            ("peers", "1"),
            ("subscriptions", 2501),
            ("subscriptions", (2501, 1)),
            ("subscriptions", (2501, 1, None)),
        ):
            self.assertRaises(ValueError, self.registry.remove, table, key)
        self.assertRaises(RuntimeError, self.registry.start)

    async def test_extremes(self) -> None:
        """
        Rows come back as they went in, also at the ends of what their fields hold.
        """
        nodes = [
            nodeRow(1, port=1, boot=0, pid=1, seen=0.0),
            nodeRow(9_999_999, port=0xFFFF, boot=2**64 - 1, pid=2**22, seen=1.7e9 + 0.125),
            nodeRow(2501, boot=2**63, address="2001:db8::1", fingerprint="09af" * 16),
        ]
        overrides = [
            overrideRow(1, key=0, transport="auto", address="", port=0),
            overrideRow(2, key="", transport="vsock", address="3"),
            overrideRow(3, key="0", address="0xfe8000000000000050800200008e4d39", port=0xFFFF),
            overrideRow(4, key="'; DROP TABLE Nodes; --", address="кавказ.example"),
        ]
        peers = [
            PeerRow(1),
            PeerRow(2, "'; DROP TABLE Peers; --", True, True, 0, True),
            PeerRow(0xFFFFFFFF, "кавказ", False, False, 86_400, False),
            PeerRow(234567801, timeout=0.125),
            PeerRow(3, dial=True, autoStatic=False, holdOff=0, allowTalkgroups=""),
            PeerRow(4, dial=False, holdOff=3600, allowTalkgroups="91, 2600-2699; 262*, *"),
            PeerRow(5, autoStatic=True, holdOff=0.125, denyTalkgroups="9", translate=" "),
            PeerRow(6, translate='{there = 8, here = 26208, slot = 2}; {there=7,here="radio 1"}'),
            PeerRow(7, "own", denyTalkgroups=", ".join(map(str, range(1, 800)))),
        ]
        subscriptions = [
            SubscriptionRow(1, 1, 1),
            SubscriptionRow(0xFFFFFFFF, 2, 0xFFFFFE),
            SubscriptionRow(0xFFFFFFFF, 1, 0xFFFFFE),
        ]
        rows = (*nodes, *overrides, *peers, *subscriptions)
        await gatherResults(self.registry.put(row) for row in rows)
        other = await self.startRegistry()
        for registry in (self.registry, other):
            self.assertEqual(registry.nodes, {row.node: row for row in nodes})
            self.assertEqual(registry.overrides, {row.node: row for row in overrides})
            self.assertEqual(registry.overrides[1].key, 0)
            self.assertEqual(registry.peers, {row.peer: row for row in peers})
            self.assertIs(registry.peers[2].banned, True)
            self.assertIs(registry.peers[3].autoStatic, False)
            self.assertIs(registry.peers[0xFFFFFFFF].single, False)
            self.assertEqual(set(registry.subscriptions.values()), set(subscriptions))
            self.assertEqual(registry.badRows, ())

    def test_badRow(self) -> None:
        """
        A row that cannot be used is refused with every mistake by its field.
        """
        cases: list[tuple[Any, list[str]]] = [
            (nodeRow(0), ["node"]),
            (nodeRow(10_000_000), ["node"]),
            (nodeRow(True), ["node"]),
            (nodeRow(2501, port=0, boot=2**64), ["port", "boot"]),
            (nodeRow(2501, boot=-1, pid=0), ["boot", "pid"]),
            (nodeRow(2501, seen=float("nan")), ["seen"]),
            (nodeRow(2501, seen=float("inf"), address="a\0"), ["address", "seen"]),
            *((nodeRow(2501, fingerprint=one), ["fingerprint"]) for one in _NO_FINGERPRINTS),
            (overrideRow(-1, port=-1), ["node", "port"]),
            (overrideRow(2501, port=0x10000), ["port"]),
            (overrideRow(2501, key=1), ["key"]),
            (overrideRow(2501, key=None, address=None), ["key", "address"]),
            (overrideRow(2501, address="a" * 256), ["address"]),
            *((overrideRow(2501, transport=one), ["transport"]) for one in _NO_TRANSPORTS),
            (PeerRow(0), ["peer"]),
            (PeerRow(2**32, secret="", banned=cast(Any, 1)), ["peer", "secret", "banned"]),
            (PeerRow(1, secret=" "), ["secret"]),
            (PeerRow(1, secret=cast(Any, 5), timeout=-1), ["secret", "timeout"]),
            (PeerRow(1, timeout=86_401), ["timeout"]),
            (PeerRow(1, timeout=float("nan")), ["timeout"]),
            (PeerRow(1, timeout=True, options=cast(Any, "yes")), ["timeout", "options"]),
            (PeerRow(1, single=cast(Any, 0)), ["single"]),
            (PeerRow(1, dial=cast(Any, 1), autoStatic=cast(Any, "")), ["dial", "auto_static"]),
            (PeerRow(1, holdOff=3601), ["hold_off"]),
            (PeerRow(1, holdOff=float("nan")), ["hold_off"]),
            *((PeerRow(1, allowTalkgroups=one), ["allow_talkgroups"]) for one in _NO_TALKGROUPS),
            *((PeerRow(1, denyTalkgroups=one), ["deny_talkgroups"]) for one in _NO_TALKGROUPS),
            *((PeerRow(1, translate=one), ["translate"]) for one in _NO_RULES),
            (SubscriptionRow(0, 0, 0), ["peer", "slot", "talkgroup"]),
            (SubscriptionRow(1, 3, 0xFFFFFF), ["slot", "talkgroup"]),
            (SubscriptionRow(1, cast(Any, True), 4000), ["slot", "talkgroup"]),
            (SubscriptionRow(1, 2, 9990), ["talkgroup"]),
        ]
        for row, fields in cases:
            failure = self.failureResultOf(self.registry.put(row), ConfigurationError)
            self.assertEqual([one.place for one in failure.value.mistakes], fields, row)

    async def test_readOnly(self) -> None:
        """
        A mapping cannot be changed by its readers, and one that was taken before a change holds
        what it held.
        """
        before = self.registry.nodes
        await self.registry.put(nodeRow(2501))
        self.assertEqual(before, {})
        with self.assertRaises(TypeError):
            self.registry.nodes[2502] = nodeRow(2502)

    async def test_others(self) -> None:
        """
        What one registry writes or removes, another on the same store shows, and tells its
        watchers, within a second.
        """
        other = await self.startRegistry()
        changes = self.changesOf(other)
        await self.registry.put(overrideRow(2501))
        await self.until(lambda: other.overrides == {2501: overrideRow(2501)}, PROMPT)
        await self.registry.remove("overrides", 2501)
        await self.until(lambda: not other.overrides, PROMPT)
        await other.put(nodeRow(2502))
        await self.until(lambda: self.registry.nodes == {2502: nodeRow(2502)}, PROMPT)
        self.assertEqual(changes, ["overrides", "overrides", "nodes"])

    async def test_othersPeers(self) -> None:
        """
        The same goes for what is said of hotspots.
        """
        other = await self.startRegistry()
        changes = self.changesOf(other)
        await self.registry.put(PeerRow(1, banned=True))
        await self.until(lambda: other.peers == {1: PeerRow(1, banned=True)}, PROMPT)
        await self.registry.put(SubscriptionRow(1, 2, 91))
        await self.until(lambda: list(other.subscriptions) == [(1, 2, 91)], PROMPT)
        await self.registry.remove("peers", 1)
        await self.until(lambda: not other.peers, PROMPT)
        await self.registry.remove("subscriptions", (1, 2, 91))
        await self.until(lambda: not other.subscriptions, PROMPT)
        self.assertEqual(changes, ["peers", "subscriptions", "peers", "subscriptions"])

    async def test_watcherFails(self) -> None:
        """
        A watcher that raises is logged, and takes nothing from the others or from the writer.
        """

        def failing(table: str) -> None:
            raise ZeroDivisionError(table)

        self.registry.watch(failing)
        changes = self.changesOf(self.registry)
        await self.registry.put(nodeRow(2501))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(changes, ["nodes"])
        self.assertTrue(self.registry.available)

    async def test_watchEnds(self) -> None:
        """
        A watch that has ended is told nothing more, even when a watcher before it has ended it in
        that moment; the same callable may watch twice, and each watch ends alone.
        """
        told: list[str] = []
        ends: list[Callable[[], None]] = []
        self.registry.watch(lambda table: ends[0]())
        ends.append(self.registry.watch(told.append))
        self.registry.watch(told.append)
        await self.registry.put(nodeRow(2501))
        ends[0]()
        await self.registry.put(nodeRow(2502))
        self.assertEqual(told, ["nodes", "nodes"])

    async def test_manyWrites(self) -> None:
        """
        Of two times 200 writes that two registries make at once none is lost.
        """
        other = await self.startRegistry()
        mine = {node: overrideRow(node) for node in range(1000, 1200)}
        theirs = {node: overrideRow(node, transport="tcp") for node in range(1200, 1400)}
        puts = [
            registry.put(row)
            for pair in zip(mine.values(), theirs.values(), strict=True)
            for registry, row in zip((self.registry, other), pair, strict=True)
        ]
        await gatherResults(puts)
        both = (self.registry, other)
        await self.until(lambda: all(one.overrides == {**mine, **theirs} for one in both), PROMPT)

    async def test_order(self) -> None:
        """
        Of writes to one row the last one stays.
        """
        puts = [self.registry.put(nodeRow(2501, pid=pid)) for pid in range(1, 50)]
        await gatherResults([*puts, self.registry.remove("nodes", 2502)])
        self.assertEqual(self.registry.nodes, {2501: nodeRow(2501, pid=49)})

    async def test_restart(self) -> None:
        """
        What was written is there after all registries have stopped.
        """
        await self.registry.put(nodeRow(2501, boot=2**64 - 1))
        await self.registry.put(overrideRow(2502, key=0))
        await self.registry.put(PeerRow(1, banned=True))
        await self.registry.put(SubscriptionRow(1, 2, 91))
        await self.registry.stop()
        registry = await self.startRegistry()
        self.assertEqual(registry.nodes, {2501: nodeRow(2501, boot=2**64 - 1)})
        self.assertEqual(registry.overrides, {2502: overrideRow(2502, key=0)})
        self.assertEqual(registry.peers, {1: PeerRow(1, banned=True)})
        self.assertEqual(list(registry.subscriptions), [(1, 2, 91)])

    async def test_stopWhileWriting(self) -> None:
        """
        A write that was asked for before C{stop} is made, and answered before it has stopped.
        """
        put: Deferred[None] = self.registry.put(nodeRow(2501))
        await self.registry.stop()
        self.assertTrue(put.called)
        await put
        registry = await self.startRegistry()
        self.assertEqual(registry.nodes, {2501: nodeRow(2501)})

    async def test_stopWhileStarting(self) -> None:
        """
        A registry may be stopped before it has started; both Deferreds fire.
        """
        registry = self.makeRegistry()
        started = registry.start()
        await registry.stop()
        await started
        self.assertFalse(registry.available)

    async def test_stopped(self) -> None:
        """
        A registry that has stopped keeps its rows for its readers, is not available and refuses to
        write; to stop it again is no error.
        """
        await self.registry.put(nodeRow(2501))
        await gatherResults([self.registry.stop(), self.registry.stop()])
        await self.registry.stop()
        self.assertEqual(self.registry.nodes, {2501: nodeRow(2501)})
        self.assertFalse(self.registry.available)
        self.failureResultOf(self.registry.put(nodeRow(2502)), RegistryUnavailable)
        self.failureResultOf(self.registry.remove("nodes", 2501), RegistryUnavailable)

    async def test_startedAgain(self) -> None:
        """
        A registry that has stopped may be started again, with what has changed meanwhile; it tells
        of that, and writes.
        """
        registry = await self.startRegistry()
        await registry.stop()
        await self.registry.put(nodeRow(2501))
        changes = self.changesOf(registry)
        await registry.start()
        self.addCleanup(registry.stop)
        self.assertTrue(registry.available)
        self.assertEqual((registry.nodes, changes), ({2501: nodeRow(2501)}, ["nodes"]))
        await registry.put(nodeRow(2502))
        await self.until(lambda: self.registry.nodes.keys() == {2501, 2502}, PROMPT)
        self.assertRaises(RuntimeError, registry.start)

    async def test_age(self) -> None:
        """
        Rows are known to be current again and again although nothing changes.
        """
        start = self.reactor.seconds()
        await self.until(lambda: self.registry.age < self.reactor.seconds() - start, PROMPT)


_NO_TALKGROUPS: Final[tuple[Any, ...]] = (
    *("x", "0", "91,", "91 92", "9-1", "91-", "16777215", "99999999*", "91\n", "1," * 2048 + "1"),
    *(91, [91]),
)
_NO_RULES: Final[tuple[Any, ...]] = (
    *("8", "there = 8, here = 9", "{}", "{there = 8}", "{there = 8, here = 0}", "{there = 8, here"),
    *("{there = 8, here = 9} {there = 7, here = 6}", "{there = 8, here = 9},", "{there: 8}"),
    *(
        "{there = 8, here = 9, slot = 3}",
        "{there = 8, here = 9, where = 1}",
        "{there = 8, here = {}}",
    ),
    *("{there = 8,\nhere = 9}", "{there = 'radio', here = 9}", 8),
)
_NO_FINGERPRINTS: Final = ("ab", "AB" * 32, "ab" * 32 + "\n", "ab:" * 32, 3, None)
_NO_TRANSPORTS: Final = ("", "UDP", "2udp", "-udp", "ud p", "udp\n", "ud\u0440", "u" * 33, 3, None)
