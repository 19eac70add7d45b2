"""
The client's side of one IPROTO connection (tarantool.io, "Binary protocol").

Requests go out at once and are answered in any order; each has its number (sync) and its time.
Names of spaces and indexes are looked up in the server's own schema. A request with names carries
the schema's version, so that one which has changed meanwhile refuses it unharmed; it is then looked
up again and sent again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import inf
from struct import Struct
from typing import Any, Final, Protocol

from bmff.errors import ProtocolError, TransportUnavailable
from bmff.wire.iproto import codes, messages
from bmff.wire.iproto.codes import Iterator
from bmff.wire.iproto.failures import (
    RequestRefused,
    RequestTimedOut,
    TarantoolError,
    UnknownName,
    Unsupported,
)
from bmff.wire.iproto.messages import Identity, Operation, frameRequest
from bmff.wire.iproto.schema import Schema
from bmff.wire.iproto.values import Codec

LIMIT: Final = 10.0  # seconds that a request gets when it does not say
ATTEMPTS: Final = 5  # of one request, and of one look-up, against a schema that keeps changing
_LARGEST_PREFIX: Final = 9  # bytes of a size as MessagePack
# How servers write the header: three keys, wide numbers. The size before it is skipped.
_ANSWER: Final = Struct(">5xHBIHQHI")
_SIZES: Final = {0xCC: 2, 0xCD: 3, 0xCE: 5, 0xCF: 9}  # bytes of a prefix by its first


class Waiter(Protocol):
    """
    Whoever waits for an answer; a C{Deferred} does.
    """

    def callback(self, result: Any, /) -> object:
        """
        The request is done.
        """

    def errback(self, error: Any, /) -> object:
        """
        It is not.

        @param error: an exception.
        """


@dataclass(frozen=True, slots=True)
class Limits:
    """
    How much one connection may hold.

    @ivar requests: in flight, those that have timed out unanswered among them. A server works on
        768 at a time as it comes (C{net_msg_max}).
    @ivar answer: bytes of one answer.
    @ivar elements: of one array or map in it.
    @ivar silence: seconds without a word from the server until it is asked for one, and again as
        many until it is given up; infinity for never.
    """

    requests: int = 512
    answer: int = 16 * 2**20
    elements: int = 250_000
    silence: float = 5.0


class _Entry:
    """
    A request that is not answered.

    @ivar waiter: L{None} when nobody waits any more.
    @ivar due: when its time is over.
    @ivar load: the look-up of names that it waits for.
    @ivar attempts: how often it was refused for its schema.
    """

    __slots__ = ("attempts", "due", "load", "operation", "waiter")

    def __init__(self, operation: Operation, waiter: Waiter, due: float) -> None:
        self.operation = operation
        self.waiter: Waiter | None = waiter
        self.due = due
        self.load = 0
        self.attempts = 0


class _Ignored:
    """
    Waits for an answer that says nothing new.
    """

    def callback(self, result: Any, /) -> None:
        """
        The server is there.
        """

    def errback(self, error: Any, /) -> None:
        """
        It is there too; or it is not, which silence tells.
        """


class _Part:
    """
    Waits for one half of the schema.
    """

    def __init__(self, take: Callable[[Any], None], fail: Callable[[Exception], None]) -> None:
        self.callback = take
        self.errback = fail


class Session:
    """
    One connection, from its first byte to its last.

    Answers go to the L{Waiter}s while C{receive} runs; they may make requests there.

    @ivar greeting: what the server said first, L{None} until then.
    @ivar identity: what it says that it can do.
    @ivar schemaVersion: of its schema, by its latest answer.
    @ivar schema: the names, as they were last looked up.
    @ivar loads: how often they were.
    @ivar late: answers that came when nobody waited for them any more.
    @ivar unknown: answers to no request of ours, and events that nobody watches.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.greeting: messages.Greeting | None = None
        self.identity = Identity()
        self.schemaVersion = 0
        self.schema: Schema | None = None
        self.loads = 0
        self.late = 0
        self.unknown = 0
        self._codec = Codec(self.limits.elements)
        self._greeted: Waiter | None = None
        self._greetBy = inf
        self._sync = 0
        self._pending: dict[int, _Entry] = {}
        self._outgoing: list[bytes] = []
        self._buffer = bytearray()
        self._need = codes.GREETING_LENGTH  # bytes until something can be done
        self._due = inf  # no request's time is over before
        self._heard = inf  # when something was; never until the greeting
        self._asked = False  # whether the server was asked for a word since
        self._lost: Exception | None = None
        # The names.
        self._unresolved: dict[int, _Entry] = {}  # requests that wait for them, by sync
        self._loading: object | None = None  # the attempt to look them up that counts
        self._loadAttempts = 0
        self._loadWaiters: list[Waiter] = []
        self._watchers: dict[str, Callable[[str, Any], object]] = {}

    # What is to be done when.

    def start(self, waiter: Waiter, now: float, limit: float = LIMIT) -> None:
        """
        The connection is there.

        @param waiter: is called back with the L{messages.Greeting}.
        @param limit: seconds that it may take.
        """
        self._greeted = waiter
        self._greetBy = now + limit

    def outgoing(self) -> bytes:
        """
        What is to be sent now.
        """
        outgoing = self._outgoing
        if len(outgoing) == 1:
            return outgoing.pop()
        data = b"".join(outgoing)
        outgoing.clear()
        return data

    def deadline(self) -> float:
        """
        When L{timeout} is to be called at the latest.
        """
        return min(self._due, self._greetBy, self._heard + self.limits.silence)

    def timeout(self, now: float) -> bool:
        """
        Do what is due.

        @return: whether the server is to be believed alive; if not, the connection is of no use.
        """
        if now >= self._greetBy:
            return False
        if now >= self._due:
            self._expire(now)
        if now >= self._heard + self.limits.silence:
            if self._asked:
                return False
            self._asked = True
            self._heard = now  # it gets the whole time from here, however late this was
            self._submit(messages.ping(), _Ignored(), inf)
        return True

    def _expire(self, now: float) -> None:
        """
        Tell those whose time is over.
        """
        over = [sync for sync, entry in self._pending.items() if entry.due <= now]
        waiters = [self._abandon(sync) for sync in over]
        self._due = min((entry.due for entry in self._pending.values()), default=inf)
        for waiter in waiters:
            if waiter is not None:
                waiter.errback(RequestTimedOut("no answer in time"))

    def _abandon(self, sync: int) -> Waiter | None:
        """
        Nobody shall wait for a request any more. If it was sent its answer is still to come.

        @return: who waited.
        """
        entry = self._pending[sync]
        waiter, entry.waiter = entry.waiter, None
        entry.due = inf
        if entry.load:
            del self._pending[sync]
            self._unresolved.pop(sync, None)
        return waiter

    # Requests.

    def request(
        self, operation: Operation, waiter: Waiter, now: float, limit: float = LIMIT
    ) -> int:
        """
        Send a request, now or as soon as its names are known.

        @param waiter: is told of the result: C{errback} with L{TarantoolError}, L{UnknownName},
            L{RequestTimedOut} or what L{lost} is given.
        @param limit: seconds that it may take.
        @return: its number, for L{abandon}.
        @raise RequestRefused: too many are in flight.
        @raise TransportUnavailable: there is no connection.
        @raise TypeError: there is a value in it that the database has not.
        @raise ValueError: likewise.
        @raise OverflowError: likewise.
        """
        if self.greeting is None or self._lost is not None:
            raise TransportUnavailable("not connected to Tarantool")
        if len(self._pending) >= self.limits.requests:
            raise RequestRefused(f"{len(self._pending)} requests are in flight")
        due = now + limit
        if not operation.named:
            return self._submit(operation, waiter, due)
        self._sync = sync = self._sync + 1
        entry = self._pending[sync] = _Entry(operation, waiter, due)
        self._due = min(self._due, due)
        try:
            if not self._resolve(sync, entry):
                self._queue(sync, entry, now)
        except BaseException:
            del self._pending[sync]
            raise
        return sync

    def abandon(self, sync: int) -> None:
        """
        Nobody waits for this request any more. Its answer is ignored when it comes, and it counts
        as in flight until then.
        """
        if sync in self._pending:
            self._abandon(sync)

    def _submit(self, operation: Operation, waiter: Waiter, due: float) -> int:
        """
        Send a request that has numbers, whatever is in flight.
        """
        body = operation.body
        if operation.space is not None:
            body[codes.SPACE_ID] = operation.space
        if operation.index is not None:
            body[codes.INDEX_ID] = operation.index
        packed = self._codec.pack(body)
        self._sync = sync = self._sync + 1
        self._pending[sync] = _Entry(operation, waiter, due)
        self._due = min(self._due, due)
        self._outgoing.append(frameRequest(operation.code, sync, packed))
        return sync

    # Names.

    @property
    def current(self) -> bool:
        """
        Whether the names are those of the server's latest answer.
        """
        return self.schema is not None and self.schema.version == self.schemaVersion

    def loadSchema(self, waiter: Waiter, now: float) -> None:
        """
        Look all names up before somebody needs them.

        @param waiter: is told when they are there.
        """
        self._loadWaiters.append(waiter)
        if self._loading is None:
            self._load(now)

    def _resolve(self, sync: int, entry: _Entry) -> bool:
        """
        Send a request with names if they are known.

        @return: whether it was sent.
        """
        schema = self.schema
        if schema is None or schema.version != self.schemaVersion:
            return False
        operation = entry.operation
        try:
            self._number(operation, schema)
        except UnknownName:  # who has made it just now may ask for it: look again
            return False
        packed = self._codec.pack(operation.body)
        self._outgoing.append(frameRequest(operation.code, sync, packed, schema.version))
        entry.load = 0
        return True

    @staticmethod
    def _number(operation: Operation, schema: Schema) -> None:
        """
        Put numbers for the names.
        """
        assert operation.space is not None
        space = operation.body[codes.SPACE_ID] = schema.space(operation.space)
        if operation.index is not None:
            operation.body[codes.INDEX_ID] = schema.index(space, operation.index)

    def _queue(self, sync: int, entry: _Entry, now: float) -> None:
        """
        Have a request wait for a look-up that begins after it.
        """
        entry.load = self.loads + 1
        self._unresolved[sync] = entry
        if self._loading is None:
            self._load(now)

    def _load(self, now: float, again: bool = False) -> None:
        """
        Begin a look-up.

        @param again: instead of one whose halves were of two versions.
        """
        if not again:
            self.loads += 1
            self._loadAttempts = 0
        self._loadAttempts += 1
        attempt = self._loading = object()
        halves: dict[int, tuple[list[Any], int]] = {}

        def take(space: int, rows: list[Any]) -> None:
            halves[space] = (rows, self.schemaVersion)
            if self._loading is not attempt or len(halves) < 2:
                return
            spaces, version = halves[codes.VSPACE]
            indexes, other = halves[codes.VINDEX]
            if version != other and self._loadAttempts < ATTEMPTS:
                self._load(now, again=True)
            else:
                self._loaded(Schema(min(version, other), spaces, indexes), now)

        def fail(error: Exception) -> None:
            if self._loading is attempt:
                self._loadFailed(error)

        for space in (codes.VSPACE, codes.VINDEX):
            rows = messages.select(space, [], 0, codes.ALL_ROWS, 0, Iterator.ALL)
            self._submit(rows, _Part(partial(take, space), fail), now + LIMIT)

    def _loaded(self, schema: Schema, now: float) -> None:
        """
        The names are there.
        """
        self.schema = schema
        self._loading = None
        waiting, self._unresolved = self._unresolved, {}
        for sync, entry in waiting.items():
            if self._pending.get(sync) is not entry:  # given up just now
                continue
            try:
                if self._resolve(sync, entry):
                    continue
                if entry.load > self.loads:  # it came after this look-up had begun
                    self._unresolved[sync] = entry
                    continue
                self._number(entry.operation, schema)
            except (UnknownName, TypeError, ValueError, OverflowError) as error:
                self._fail(sync, error)
            else:
                self._fail(sync, RequestRefused("the schema changes all the time"))
        if self._unresolved and self._loading is None and self._lost is None:
            self._load(now)
        for waiter in self._takeLoadWaiters():
            waiter.callback(None)

    def _loadFailed(self, error: Exception) -> None:
        """
        The names cannot be had: nobody who waits for them gets any further.
        """
        self._loading = None
        waiting, self._unresolved = self._unresolved, {}
        for sync, entry in waiting.items():
            if self._pending.get(sync) is entry:
                self._fail(sync, error)
        for waiter in self._takeLoadWaiters():
            waiter.errback(error)

    def _takeLoadWaiters(self) -> list[Waiter]:
        waiters, self._loadWaiters = self._loadWaiters, []
        return waiters

    def _fail(self, sync: int, error: Exception) -> None:
        """
        A request that was not sent has failed.
        """
        waiter = self._pending.pop(sync).waiter
        if waiter is not None:
            waiter.errback(error)

    # Watching keys, from 2.10.

    def watch(self, key: str, watcher: Callable[[str, Any], object]) -> None:
        """
        Be told of a key that the server's C{box.broadcast} sets: now, and after each change.
        By the published document; 2.6 has no such thing.

        @param watcher: called with the key and its value, in place of the one before.
        @raise Unsupported: the server cannot tell.
        @raise RequestRefused: too many keys are watched.
        """
        if codes.FEATURE_WATCHERS not in self.identity.features:
            raise Unsupported("the server has no watchers, which came with Tarantool 2.10")
        if key not in self._watchers:
            if len(self._watchers) >= self.limits.requests:
                raise RequestRefused(f"{len(self._watchers)} keys are watched")
            self._notify(messages.watch(key))
        self._watchers[key] = watcher

    def unwatch(self, key: str) -> None:
        """
        Be told of it no more.
        """
        if self._watchers.pop(key, None) is not None:
            self._notify(messages.unwatch(key))

    def _notify(self, operation: Operation) -> None:
        """
        Send what is not answered.
        """
        self._sync += 1
        packed = self._codec.pack(operation.body)
        self._outgoing.append(frameRequest(operation.code, self._sync, packed))

    def _eventReceived(self, body: messages.Body) -> None:
        key = body.get(codes.EVENT_KEY)
        if not isinstance(key, str):
            raise ProtocolError("event")
        watcher = self._watchers.get(key)
        if watcher is None:  # it has crossed our unwatch
            self.unknown += 1
            return
        # It tells of the next change only once it knows that this one has come.
        self._notify(messages.watch(key))
        watcher(key, body.get(codes.EVENT_DATA))

    # What comes in.

    def receive(self, data: bytes, now: float) -> None:
        """
        Take what the connection has brought.

        @param data: any part of the stream.
        @raise ProtocolError: the other end breaks the protocol; nothing good comes after it.
        """
        if self._buffer or self.greeting is None:
            self._buffer += data
            if len(self._buffer) < self._need:
                if self.greeting is None:
                    messages.checkGreeting(self._buffer)
                return
            data = bytes(self._buffer)
            self._buffer.clear()
        if self.greeting is None:
            self._greetingReceived(data[: codes.GREETING_LENGTH])
            data = data[codes.GREETING_LENGTH :]
        self._heard = now
        self._asked = False
        at, end = 0, len(data)
        while at < end and self._lost is None:
            prefix = 5 if data[at] == 0xCE else _prefix(data[at])
            if end - at < prefix:
                self._need = prefix
                break
            size = int.from_bytes(data[at + 1 : at + prefix]) if prefix > 1 else data[at]
            if size > self.limits.answer:
                raise ProtocolError("answer too large")
            stop = at + prefix + size
            if stop > end:
                self._need = prefix + size
                break
            self._messageReceived(data, at, prefix, stop, now)
            at = stop
        if at < end and self._lost is None:
            self._buffer += data[at:]

    def _greetingReceived(self, data: bytes) -> None:
        self.greeting = messages.readGreeting(data)
        self._greetBy = inf
        waiter, self._greeted = self._greeted, None
        if waiter is not None:
            waiter.callback(self.greeting)

    def _messageReceived(self, data: bytes, at: int, prefix: int, stop: int, now: float) -> None:
        """
        One whole message is there, from C{at} to C{stop}.
        """
        body: Any
        if stop - at >= _ANSWER.size:
            first, second, code, third, sync, fourth, version = _ANSWER.unpack_from(data, at)
        else:
            first = 0
        if (
            first == 0x8300
            and second == 0xCE
            and third == 0x01CF
            and fourth == 0x05CE
            and prefix == 5
        ):
            start = at + _ANSWER.size
            body = self._codec.unpack(data[start:stop]) if stop > start else {}
        else:
            header, body = self._codec.unpackTwo(data[at + prefix : stop])
            code, sync, version = self._readHeader(header)
        if type(body) is not dict:
            raise ProtocolError("body")
        self.schemaVersion = version
        if code == codes.OK:
            self._answerReceived(sync, body)
        elif code & codes.ERROR_BIT:
            self._errorReceived(sync, messages.readError(code, body), now)
        elif code == codes.EVENT:
            self._eventReceived(body)
        elif code != codes.CHUNK:  # what a function pushes while it runs: nobody asks for it
            raise ProtocolError("kind of answer")

    def _readHeader(self, header: Any) -> tuple[int, int, int]:
        """
        A header in another form than usual.
        """
        if not isinstance(header, dict):
            raise ProtocolError("header")
        code = header.get(codes.REQUEST_TYPE)
        sync = header.get(codes.SYNC, 0)
        version = header.get(codes.SCHEMA_VERSION, self.schemaVersion)
        if type(code) is not int or type(sync) is not int or type(version) is not int:
            raise ProtocolError("header")
        if code < 0 or not 0 <= version < 2**32:
            raise ProtocolError("header")
        return code, sync, version

    def _answerReceived(self, sync: int, body: messages.Body) -> None:
        entry = self._pending.pop(sync, None)
        if entry is None:
            self.unknown += 1
        elif entry.waiter is None:
            self.late += 1
        else:
            try:
                result = entry.operation.read(body)
            except ProtocolError:
                self._pending[sync] = entry  # it is told with the others
                raise
            entry.waiter.callback(result)

    def _errorReceived(self, sync: int, error: TarantoolError, now: float) -> None:
        entry = self._pending.pop(sync, None)
        if entry is None:
            self.unknown += 1
        elif entry.waiter is None:
            self.late += 1
        elif (
            error.code == codes.WRONG_SCHEMA_VERSION
            and entry.operation.named
            and entry.attempts < ATTEMPTS
        ):
            entry.attempts += 1
            self._pending[sync] = entry
            if not self._resolve(sync, entry):
                self._queue(sync, entry, now)
        else:
            entry.waiter.errback(error)

    def lost(self, error: Exception) -> None:
        """
        The connection is gone: everybody who waits is told.

        @param error: what they are told.
        """
        if self._lost is not None:
            return
        self._lost = error
        pending, self._pending = self._pending, {}
        greeted, self._greeted = self._greeted, None
        self._unresolved.clear()
        self._loading = None
        self._watchers.clear()
        self._outgoing.clear()
        self._buffer.clear()
        self._due = self._greetBy = self._heard = inf
        for one in [*self._takeLoadWaiters(), *([] if greeted is None else [greeted])]:
            one.errback(error)
        for entry in pending.values():
            waiter, entry.waiter = entry.waiter, None
            if waiter is not None:
                waiter.errback(error)


def _prefix(first: int) -> int:
    """
    How long the size before a message is, by its first byte.

    @raise ProtocolError: it is no size.
    """
    if first < 0x80:
        return 1
    if first not in _SIZES:
        raise ProtocolError("size")
    return _SIZES[first]
