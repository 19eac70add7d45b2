"""
Tests of the parts of the RDMA transport that need no device: addresses, hello, credits, messages,
and the layout of what is shared with C.
"""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path
from unittest import SkipTest

from hypothesis import given
from hypothesis.strategies import binary, integers, lists, sampled_from
from twisted.trial.unittest import SynchronousTestCase

from bmff.errors import ProtocolError, TransportUnavailable
from bmff.sockets.addresses import packAddress
from bmff.testing.requirements import requires
from bmff.transports import rdmaverbs
from bmff.transports.rdmaaddress import hostOf, interfaces, keyOf, sockaddrOf
from bmff.transports.rdmaconnection import partSize
from bmff.transports.rdmacredits import RESERVE, Credits
from bmff.transports.rdmahello import (
    LARGEST_REASON,
    Hello,
    decodeHello,
    decodeRefusal,
    encodeRefusal,
)
from bmff.transports.rdmaidentifier import Happening
from bmff.transports.rdmamessages import END, LARGEST, MORE, Assembly
from bmff.transports.rdmaverbs import (
    ADDR_ERROR,
    CONNECT_ERROR,
    REJECTED,
    ROUTE_ERROR,
    UNREACHABLE,
)

LINK_LOCAL = "0xfe8000000000000050800200008e4d39"


class AddressTests(SynchronousTestCase):
    """
    L{hostOf} knows what an operator writes.
    """

    def devices(self, layer: str = "Ethernet", *names: str) -> Path:
        """
        A folder as the kernel shows its devices, with one whose interfaces are these.
        """
        folder = Path(self.mktemp())
        port = folder / "rxe0" / "ports" / "1"
        (port / "gid_attrs" / "ndevs").mkdir(parents=True)
        (port / "link_layer").write_text(f"{layer}\n")
        for row, name in enumerate(names):
            (port / "gid_attrs" / "ndevs" / str(row)).write_text(f"{name}\n")
        (port / "gid_attrs" / "ndevs" / "99").mkdir()  # cannot be read, as an empty row
        return folder

    def test_plain(self) -> None:
        """
        A host name and a numeric address stay what they are.
        """
        for host in ("node.example", "192.0.2.1", "2001:db8::1", "fe80::1%eth0"):
            self.assertEqual(hostOf(host, self.devices()), host)

    def test_gid(self) -> None:
        """
        A GID is the address that it stands for.
        """
        devices = self.devices("Ethernet", "eth4")
        for gid, host in (
            ("0x" + "0" * 20 + "ffff0a630001", "10.99.0.1"),
            ("0X20010DB8" + "0" * 23 + "1", "2001:db8::1"),
            (LINK_LOCAL, "fe80::5080:200:8e:4d39%eth4"),
            (LINK_LOCAL + "%eth7", "fe80::5080:200:8e:4d39%eth7"),
        ):
            self.assertEqual(hostOf(gid, devices), host)

    def test_infiniband(self) -> None:
        """
        On InfiniBand a link-local GID is the port's, whose interface has an address made from it.
        """
        devices = self.devices("InfiniBand")
        (devices / "rxe0" / "device" / "net" / "ib0").mkdir(parents=True)
        self.assertEqual(list(interfaces(devices)), ["ib0"])
        self.assertEqual(hostOf(LINK_LOCAL, devices), "fe80::5280:200:8e:4d39%ib0")

    def test_refused(self) -> None:
        """
        What is no GID is refused, and a link-local one whose interface cannot be told.
        """
        for address, names, reason in (
            ("", (), "no address"),
            ("0x1234", (), "0x1234 is not a GID"),
            ("0x" + "g" * 32, (), "is not a GID"),
            (LINK_LOCAL + "00", (), "is not a GID"),
            (LINK_LOCAL, (), "RDMA interfaces here: none"),
            (LINK_LOCAL, ("b", "a", "b"), "RDMA interfaces here: a, b"),
        ):
            devices = self.devices("Ethernet", *names)
            error = self.assertRaises(TransportUnavailable, hostOf, address, devices)
            self.assertIn(reason, error.reason)

    def test_sockaddr(self) -> None:
        """
        A key is what the C{sockaddr} made of it gives.
        """
        for host in ("192.0.2.1", "2001:db8::1", "fe80::1%1"):
            key = packAddress(host, 54000)
            self.assertEqual(keyOf(sockaddrOf(key)), key)
            self.assertEqual(len(sockaddrOf(key)), 28)


