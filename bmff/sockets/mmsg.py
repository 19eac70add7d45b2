"""
Tables for C{sendmmsg} and C{recvmmsg} of Linux (their manual pages sendmmsg(2) and recvmmsg(2),
socket(7) for C{SO_RXQ_OVFL}): many datagrams at one system call, through ctypes.

Everything that the kernel reads is laid out when a row is added; for a send two small buffers are
rewritten. Fields are found by the layouts below in the host's own sizes and byte order.
"""

from __future__ import annotations

import ctypes
import errno
import socket
import sys
from array import array
from collections.abc import Callable, Sequence
from typing import Any, Final, Literal

from bmff.sockets.addresses import IPV4_SIZE, IPV6_SIZE

BATCH: Final = 1024  # messages that the kernel takes at one call (UIO_MAXIOV)
SO_RXQ_OVFL: Final = 40  # asm-generic/socket.h; not in Python's socket module

_POINTER: Final = "L"  # unsigned long: as wide as a pointer and as size_t on every Linux
_INT: Final = "I"
_KEY_SIZES: Final = {socket.AF_INET: IPV4_SIZE, socket.AF_INET6: IPV6_SIZE}
_SOCKADDR_SIZES: Final = {socket.AF_INET: 16, socket.AF_INET6: 28}


class Iovec(ctypes.Structure):
    """
    A piece of a message, C{struct iovec} of readv(2).
    """

    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


