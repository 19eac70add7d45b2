"""
Tests of C{bmff.transports.rdma}, on a device that is not there: L{tests.transports.rdmafake}.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet import reactor as anyReactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase, TestCase

from bmff.errors import TransportUnavailable
from bmff.ibmff import TransportSettings
from bmff.sockets.addresses import packAddress
from bmff.testing.transports import Door, Inbox, TransportCase, TransportContract
from bmff.transports import rdma, rdmaidentifier, rdmaverbs
from bmff.transports.rdmaaddress import sockaddrOf
from bmff.transports.rdmaconnection import RDMAConnection
from bmff.transports.rdmahello import Hello, encodeRefusal
from bmff.transports.rdmaidentifier import Happening, Identifier
from bmff.transports.rdmamessages import END, GOODBYE, HEADER, MORE, ROOM
from bmff.transports.rdmapool import SLOT_SIZE
from bmff.transports.rdmaqueue import RECEIVES, SENDS, QueuePair
from bmff.transports.rdmaverbs import ADDR_CHANGE, openVerbs
from tests.transports.names import NamedReactor
from tests.transports.rdmafake import HOST, FakeVerbs

reactor: Any = anyReactor  # mypy does not know which reactor there is


class FakeCase(TransportCase):
    """
    Nodes that share a device.
    """

    reactor: Any = reactor
    address = HOST

    def setUp(self) -> None:
        """
        A device that nobody uses.
        """
        self.verbs = FakeVerbs()
        super().setUp()

    async def finish(self) -> None:
        """
        All that the device gave was given back, in the right order.
        """
        await super().finish()
        self.assertEqual(self.verbs.left, [])
        self.verbs.close()

    def makeTransport(self, port: int) -> Any:
        """
        @see: L{TransportCase.makeTransport}
        """
        verbs: Any = self.verbs
        return rdma.RDMATransport(reactor, TransportSettings(port), verbs, Path(self.mktemp()))


class RDMATests(FakeCase, TransportContract, TestCase):
    """
    RDMA keeps the contract.
    """


class Raw:
    """
    An end that does as a test says.

    @ivar rows: what has completed.
    """

    def __init__(self, identifier: Identifier, queue: QueuePair) -> None:
        self.identifier = identifier
        self.queue = queue

    def send(self, message: bytes, size: int | None = None) -> None:
        """
        Send these bytes as they are.

        @param size: how many, if not all.
        """
        queue: Any = self.queue
        queue.write(END, 0, bytes(max(0, len(message) - HEADER.size)))
        slot = queue.sent % SENDS
        start = (RECEIVES + slot) * SLOT_SIZE
        queue.memory[start : start + len(message)] = message
        queue._segments[slot].length = len(message) if size is None else size
        queue.send()

    def close(self) -> None:
        """
        Be gone, without a word.
        """
        self.queue.close()
        self.identifier.close()


class RDMAConnectionTests(FakeCase, TestCase):
    """
    What RDMA promises beside the contract.
    """

    def client(self) -> Any:
        """
        A transport whose parts a test uses by itself.
        """
        return self.make(0)

    async def lost(self, inbox: Inbox) -> None:
        """
        Wait until a connection is lost.
        """
        await self.until(lambda: inbox.lost)

    async def asking(self, client: Any, hello: bytes) -> Raw:
        """
        Connect to the second node, without a connection of ours.

        @raise TransportUnavailable: it refuses.
        """
        identifier = Identifier(client._channel)
        queue: Any = None
        try:
            sockaddr = sockaddrOf(packAddress(HOST, self.ports[1]))
            await self.result(Deferred.fromCoroutine(identifier.resolve(sockaddr)))
            queue = client._queueFor(identifier)
            await self.result(Deferred.fromCoroutine(identifier.connect(hello)))
        except TransportUnavailable:
            if queue is not None:
                queue.close()
            identifier.close()
            raise
        raw = Raw(identifier, queue)
        self.addCleanup(raw.close)
        return raw

    async def rawPair(self) -> tuple[Raw, Any, Inbox]:
        """
        Such an end, known to the second node: it, and the node's path and receiver.
        """
        _, door = self.listening(1)
        raw = await self.asking(self.client(), Hello(RECEIVES, SLOT_SIZE).encode())
        raw.send(HEADER.pack(END, 0, 0) + b"hello")
        await self.until(lambda: door.opened)
        return raw, *door.opened[0]

    async def test_impossible(self) -> None:
        """
        A message that cannot be ends the connection with the reason.
        """
        long = HEADER.pack(MORE, 0, 0) + bytes(SLOT_SIZE - HEADER.size)
        for messages, reason in (
            ([b"abc"], "a message without a header"),
            ([HEADER.pack(9, 0, 0)], "a message of unknown kind"),
            ([HEADER.pack(END, 0, 0)], "a packet of impossible length"),
            ([HEADER.pack(MORE, 0, 0)], "a packet of impossible length"),
            ([HEADER.pack(ROOM, 0, 0) + b"x"], "a message with something behind it"),
            ([HEADER.pack(GOODBYE, 0, 0) + b"x"], "a message with something behind it"),
            ([HEADER.pack(ROOM, 0, 3)], "room for messages that were not sent"),
            ([long] * 17, "a packet of impossible length"),
        ):
            raw, _, inbox = await self.rawPair()
            for message in messages:
                raw.send(message)
            await self.lost(inbox)
            self.assertEqual((inbox.lost, inbox.packets), ([reason], []))
            await self.result(self._transports[-2].stopListening())

    async def test_goodbye(self) -> None:
        """
        An end that says good-bye has closed, and what it says behind that is not heard.
        """
        raw, path, inbox = await self.rawPair()
        raw.send(HEADER.pack(END, 0, 0) + b"last")
        raw.send(HEADER.pack(GOODBYE, 0, 0))
        raw.send(HEADER.pack(END, 0, 0) + b"never")
        await self.until(lambda: inbox.lost)
        self.assertEqual((inbox.packets, inbox.lost), ([b"last"], ["closed by the other end"]))
        self.assertFalse(path.sendPacket(b"packet"))

    async def test_gone(self) -> None:
        """
        What an end has sent before it died is heard, and then that it is gone.
        """
        raw, _, inbox = await self.rawPair()
        for number in range(50):
            raw.send(HEADER.pack(END, 0, 0) + b"%d" % number)
        raw.close()
        await self.until(lambda: inbox.lost)
        self.assertEqual(inbox.packets, [b"%d" % number for number in range(50)])
        await self.quiet()
        self.assertEqual(len(inbox.lost), 1)

    async def test_stops(self) -> None:
        """
        To an end that takes nothing any more a packet is refused once its room is used up; when it
        goes on all that was taken arrives, in order, and the sender is told.
        """
        path, inbox, other, otherInbox = await self.pair()
        end: Any = other
        reactor.removeReader(end)
        taken = 0
        while path.sendPacket(b"%d" % taken):
            taken += 1
            self.assertLess(taken, RECEIVES)
        self.assertGreater(taken, RECEIVES // 2)
        await self.quiet()
        self.assertFalse(path.sendPacket(bytes(0xFFFF)))
        self.assertEqual((inbox.writables, inbox.lost, otherInbox.packets), (0, [], []))
        reactor.addReader(end)
        await self.until(lambda: inbox.writables)
        self.assertTrue(path.sendPacket(bytes(0xFFFF)))
        await self.received(otherInbox, taken + 1)
        self.assertEqual(otherInbox.packets[:-1], [b"%d" % number for number in range(taken)])

    async def test_closeToStopped(self) -> None:
        """
        An end that closes gives everything back soon, even if the other takes nothing.
        """
        path, inbox, other, otherInbox = await self.pair()
        end: Any = other
        reactor.removeReader(end)
        while path.sendPacket(b"packet"):
            pass
        self.patch(RDMAConnection, "_tell", lambda *_: False)  # not even room for a good-bye
        path.loseConnection()
        await self.until(lambda: inbox.lost)
        begun = reactor.seconds()
        closed: Any = path
        await self.until(lambda: closed.fileno() < 0)
        self.assertGreater(reactor.seconds() - begun, 0.5)
        await self.until(lambda: otherInbox.lost)
        self.assertEqual(set(otherInbox.packets), {b"packet"})

    async def test_bothTalk(self) -> None:
        """
        Two ends that both send all that they may never wait for each other.
        """
        path, inbox, other, otherInbox = await self.pair()
        sent = [0, 0]
        for _ in range(300):
            for place, end in enumerate((path, other)):
                while end.sendPacket(bytes(100 + place)):
                    sent[place] += 1
            await self.quiet()
            if min(sent) > 3000:
                break
        self.assertGreater(min(sent), 3000)
        await self.received(otherInbox, sent[0])
        await self.received(inbox, sent[1])
        self.assertEqual((inbox.lost, otherInbox.lost), ([], []))

    async def test_quietWhenIdle(self) -> None:
        """
        Room is told along with packets, and by itself only after many: two ends do not answer each
        other's messages for ever.
        """
        path, inbox, _, otherInbox = await self.pair()
        for _ in range(10):
            for _ in range(20):
                path.sendPacket(b"packet")
            await self.quiet()
        await self.received(otherInbox, 200)
        await self.quiet()
        count = len(self.verbs.handed)
        self.assertLess(count, 201 + 200 // (RECEIVES // 2) + 2)
        await self.quiet()
        self.assertEqual((len(self.verbs.handed), inbox.packets), (count, []))

    async def test_room(self) -> None:
        """
        A message that meets no room ends the connection with the device's own reason.
        """
        path, inbox, other, _ = await self.pair()
        end: Any = other
        reactor.removeReader(end)
        cheat: Any = path
        while path.sendPacket(b"packet"):
            pass
        await self.quiet()
        cheat._credits.taken += 10
        while path.sendPacket(b"packet"):
            pass
        await self.until(lambda: inbox.lost)
        self.assertEqual(inbox.lost, ["RNR retry counter exceeded"])

    async def test_events(self) -> None:
        """
        A device that has another address ends its connections with that reason.
        """
        path, inbox, _, _ = await self.pair()
        connection: Any = path
        address = connection._identifier.address
        connection._identifier.happened(Happening(ADDR_CHANGE, 0, b"", address, 0))
        await self.until(lambda: inbox.lost)
        self.assertEqual(inbox.lost, ["the device has another address now"])

    async def test_removed(self) -> None:
        """
        A device that is taken away ends its connections with that reason and is not kept; who
        listened at its address does so again when it is back.
        """
        self.patch(rdma, "RETURN_TIME", 0.02)
        listening = self.listenAt(HOST)
        door = Door()
        listening.listen(door)
        transport = self.make(0)
        _, inbox = await self.connect(transport, 2)
        await self.until(lambda: listening.strangers)
        self.assertTrue(self.verbs.open)
        self.verbs.remove()
        await self.lost(inbox)
        self.assertEqual(inbox.lost, ["the RDMA device was removed"])
        await self.until(lambda: not self.verbs.open)
        await self.unavailable(transport.connect(HOST, self.ports[2], Inbox()))
        self.verbs.removed = False
        await self.until(lambda: listening._listeners)
        path, _ = await self.connect(transport, 2)
        path.sendPacket(b"packet")
        await self.until(lambda: door.opened)

    async def test_removedWhenIdle(self) -> None:
        """
        A device that nobody has a connection on any more is let go as well.
        """
        path, inbox, _, _ = await self.pair()
        path.loseConnection()
        await self.lost(inbox)
        await self.quiet()
        self.assertTrue(self.verbs.open)
        self.verbs.remove()
        await self.until(lambda: not self.verbs.open)

    async def test_broken(self) -> None:
        """
        A device that refuses to send, to receive or to wake ends the connection with its reason.
        """
        for name, act in (
            ("postSend", lambda path, other: path.sendPacket(b"packet")),
            ("postReceive", lambda path, other: other.sendPacket(b"packet")),
            ("requestNotify", lambda path, other: other.sendPacket(b"packet")),
        ):
            path, inbox, other, _ = await self.pair()
            await self.quiet()
            self.verbs.refuses[name] = errno.EIO
            act(path, other)
            await self.lost(inbox)
            self.verbs.refuses.clear()
            self.assertEqual(inbox.lost, ["Input/output error"])
            for transport in self._transports[-2:]:
                await self.result(transport.stopListening())

    async def test_refused(self) -> None:
        """
        Who connects without our hello, or with too little room, is refused with the reason.
        """
        transport, door = self.listening(1)
        client = self.client()
        for hello, reason in (
            (b"GET / HTTP/1.1\r\n\r\n", "no hello"),
            (Hello(4, 4096).encode(), "too little room for a packet"),
        ):
            try:
                await self.asking(client, hello)
            except TransportUnavailable as error:
                self.assertEqual(error.reason, f"refused: {reason}")
            else:
                self.fail("there is a connection")
        self.assertEqual((door.strays, transport.refused), ([], 2))  # type: ignore[attr-defined]

    async def test_refuses(self) -> None:
        """
        Who is refused hears the reason; who is answered by something else says so.
        """
        transport, client = self.make(1), self.client()

        def refuse(child: Identifier) -> None:
            child.reject(encodeRefusal("full today"))

        def answer(child: Identifier) -> None:
            queue = client._queueFor(child)
            child.accept(b"welcome")
            queue.close()
            child.close()

        act: Callable[[Identifier], None] = refuse

        def asked(happening: Happening) -> None:
            act(Identifier(client._channel, happening.identifier))

        listener = Identifier(client._channel)
        listener.watcher = asked
        listener.listen(sockaddrOf(packAddress(HOST, self.ports[2])), only=False)
        self.addCleanup(listener.close)
        reason = await self.unavailable(transport.connect(HOST, self.ports[2], Inbox()))
        self.assertEqual(reason, f"{HOST}:{self.ports[2]}: refused: full today")
        act = answer
        reason = await self.unavailable(transport.connect(HOST, self.ports[2], Inbox()))
        self.assertEqual(reason, f"{HOST}:{self.ports[2]}: no hello")

    async def test_noMemory(self) -> None:
        """
        Where memory may not be locked the attempt fails with advice, at either end, and nothing is
        left of it; the next one succeeds.
        """
        transport, _ = self.listening(0)
        self.listening(1)
        for name in ("ibv_reg_mr", "ibv_create_comp_channel", "ibv_create_cq", "rdma_create_qp"):
            self.verbs.refuses[name] = errno.ENOMEM
            reason = await self.unavailable(transport.connect(HOST, self.ports[1], Inbox()))
            self.assertIn("ulimit -l", reason)
        self.verbs.refuses = {"rdma_accept": errno.ENOMEM}
        reason = await self.unavailable(transport.connect(HOST, self.ports[1], Inbox()))
        self.assertIn("refused: ", reason)
        self.assertIn("ulimit -l", reason)
        self.verbs.refuses.clear()
        await self.connect(transport)

    async def test_noAnswer(self) -> None:
        """
        To one who never answers the attempt ends after a while, with the reason.
        """
        transport, client = self.make(1), self.client()
        children: list[Identifier] = []

        def asked(happening: Happening) -> None:
            children.append(Identifier(client._channel, happening.identifier))

        listener = Identifier(client._channel)
        listener.watcher = asked
        listener.listen(sockaddrOf(packAddress(HOST, self.ports[2])), only=False)
        self.patch(rdmaidentifier, "CONNECT_TIME", 0.05)
        reason = await self.unavailable(transport.connect(HOST, self.ports[2], Inbox()))
        self.assertIn("no answer in 0.05 s", reason)
        children[0].close()
        listener.close()

    async def test_name(self) -> None:
        """
        A host name is looked up by the reactor, and its addresses are tried until one answers.
        """
        _, door = self.listening(1)
        naming: Any = NamedReactor({"home": ["192.0.2.7", HOST]})
        verbs: Any = self.verbs
        transport = rdma.RDMATransport(naming, TransportSettings(self.ports[0]), verbs)
        self._transports.append(transport)
        path = await self.result(transport.connect("home", self.ports[1], Inbox()))
        path.sendPacket(b"packet")
        await self.until(lambda: door.opened)
        self.assertEqual(path.remote, f"{HOST}:{self.ports[1]}")

    async def test_gid(self) -> None:
        """
        A GID that stands for an IPv4 address reaches it; one that stands for nobody's says what it
        was taken for.
        """
        transport, _ = self.listening(0)
        self.listening(1)
        gid = "0x" + "0" * 20 + "ffffc0000201"
        await self.result(transport.connect(gid, self.ports[1], Inbox()))
        gid = "0x20010db8" + "0" * 23 + "1"
        reason = await self.unavailable(transport.connect(gid, self.ports[1], Inbox()))
        self.assertIn("[2001:db8::1]", reason)
        self.assertIn("No route to host", reason)
        self.assertIn("AF_IB", reason)

    async def test_strangers(self) -> None:
        """
        There are never more than so many strangers: the oldest makes room for the newest.
        """
        self.patch(rdma, "MOST_STRANGERS", 3)
        transport, _ = self.listening(0)
        host, _ = self.listening(1, opens=False)
        inboxes = []
        for _ in range(5):
            _, inbox = await self.connect(transport)
            inboxes.append(inbox)
        await self.until(lambda: inboxes[1].lost)
        await self.quiet()
        self.assertEqual([len(inbox.lost) for inbox in inboxes], [1, 1, 0, 0, 0])
        master: Any = host
        self.assertEqual((len(master.strangers), master.strangersDropped), (3, 2))

    def listenAt(self, *hosts: str) -> Any:
        """
        A transport for these hosts.
        """
        verbs: Any = self.verbs
        transport = rdma.RDMATransport(reactor, TransportSettings(self.ports[2], hosts), verbs)
        self._transports.append(transport)
        return transport

    def test_hosts(self) -> None:
        """
        A transport listens where there is a device, and says so where there is none.
        """
        self.listenAt("127.0.0.1", HOST).listen(Door())
        for hosts, reason in (
            (("127.0.0.1", "::1"), "cannot listen on ::1"),
            ((), "no host"),
            ((HOST,), "Address already in use"),
            (("home",), "'home' is not a numeric address"),
        ):
            error = self.assertRaises(TransportUnavailable, self.listenAt(*hosts).listen, Door())
            self.assertIn(reason, error.reason)

    async def test_stopped(self) -> None:
        """
        Once it has stopped a transport does not listen any more.
        """
        transport = self.make()
        await self.result(transport.stopListening())
        self.assertRaises(TransportUnavailable, transport.listen, Door())

    async def test_reactorStops(self) -> None:
        """
        When the reactor lets go of a connection everything is given back at once.
        """
        path, inbox, _, _ = await self.pair()
        end: Any = path
        end.connectionLost(None)
        self.assertEqual(inbox.lost, ["closed here"])
        self.assertEqual(end.fileno(), -1)
        end.connectionLost(None)
        self.assertEqual(len(inbox.lost), 1)


class UnavailableTests(SynchronousTestCase):
    """
    L{openVerbs} and L{rdma.make} say why there is no RDMA.
    """

    def reasonFor(self, loaded: Callable[[], Any]) -> str:
        """
        The reason, where the libraries are these.
        """
        self.patch(rdmaverbs, "_loaded", loaded)
        settings = TransportSettings(54000)
        error = self.assertRaises(TransportUnavailable, rdma.make, reactor, settings)
        return str(error.reason)

    def test_libraries(self) -> None:
        """
        The libraries are missing.
        """

        def missing() -> Any:
            raise OSError("librdmacm.so.1: cannot open shared object file")

        self.assertIn("librdmacm.so.1", self.reasonFor(missing))

    def test_devices(self) -> None:
        """
        There is no device, the kernel knows nothing of RDMA, or this user may not use it.
        """

        class Host(FakeVerbs):
            number = 0
            error = 0

            def devices(self) -> int:
                if self.error:
                    raise OSError(self.error, "")
                return self.number

        host = Host()
        self.addCleanup(host.close)
        self.assertEqual(self.reasonFor(lambda: host), "no RDMA device")
        for host.error in (errno.ENOSYS, errno.ENODEV):
            self.assertEqual(self.reasonFor(lambda: host), "no RDMA device")
        host.error, host.number = 0, 1
        host.refuses["rdma_create_event_channel"] = errno.EACCES
        self.assertIn("no permission", self.reasonFor(lambda: host))
        host.refuses["rdma_create_event_channel"] = errno.EIO
        self.assertIn("Input/output", self.reasonFor(lambda: host))

    def test_here(self) -> None:
        """
        The libraries of this host, if it has any, are asked, and there is an answer either way.
        """
        try:
            verbs = openVerbs()
        except TransportUnavailable as error:
            self.assertTrue(error.reason)
        else:
            self.assertGreater(verbs.devices(), 0)