class HelloTests(SynchronousTestCase):
    """
    Private data is padded by the network, and comes from anybody.
    """

    @given(integers(1, 4096), integers(256, 1 << 20), sampled_from((0, 1, 44, 184)))
    def test_roundTrip(self, receives: int, size: int, padding: int) -> None:
        """
        A hello is the same after the network has padded it.
        """
        hello = Hello(receives, size)
        self.assertLessEqual(len(hello.encode()), 56)
        self.assertEqual(decodeHello(hello.encode() + bytes(padding)), hello)

    def test_later(self) -> None:
        """
        What a later version has added is passed over.
        """
        data = bytearray(Hello(64, 4096).encode() + b"more")
        data[4] = len(data)
        self.assertEqual(decodeHello(bytes(data) + bytes(20)), Hello(64, 4096))

    def test_refused(self) -> None:
        """
        What is no hello of ours is refused with the reason.
        """
        good = Hello(64, 4096).encode()
        for data, reason in (
            (b"", "no hello"),
            (good[:-1], "no hello"),
            (b"BMFF" + good[4:], "no hello"),
            (good[:5] + b"\2" + good[6:], "a hello of another version"),
            (good[:4] + b"\x0b" + good[5:], "a hello of a wrong length"),
            (good[:4] + b"\xff" + good[5:], "a hello of a wrong length"),
            (Hello(0, 4096).encode(), "a hello with impossible numbers"),
            (Hello(4097, 4096).encode(), "a hello with impossible numbers"),
            (Hello(64, 255).encode(), "a hello with impossible numbers"),
            (Hello(64, (1 << 20) + 1).encode(), "a hello with impossible numbers"),
        ):
            error = self.assertRaises(ProtocolError, decodeHello, data)
            self.assertEqual(error.reason, reason)

    @given(binary(max_size=60))
    def test_anything(self, data: bytes) -> None:
        """
        Any bytes are a hello or a L{ProtocolError}, and a refusal or none.
        """
        for each in (data, b"bmFF" + data):
            try:
                self.assertGreater(decodeHello(each).receives, 0)
            except ProtocolError as error:
                self.assertTrue(error.reason)
            self.assertTrue(decodeRefusal(each).isprintable())

    def test_refusal(self) -> None:
        """
        A refusal carries its reason, cut where the network has no more room, on one line.
        """
        self.assertEqual(decodeRefusal(encodeRefusal("too busy").ljust(148, b"\0")), "too busy")
        self.assertLessEqual(len(encodeRefusal("x" * 200)), 148)
        self.assertEqual(decodeRefusal(encodeRefusal("é" * 200)), "é" * (LARGEST_REASON // 2))
        self.assertEqual(decodeRefusal(encodeRefusal("a\nb")), "a?b")

    def test_room(self) -> None:
        """
        An end that the largest packet does not fit into is refused.
        """
        self.assertEqual(partSize(Hello(64, 4096)), 4092)
        self.assertEqual(partSize(Hello(64, 1 << 20)), 4092)
        self.assertEqual(partSize(Hello(19, 4096)), 4092)
        for hello in (Hello(18, 4096), Hello(64, 1024), Hello(1, 1 << 20)):
            self.assertRaises(ProtocolError, partSize, hello)

    def test_reasons(self) -> None:
        """
        What has happened is said in words.
        """
        for kind, status, data, reason in (
            (REJECTED, 8, b"", "nobody listens there"),
            (REJECTED, -111, b"", "nobody listens there"),
            (REJECTED, 28, b"", "refused: 28"),
            (REJECTED, 28, encodeRefusal("full") + bytes(9), "refused: full"),
            (UNREACHABLE, -110, b"", "no answer: Connection timed out"),
            (ADDR_ERROR, -113, b"", "no way to the address: No route to host"),
            (ROUTE_ERROR, 0, b"", "no route"),
            (CONNECT_ERROR, 0, b"", "the connection failed"),
        ):
            self.assertEqual(Happening(kind, status, data, 0, 0).reason, reason)


class CreditsTests(SynchronousTestCase):
    """
    An end never sends what the other has no room for.
    """

    def test_counts(self) -> None:
        """
        Room is what was granted less what is on its way, and a part of it is for control alone.
        """
        credits = Credits(10, 8)
        self.assertEqual((credits.room, credits.controlRoom), (10 - RESERVE, 10))
        for _ in range(8):
            self.assertEqual(credits.report(), 0)
        self.assertEqual((credits.room, credits.controlRoom), (0, 2))
        credits.reported(5)
        credits.reported(5)
        self.assertEqual((credits.room, credits.controlRoom), (5, 7))
        error = self.assertRaises(ProtocolError, credits.reported, 9)
        self.assertEqual(error.reason, "room for messages that were not sent")
        self.assertRaises(ProtocolError, credits.reported, 4)

    def test_due(self) -> None:
        """
        The other end is told by itself of half of the room, and not of the same twice.
        """
        credits = Credits(10, 8)
        credits.returned = 3
        self.assertFalse(credits.due)
        credits.returned = 4
        self.assertTrue(credits.due)
        self.assertEqual(credits.report(), 4)
        self.assertFalse(credits.due)

    def test_wraps(self) -> None:
        """
        Counts go on beyond what fits into their two bytes.
        """
        credits = Credits(64, 64)
        for number in range(1, 70000):
            credits.returned = number
            self.assertEqual(credits.report(), number & 0xFFFF)
            credits.reported(number & 0xFFFF)
        self.assertEqual(credits.room, 64 - RESERVE)

    @given(lists(integers(0, 3), min_size=50, max_size=400), integers(19, 64))
    def test_noDeadlock(self, steps: list[int], room: int) -> None:
        """
        Whatever order two ends send, and take what has come, in: nobody has more on the way than
        there is room, and once both have taken all, both may send again.
        """
        ends = [Credits(room, room), Credits(room, room)]
        ways: list[list[int]] = [[], []]  # to each

        def take(place: int) -> None:
            here = ends[place]
            way, ways[place] = ways[place], []
            for count in way:
                here.reported(count)
            here.returned += len(way)
            if here.due and here.controlRoom > 0:
                ways[1 - place].append(here.report())

        for step in steps:
            place = step & 1
            if step & 2:
                take(place)
            else:
                while ends[place].room > 0:
                    ways[1 - place].append(ends[place].report())
            self.assertLessEqual(max(map(len, ways)), room)
        while ways[0] or ways[1]:
            take(0)
            take(1)
        self.assertGreater(min(end.room for end in ends), 0)


class AssemblyTests(SynchronousTestCase):
    """
    A packet that came in parts is whole again.
    """

    @given(lists(binary(min_size=1, max_size=50), min_size=1, max_size=20))
    def test_parts(self, parts: list[bytes]) -> None:
        """
        Parts make one packet, and the next begins anew.
        """
        assembly = Assembly()
        for _ in range(2):
            for part in parts[:-1]:
                self.assertIsNone(assembly.packet(MORE, part))
            self.assertEqual(assembly.packet(END, parts[-1]), b"".join(parts))

    def test_largest(self) -> None:
        """
        A packet is as large as it may be, and not larger.
        """
        for size, fits in ((LARGEST, True), (LARGEST + 1, False)):
            assembly = Assembly()
            assembly.packet(MORE, bytes(LARGEST - 100))
            try:
                packet = assembly.packet(END, bytes(size - LARGEST + 100))
            except ProtocolError:
                self.assertFalse(fits)
            else:
                self.assertTrue(fits)
                self.assertEqual(len(packet or b""), LARGEST)


class LayoutTests(SynchronousTestCase):
    """
    Structures are laid out as the headers of rdma-core say.
    """

    CHECKS = (
        ("sizeof(struct ibv_sge)", ctypes.sizeof(rdmaverbs.Segment)),
        ("sizeof(struct ibv_send_wr)", ctypes.sizeof(rdmaverbs.SendRequest)),
        ("offsetof(struct ibv_send_wr, send_flags)", rdmaverbs.SendRequest.send_flags.offset),
        ("sizeof(struct ibv_recv_wr)", ctypes.sizeof(rdmaverbs.ReceiveRequest)),
        ("sizeof(struct ibv_qp_init_attr)", ctypes.sizeof(rdmaverbs.QueuePairSettings)),
        ("offsetof(struct ibv_qp_init_attr, qp_type)", rdmaverbs.QueuePairSettings.qp_type.offset),
        ("sizeof(struct rdma_conn_param)", ctypes.sizeof(rdmaverbs.ConnectionSettings)),
        ("sizeof(struct rdma_cm_id)", ctypes.sizeof(rdmaverbs.CMID)),
        ("offsetof(struct rdma_cm_id, qp)", rdmaverbs.CMID.qp.offset),
        ("offsetof(struct rdma_cm_id, route.addr.src_addr)", rdmaverbs.CMID.src_addr.offset),
        ("offsetof(struct rdma_cm_id, route.addr.dst_addr)", rdmaverbs.CMID.dst_addr.offset),
        ("offsetof(struct rdma_cm_id, pd)", rdmaverbs.CMID.pd.offset),
        ("offsetof(struct rdma_cm_event, event)", rdmaverbs.CMEvent.event.offset),
        (
            "offsetof(struct rdma_cm_event, param.conn.private_data)",
            rdmaverbs.CMEvent.private_data.offset,
        ),
        (
            "offsetof(struct rdma_cm_event, param.conn.private_data_len)",
            rdmaverbs.CMEvent.private_data_len.offset,
        ),
        ("offsetof(struct ibv_comp_channel, fd)", rdmaverbs.CompletionChannel.fd.offset),
        ("offsetof(struct ibv_mr, lkey)", rdmaverbs.MemoryRegion.lkey.offset),
        ("offsetof(struct ibv_context, ops.poll_cq)", rdmaverbs.Context.poll_cq.offset),
        ("offsetof(struct ibv_context, ops.req_notify_cq)", rdmaverbs.Context.req_notify_cq.offset),
        ("offsetof(struct ibv_context, ops.post_send)", rdmaverbs.Context.post_send.offset),
        ("offsetof(struct ibv_context, ops.post_recv)", rdmaverbs.Context.post_recv.offset),
        ("offsetof(struct ibv_context, cmd_fd)", rdmaverbs.Context.cmd_fd.offset),
        ("offsetof(struct ibv_context, async_fd)", rdmaverbs.Context.async_fd.offset),
        ("sizeof(struct ibv_wc)", rdmaverbs.COMPLETION.size),
        ("offsetof(struct ibv_wc, status)", 8),
        ("offsetof(struct ibv_wc, byte_len)", 20),
        ("RDMA_PS_TCP", rdmaverbs.PS_TCP),
        ("IBV_QPT_RC", rdmaverbs.QPT_RC),
        ("IBV_WR_SEND", rdmaverbs.SEND),
        ("IBV_SEND_SIGNALED", rdmaverbs.SIGNALED),
        ("IBV_ACCESS_LOCAL_WRITE", rdmaverbs.LOCAL_WRITE),
        ("RDMA_CM_EVENT_ESTABLISHED", rdmaverbs.ESTABLISHED),
        ("RDMA_CM_EVENT_TIMEWAIT_EXIT", rdmaverbs.TIMEWAIT_EXIT),
        ("RDMA_OPTION_ID_AFONLY", rdmaverbs.AFONLY),
        ("RDMA_OPTION_ID_ACK_TIMEOUT", rdmaverbs.ACK_TIMEOUT),
    )

    @requires("cc")
    def test_headers(self) -> None:
        """
        Every offset, size and number that is used is that of the headers.
        """
        if not Path("/usr/include/rdma/rdma_cma.h").exists():
            raise SkipTest("no headers of rdma-core (librdmacm-dev, libibverbs-dev)")
        program = "#include <stddef.h>\n#include <rdma/rdma_cma.h>\n" + "".join(
            f'_Static_assert({expression} == {number}, "{expression}");\n'
            for expression, number in self.CHECKS
        )
        command = ["cc", "-x", "c", "-fsyntax-only", "-"]
        found = subprocess.run(command, input=program.encode(), capture_output=True, check=False)
        self.assertEqual((found.returncode, found.stderr.decode()), (0, ""))