class Msghdr(ctypes.Structure):
    """
    A message, C{struct msghdr} of sendmsg(2).
    """

    # The kernel's own layout. glibc has the same; musl has ints beside padding where this has
    # size_t, at the same places.
    _fields_ = [
        ("name", ctypes.c_void_p),
        ("nameLength", ctypes.c_uint32),
        ("vectors", ctypes.c_void_p),
        ("vectorCount", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("controlLength", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    ]


class Mmsghdr(ctypes.Structure):
    """
    A message of many, C{struct mmsghdr} of sendmmsg(2).
    """

    _fields_ = [("header", Msghdr), ("length", ctypes.c_uint)]


class _Overflow(ctypes.Structure):
    # A cmsghdr with the 32 bits of SO_RXQ_OVFL behind it.
    _fields_ = [
        ("length", ctypes.c_size_t),
        ("level", ctypes.c_int),
        ("type", ctypes.c_int),
        ("count", ctypes.c_uint32),
        ("padding", ctypes.c_uint32),
    ]


def _missing(*arguments: object) -> int:
    """
    What a C library without the call does.
    """
    ctypes.set_errno(errno.ENOSYS)
    return -1


def _find(name: str) -> Callable[..., int]:
    """
    The C library's function, or L{_missing}.

    Its C{argtypes} stay unset: with them a call costs 0.59 us instead of 0.33.
    """
    if not sys.platform.startswith("linux"):
        return _missing
    function: Callable[..., int] = getattr(ctypes.CDLL(None, use_errno=True), name, _missing)
    return function


def _works(*arguments: object, call: Callable[..., int]) -> bool:
    """
    Whether the call reaches the kernel: a sandbox may refuse what the C library has.
    """
    return call(-1, *arguments) >= 0 or ctypes.get_errno() not in (errno.ENOSYS, errno.EPERM)


sendmmsg = _find("sendmmsg")
recvmmsg = _find("recvmmsg")
available = _works(None, 0, 0, call=sendmmsg) and _works(None, 0, 0, None, call=recvmmsg)


class _Block:
    """
    Memory that Python writes as bytes and the kernel reads by its address.

    @ivar memory: the bytes.
    @ivar pointer: the address, as an argument of a call.
    @ivar start: the address as a number.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self.memory = memoryview(bytearray(max(size, 1)))
        self._exported = (ctypes.c_char * max(size, 1)).from_buffer(self.memory)
        self.pointer = ctypes.byref(self._exported)
        self.start = ctypes.addressof(self._exported)

    def pointerTo(self, offset: int) -> Any:
        """
        The address of a byte within, as an argument of a call.
        """
        return ctypes.byref(self._exported, offset)

    def addresses(self, count: int, step: int) -> memoryview:
        """
        The addresses of the first C{count} rows of C{step} bytes.
        """
        return memoryview(array(_POINTER, [self.start + row * step for row in range(count)]))

    def column(self, code: Literal["I", "L"], offset: int, step: int) -> memoryview:
        """
        One field of every row of C{step} bytes.

        @param code: the field's type, as C{array} names it.
        """
        width = array(code).itemsize
        return self.memory.cast(code)[offset // width :: step // width]


def _constant(code: str, value: int, count: int) -> memoryview:
    """
    A column of one value.
    """
    return memoryview(array(code, [value]) * count)


def _header(field: Any) -> int:
    """
    Where a field of msghdr lies in a row.
    """
    offset: int = Mmsghdr.header.offset + field.offset
    return offset


_ROW: Final = ctypes.sizeof(Mmsghdr)
_VECTOR: Final = ctypes.sizeof(Iovec)
_NAME: Final = _header(Msghdr.name)
_NAME_LENGTH: Final = _header(Msghdr.nameLength)
_VECTORS: Final = _header(Msghdr.vectors)
_VECTOR_COUNT: Final = _header(Msghdr.vectorCount)
_CONTROL: Final = _header(Msghdr.control)
_CONTROL_LENGTH: Final = _header(Msghdr.controlLength)
_OVERFLOW: Final = ctypes.sizeof(_Overflow)
_DONT_WAIT: Final = int(socket.MSG_DONTWAIT)
_NOTHING: Final = (errno.EAGAIN, errno.EINTR)
_LENGTH: Final = Mmsghdr.length.offset


def _linkRows(
    rows: _Block, names: _Block, nameSize: int, vectors: _Block, each: int, count: int
) -> None:
    """
    Give the first C{count} rows a name of C{nameSize} bytes and C{each} vectors.
    """
    rows.column(_POINTER, _NAME, _ROW)[:] = names.addresses(count, nameSize)
    rows.column(_INT, _NAME_LENGTH, _ROW)[:] = _constant(_INT, nameSize, count)
    rows.column(_POINTER, _VECTORS, _ROW)[:] = vectors.addresses(count, each * _VECTOR)
    rows.column(_POINTER, _VECTOR_COUNT, _ROW)[:] = _constant(_POINTER, each, count)


class ReceiveTable:
    """
    Buffers for the datagrams of one C{recvmmsg}.

    @ivar tooLong: datagrams dropped because they were longer than the table's size.
    @ivar drops: datagrams that the kernel dropped at this table's sockets for want of buffer, as
        far as the datagrams received tell: the count comes with the first of each batch.
    @ivar errors: receive calls that failed for another reason than that nothing was there.
    """

    def __init__(self, family: socket.AddressFamily, count: int = 64, size: int = 512) -> None:
        """
        @param family: C{AF_INET} or C{AF_INET6}.
        @param count: the most datagrams at one call, 1 to 1024.
        @param size: the longest datagram, bytes.
        """
        self.tooLong = 0
        self.drops = 0
        self.errors = 0
        self._descriptor = -1
        self._lastDrops = 0
        self._count = count
        self._size = size
        self._stride = size + 1  # a datagram that fills it was longer than size
        self._nameStride = _SOCKADDR_SIZES[family]
        self._keySize = _KEY_SIZES[family]
        self._rows = _Block(count * _ROW)
        self._vectors = _Block(count * _VECTOR)
        self._data = _Block(count * self._stride)
        self._names = _Block(count * self._nameStride)
        self._control = _Block(_OVERFLOW)
        self._overflow = _Overflow.from_buffer(self._control.memory)
        self._starts = range(0, count * self._stride, self._stride)
        self._nameStarts = range(0, count * self._nameStride, self._nameStride)
        self._link(count)
        self._lengths = self._rows.column(_INT, _LENGTH, _ROW)
        self._controlLength = self._rows.column(_POINTER, _CONTROL_LENGTH, _ROW)
        self._firstKey = self._names.memory[: self._keySize]

    def _link(self, count: int) -> None:
        """
        Point the rows at their buffers, and the first at the control message as well.

        The kernel writes each name's length back, which is always the same for a family.
        """
        base = self._vectors.column(_POINTER, Iovec.base.offset, _VECTOR)
        base[:] = self._data.addresses(count, self._stride)
        length = self._vectors.column(_POINTER, Iovec.length.offset, _VECTOR)
        length[:] = _constant(_POINTER, self._stride, count)
        rows = self._rows
        _linkRows(rows, self._names, self._nameStride, self._vectors, 1, count)
        rows.column(_POINTER, _CONTROL, _ROW)[0] = self._control.start

    def attach(self, sock: socket.socket | None) -> None:
        """
        Receive from this socket from now on; L{None} for none.

        Its kernel is asked to count what it drops; where it cannot, L{drops} stays.
        """
        self._lastDrops = 0
        if sock is None:
            self._descriptor = -1
            return
        self._descriptor = sock.fileno()
        try:
            sock.setsockopt(socket.SOL_SOCKET, SO_RXQ_OVFL, 1)
        except OSError:  # a count less, nothing else
            return

    def receive(self) -> Sequence[tuple[bytes, bytes]]:
        """
        What is there, at most the table's count, without waiting.

        @return: data and sender's address of each.
        """
        controlLength = self._controlLength
        controlLength[0] = _OVERFLOW  # the kernel wrote what it used
        count = recvmmsg(self._descriptor, self._rows.pointer, self._count, _DONT_WAIT, None)
        if count <= 0:
            if ctypes.get_errno() not in _NOTHING:
                self.errors += 1
            return ()
        if controlLength[0]:
            self._noteDrops()
        if count == 1:
            length = self._lengths[0]
            if length <= self._size:
                return ((self._data.memory[:length].tobytes(), self._firstKey.tobytes()),)
            self.tooLong += 1
            return ()
        return self._cut(count)

    def _cut(self, count: int) -> list[tuple[bytes, bytes]]:
        """
        The first C{count} rows, sliced out of one copy of the data and one of the names.
        """
        data = self._data.memory[: count * self._stride].tobytes()
        names = self._names.memory[: count * self._nameStride].tobytes()
        size, keySize = self._size, self._keySize
        rows = zip(self._lengths[:count].tolist(), self._starts, self._nameStarts, strict=False)
        cut = [
            (data[start : start + length], names[nameStart : nameStart + keySize])
            for length, start, nameStart in rows
            if length <= size
        ]
        self.tooLong += count - len(cut)
        return cut

    def _noteDrops(self) -> None:
        """
        Read the kernel's count, 32 bits that wrap, from the control message.
        """
        told = self._overflow
        if told.level == socket.SOL_SOCKET and told.type == SO_RXQ_OVFL:
            self.drops += (told.count - self._lastDrops) & 0xFFFFFFFF
            self._lastDrops = told.count


class SendTable:
    """
    Rows for C{sendmmsg}: each an address and a datagram of three pieces, of which the first and
    the last are shared by all rows.

    Rows are numbered from 0 without gaps.
    """

    def __init__(
        self,
        family: socket.AddressFamily,
        prefixSize: int,
        middleSize: int,
        suffixSize: int,
        capacity: int = 8,
    ) -> None:
        """
        @param family: C{AF_INET} or C{AF_INET6}.
        @param prefixSize: bytes of the shared first piece.
        @param middleSize: bytes of each row's own piece.
        @param suffixSize: bytes of the shared last piece.
        @param capacity: rows to lay out at first, at least 1; doubled whenever they are full.
        """
        self._count = 0
        self._keySize = _KEY_SIZES[family]
        self._nameSize = _SOCKADDR_SIZES[family]
        self._middleSize = middleSize
        self._sizes = (prefixSize, middleSize, suffixSize)
        self._prefixBlock = _Block(prefixSize)
        self._suffixBlock = _Block(suffixSize)
        self._prefix = self._prefixBlock.memory[:prefixSize]
        self._suffix = self._suffixBlock.memory[:suffixSize]
        self._names = _Block(0)
        self._middles = _Block(0)
        self._layOut(capacity)

    def __len__(self) -> int:
        return self._count

    def _layOut(self, capacity: int) -> None:
        """
        Make room for C{capacity} rows, the present ones kept, and link every row to its buffers.

        Columns are written as slices: 1024 rows take 0.2 ms, field by field 0.7.
        """
        names, middles = _Block(capacity * self._nameSize), _Block(capacity * self._middleSize)
        used = self._count * self._nameSize
        names.memory[:used] = self._names.memory[:used]
        used = self._count * self._middleSize
        middles.memory[:used] = self._middles.memory[:used]
        self._names, self._middles = names, middles
        self._vectors = _Block(capacity * 3 * _VECTOR)
        column = self._vectors.column
        bases = (
            _constant(_POINTER, self._prefixBlock.start, capacity),
            middles.addresses(capacity, self._middleSize),
            _constant(_POINTER, self._suffixBlock.start, capacity),
        )
        for piece, (base, size) in enumerate(zip(bases, self._sizes, strict=True)):
            at, step = piece * _VECTOR, 3 * _VECTOR
            lengths = _constant(_POINTER, size, capacity)
            column(_POINTER, at + Iovec.base.offset, step)[:] = base
            column(_POINTER, at + Iovec.length.offset, step)[:] = lengths
        self._rows = _Block(capacity * _ROW)
        _linkRows(self._rows, names, self._nameSize, self._vectors, 3, capacity)
        self._capacity = capacity

    def _write(self, row: int, address: bytes | memoryview, middle: bytes | memoryview) -> None:
        """
        Fill a row; what is of the wrong size does not fit the slice.
        """
        at = row * self._nameSize
        self._names.memory[at : at + self._keySize] = address
        at = row * self._middleSize
        self._middles.memory[at : at + self._middleSize] = middle

    def add(self, address: bytes, middle: bytes) -> None:
        """
        Append a row.

        @raise ValueError: the address is of another family, or the middle of another size; the
            rows are as before.
        """
        if self._count == self._capacity:
            self._layOut(2 * self._capacity)
        self._write(self._count, address, middle)
        self._count += 1

    def remove(self, row: int) -> None:
        """
        Take a row out; the last one moves into its place.

        @raise IndexError: there is no such row.
        """
        if not 0 <= row < self._count:
            raise IndexError(row)
        last = self._count - 1
        if row != last:
            name, middle = last * self._nameSize, last * self._middleSize
            self._write(
                row,
                self._names.memory[name : name + self._keySize],
                self._middles.memory[middle : middle + self._middleSize],
            )
        self._count = last

    def clear(self) -> None:
        """
        Take out every row; their room is kept.
        """
        self._count = 0

    def send(self, descriptor: int, prefix: bytes, suffix: bytes) -> int:
        """
        Hand the rows to the kernel, at most 1024 of them, without waiting.

        @param prefix: the shared first piece, of the table's size.
        @param suffix: the shared last piece, of the table's size.
        @return: how many rows it took, counted from row 0; where that is fewer than there were,
            the next one failed and L{sendFrom} that row tells why; -1 when row 0 failed, for the
            reason in C{ctypes.get_errno()}.
        @raise ValueError: prefix or suffix is not of the table's size.
        """
        self._prefix[:] = prefix
        self._suffix[:] = suffix
        return sendmmsg(descriptor, self._rows.pointer, self._count, _DONT_WAIT)

    def sendFrom(self, descriptor: int, row: int) -> int:
        """
        Hand the pieces of the last L{send} to the kernel for this and the following rows, at most
        1024 of them.

        @return: as for L{send}, counted from C{row}.
        """
        rows = min(self._count - row, BATCH)
        return sendmmsg(descriptor, self._rows.pointerTo(row * _ROW), rows, _DONT_WAIT)
