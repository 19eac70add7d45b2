"""
The C functions of RDMA that the transport calls, and the structures that they share with it
(librdmacm's C{rdma/rdma_cma.h} and libibverbs' C{infiniband/verbs.h} of rdma-core).

This is a binding of our own, on ctypes, and not pyverbs. pyverbs waits with the interpreter's lock
held, shows neither the descriptors that a reactor needs nor which connection an event is about,
and takes the listener's device away when it closes a connection; to read around that would depend
on how Cython lays out its objects. What is read here is the ABI itself: the verbs that send and
receive are inline functions in those headers, so every compiled program has these offsets in it
and they cannot change within C{librdmacm.so.1} and C{libibverbs.so.1}. A test compares them with
the headers.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from ctypes import (
    CDLL,
    POINTER,
    PYFUNCTYPE,
    Structure,
    byref,
    c_char_p,
    c_int,
    c_size_t,
    c_uint,
    c_uint8,
    c_uint32,
    c_uint64,
    c_void_p,
    get_errno,
    string_at,
)
from functools import cache
from struct import Struct
from typing import Any, Final

from bmff.errors import TransportUnavailable

PS_TCP: Final = 0x0106  # RDMA_PS_TCP, the port space of connections
QPT_RC: Final = 2  # IBV_QPT_RC, reliable and connected
SEND: Final = 2  # IBV_WR_SEND
SIGNALED: Final = 1 << 1  # IBV_SEND_SIGNALED
LOCAL_WRITE: Final = 1  # IBV_ACCESS_LOCAL_WRITE

# enum rdma_cm_event_type
ADDR_RESOLVED: Final = 0
ADDR_ERROR: Final = 1
ROUTE_RESOLVED: Final = 2
ROUTE_ERROR: Final = 3
CONNECT_REQUEST: Final = 4
CONNECT_ERROR: Final = 6
UNREACHABLE: Final = 7
REJECTED: Final = 8
ESTABLISHED: Final = 9
DISCONNECTED: Final = 10
DEVICE_REMOVAL: Final = 11
ADDR_CHANGE: Final = 14
TIMEWAIT_EXIT: Final = 15

OPTION_ID: Final = 0  # RDMA_OPTION_ID
AFONLY: Final = 2  # RDMA_OPTION_ID_AFONLY, an int
ACK_TIMEOUT: Final = 3  # RDMA_OPTION_ID_ACK_TIMEOUT, one byte

# struct ibv_wc: wr_id, status, and byte_len; what follows is not looked at.
COMPLETION: Final = Struct("=QI8xI24x")

_ADDRESS_SIZE: Final = 28  # bytes of the longer sockaddr


class Segment(Structure):
    """
    C{struct ibv_sge}: a piece of registered memory.
    """

    _fields_ = (("addr", c_uint64), ("length", c_uint32), ("lkey", c_uint32))


class SendRequest(Structure):
    """
    C{struct ibv_send_wr}: one message to send.
    """

    _fields_ = (
        ("wr_id", c_uint64),
        ("next", c_void_p),
        ("sg_list", c_void_p),
        ("num_sge", c_int),
        ("opcode", c_int),
        ("send_flags", c_uint),
        ("imm_data", c_uint32),
        ("others", c_uint64 * 11),  # of other opcodes
    )


class ReceiveRequest(Structure):
    """
    C{struct ibv_recv_wr}: room for one message.
    """

    _fields_ = (
        ("wr_id", c_uint64),
        ("next", c_void_p),
        ("sg_list", c_void_p),
        ("num_sge", c_int),
    )


class QueuePairSettings(Structure):
    """
    C{struct ibv_qp_init_attr}, with C{struct ibv_qp_cap} in it.
    """

    _fields_ = (
        ("qp_context", c_void_p),
        ("send_cq", c_void_p),
        ("recv_cq", c_void_p),
        ("srq", c_void_p),
        ("max_send_wr", c_uint32),
        ("max_recv_wr", c_uint32),
        ("max_send_sge", c_uint32),
        ("max_recv_sge", c_uint32),
        ("max_inline_data", c_uint32),
        ("qp_type", c_int),
        ("sq_sig_all", c_int),
    )


class ConnectionSettings(Structure):
    """
    C{struct rdma_conn_param}.
    """

    _fields_ = (
        ("private_data", c_void_p),
        ("private_data_len", c_uint8),
        ("responder_resources", c_uint8),
        ("initiator_depth", c_uint8),
        ("flow_control", c_uint8),
        ("retry_count", c_uint8),
        ("rnr_retry_count", c_uint8),
        ("srq", c_uint8),
        ("qp_num", c_uint32),
    )


class CMEvent(Structure):
    """
    C{struct rdma_cm_event}, as far as it is read.
    """

    _fields_ = (
        ("id", c_void_p),
        ("listen_id", c_void_p),
        ("event", c_int),
        ("status", c_int),
        ("private_data", c_void_p),
        ("private_data_len", c_uint8),
    )


class CMID(Structure):
    """
    C{struct rdma_cm_id}.
    """

    _fields_ = (
        ("verbs", c_void_p),
        ("channel", c_void_p),
        ("context", c_void_p),
        ("qp", c_void_p),
        ("src_addr", c_uint8 * 128),
        ("dst_addr", c_uint8 * 128),
        ("ibaddr", c_uint64 * 5),
        ("path_rec", c_void_p),
        ("num_paths", c_int),
        ("ps", c_int),
        ("port_num", c_uint8),
        ("event", c_void_p),
        ("send_cq_channel", c_void_p),
        ("send_cq", c_void_p),
        ("recv_cq_channel", c_void_p),
        ("recv_cq", c_void_p),
        ("srq", c_void_p),
        ("pd", c_void_p),
        ("qp_type", c_int),
    )


class EventChannel(Structure):
    """
    C{struct rdma_event_channel}.
    """

    _fields_ = (("fd", c_int),)


class CompletionChannel(Structure):
    """
    C{struct ibv_comp_channel}.
    """

    _fields_ = (("context", c_void_p), ("fd", c_int), ("refcnt", c_int))


class MemoryRegion(Structure):
    """
    C{struct ibv_mr}.
    """

    _fields_ = (
        ("context", c_void_p),
        ("pd", c_void_p),
        ("addr", c_void_p),
        ("length", c_size_t),
        ("handle", c_uint32),
        ("lkey", c_uint32),
        ("rkey", c_uint32),
    )


class Context(Structure):
    """
    C{struct ibv_context}, as far as it is read; the operations begin behind the device.
    """

    _fields_ = (
        ("device", c_void_p),
        ("before_poll", c_void_p * 11),
        ("poll_cq", c_void_p),
        ("req_notify_cq", c_void_p),
        ("before_post", c_void_p * 12),
        ("post_send", c_void_p),
        ("post_recv", c_void_p),
        ("after_post", c_void_p * 5),
        ("cmd_fd", c_int),
        ("async_fd", c_int),
    )


# Called in every turn: they never wait, and to give the interpreter's lock away would cost more
# than they do, and to get it back up to 5 ms where another thread runs.
_POLL: Final = PYFUNCTYPE(c_int, c_void_p, c_int, c_void_p)
_NOTIFY: Final = PYFUNCTYPE(c_int, c_void_p, c_int)
_POST: Final = PYFUNCTYPE(c_int, c_void_p, c_void_p, c_void_p)


class Operations:
    """
    The verbs of one device that are inline functions in C.

    @ivar pollCQ: takes queue, number, and memory for so many completions; gives how many there
        were, or a negative number.
    @ivar requestNotify: takes queue and 0; gives an errno.
    @ivar postSend: takes queue pair, the first L{SendRequest}, and memory for a pointer; gives an
        errno.
    @ivar postReceive: the same with a L{ReceiveRequest}.
    """

    def __init__(self, context: int) -> None:
        """
        @param context: where C{struct ibv_context} is.
        """
        table = Context.from_address(context)
        self.pollCQ: Callable[[int, int, int], int] = _POLL(table.poll_cq)
        self.requestNotify: Callable[[int, int], int] = _NOTIFY(table.req_notify_cq)
        self.postSend: Callable[[int, int, int], int] = _POST(table.post_send)
        self.postReceive: Callable[[int, int, int], int] = _POST(table.post_recv)


def _negative(result: int, function: object, arguments: object) -> int:
    if result < 0:
        number = get_errno()
        raise OSError(number, os.strerror(number))
    return result


def _nothing(result: int | None, function: object, arguments: object) -> int:
    if not result:
        number = get_errno()
        raise OSError(number, os.strerror(number))
    return result


def _number(result: int, function: object, arguments: object) -> int:
    if result:
        raise OSError(result, os.strerror(result))
    return result


# By library: the name, how it says that it failed, its result and arguments.
_CM_FUNCTIONS: Final[tuple[tuple[str, Any, Any, tuple[Any, ...]], ...]] = (
    ("rdma_create_event_channel", _nothing, c_void_p, ()),
    ("rdma_destroy_event_channel", None, None, (c_void_p,)),
    ("rdma_create_id", _negative, c_int, (c_void_p, POINTER(c_void_p), c_void_p, c_int)),
    ("rdma_destroy_id", _negative, c_int, (c_void_p,)),
    ("rdma_bind_addr", _negative, c_int, (c_void_p, c_char_p)),
    ("rdma_resolve_addr", _negative, c_int, (c_void_p, c_char_p, c_char_p, c_int)),
    ("rdma_resolve_route", _negative, c_int, (c_void_p, c_int)),
    ("rdma_create_qp", _negative, c_int, (c_void_p, c_void_p, POINTER(QueuePairSettings))),
    ("rdma_destroy_qp", None, None, (c_void_p,)),
    ("rdma_connect", _negative, c_int, (c_void_p, POINTER(ConnectionSettings))),
    ("rdma_listen", _negative, c_int, (c_void_p, c_int)),
    ("rdma_accept", _negative, c_int, (c_void_p, POINTER(ConnectionSettings))),
    ("rdma_reject", _negative, c_int, (c_void_p, c_char_p, c_uint8)),
    ("rdma_disconnect", _negative, c_int, (c_void_p,)),
    ("rdma_get_cm_event", _negative, c_int, (c_void_p, POINTER(POINTER(CMEvent)))),
    ("rdma_ack_cm_event", _negative, c_int, (POINTER(CMEvent),)),
    ("rdma_set_option", _negative, c_int, (c_void_p, c_int, c_int, c_char_p, c_size_t)),
)
_VERBS_FUNCTIONS: Final[tuple[tuple[str, Any, Any, tuple[Any, ...]], ...]] = (
    ("ibv_get_device_list", _nothing, c_void_p, (POINTER(c_int),)),
    ("ibv_free_device_list", None, None, (c_void_p,)),
    ("ibv_create_comp_channel", _nothing, c_void_p, (c_void_p,)),
    ("ibv_destroy_comp_channel", _number, c_int, (c_void_p,)),
    ("ibv_create_cq", _nothing, c_void_p, (c_void_p, c_int, c_void_p, c_void_p, c_int)),
    ("ibv_destroy_cq", _number, c_int, (c_void_p,)),
    ("ibv_get_cq_event", _negative, c_int, (c_void_p, POINTER(c_void_p), POINTER(c_void_p))),
    ("ibv_ack_cq_events", None, None, (c_void_p, c_uint)),
    ("ibv_reg_mr", _nothing, c_void_p, (c_void_p, c_void_p, c_size_t, c_int)),
    ("ibv_dereg_mr", _number, c_int, (c_void_p,)),
    ("ibv_wc_status_str", None, c_char_p, (c_int,)),
)


class Verbs:
    """
    The functions of both libraries by their names in C, each raising L{OSError} where it fails.

    @ivar users: how many queue pairs are on each C{struct ibv_context}, which is the process's.
    """

    rdma_create_event_channel: Callable[[], int]
    rdma_destroy_event_channel: Callable[[int], None]
    rdma_create_id: Callable[[int, Any, None, int], int]
    rdma_destroy_id: Callable[[int], int]
    rdma_bind_addr: Callable[[int, bytes], int]
    rdma_resolve_addr: Callable[[int, None, bytes, int], int]
    rdma_resolve_route: Callable[[int, int], int]
    rdma_create_qp: Callable[[int, int, Any], int]
    rdma_destroy_qp: Callable[[int], None]
    rdma_connect: Callable[[int, Any], int]
    rdma_listen: Callable[[int, int], int]
    rdma_accept: Callable[[int, Any], int]
    rdma_reject: Callable[[int, bytes, int], int]
    rdma_disconnect: Callable[[int], int]
    rdma_get_cm_event: Callable[[int, Any], int]
    rdma_ack_cm_event: Callable[[Any], int]
    rdma_set_option: Callable[[int, int, int, bytes, int], int]
    ibv_get_device_list: Callable[[Any], int]
    ibv_free_device_list: Callable[[int], None]
    ibv_create_comp_channel: Callable[[int], int]
    ibv_destroy_comp_channel: Callable[[int], int]
    ibv_create_cq: Callable[[int, int, None, int, int], int]
    ibv_destroy_cq: Callable[[int], int]
    ibv_get_cq_event: Callable[[int, Any, Any], int]
    ibv_ack_cq_events: Callable[[int, int], None]
    ibv_reg_mr: Callable[[int, int, int, int], int]
    ibv_dereg_mr: Callable[[int], int]
    ibv_wc_status_str: Callable[[int], bytes]

    def __init__(self) -> None:
        """
        @raise OSError: a library is missing.
        @raise AttributeError: it is too old.
        """
        self.users: dict[int, int] = {}
        libraries = (("librdmacm.so.1", _CM_FUNCTIONS), ("libibverbs.so.1", _VERBS_FUNCTIONS))
        for name, functions in libraries:
            library = CDLL(name, use_errno=True)
            for function, failed, result, arguments in functions:
                found = getattr(library, function)
                found.restype, found.argtypes = result, arguments
                if failed is not None:
                    found.errcheck = failed
                setattr(self, function, found)

    def operations(self, context: int) -> Operations:
        """
        The inline verbs of a device.

        @param context: where C{struct ibv_context} is.
        """
        return Operations(context)

    def devices(self) -> int:
        """
        How many devices there are.

        @raise OSError: the kernel has no RDMA.
        """
        number = c_int()
        self.ibv_free_device_list(self.ibv_get_device_list(byref(number)))
        return number.value


@cache
def _loaded() -> Verbs:
    return Verbs()


def openVerbs() -> Verbs:
    """
    The functions, where there is a device to call them for.

    @raise TransportUnavailable: there is not, or they are missing, with the reason.
    """
    try:
        verbs = _loaded()
    except (OSError, AttributeError) as error:
        raise TransportUnavailable(f"RDMA's libraries are missing: {error}") from error
    try:
        found = verbs.devices()
    except OSError as error:
        raise TransportUnavailable(unavailable(error)) from error
    if not found:
        raise TransportUnavailable("no RDMA device")
    return verbs


def unavailable(error: OSError) -> str:
    """
    Why RDMA is not to be had, for people.
    """
    if error.errno in (errno.ENODEV, errno.ENOENT, errno.ENOSYS, errno.ENXIO):
        return "no RDMA device"
    if error.errno in (errno.EACCES, errno.EPERM):
        return "no permission to use the RDMA device (/dev/infiniband/rdma_cm)"
    if error.errno == errno.ENOMEM:
        return "too little memory may be locked for RDMA (ulimit -l, LimitMEMLOCK)"
    return f"RDMA: {error.strerror or error}"


def addressAt(where: int) -> bytes:
    """
    A C{struct sockaddr_in} or C{sockaddr_in6} in memory, as many bytes as the longer has.
    """
    return string_at(where, _ADDRESS_SIZE)
