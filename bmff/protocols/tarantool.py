"""
A client of Tarantool (IPROTO, tarantool.io, "Binary protocol"): one connection as a Twisted
protocol, and a service that keeps one open to the first of several addresses that lets it in.

It needs nothing else of bmff. Requests are pipelined: each goes out at once, and its C{Deferred}
fires when its answer comes, in whatever order the server answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeVar, cast

from twisted.application.internet import ClientService
from twisted.internet.defer import Deferred, fail
from twisted.internet.endpoints import clientFromString
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import (
    IAddress,
    IProtocol,
    IProtocolFactory,
    IReactorTime,
    IStreamClientEndpoint,
    ITCPTransport,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import ILogObserver, LogEvent, Logger, LogLevel, globalLogPublisher
from twisted.python.failure import Failure
from zope.interface import implementer

from bmff.errors import ProtocolError, TransportUnavailable
from bmff.protocols.alarm import Alarm
from bmff.wire.iproto import codes, messages
from bmff.wire.iproto.codes import Iterator
from bmff.wire.iproto.failures import (
    RequestRefused,
    RequestTimedOut,
    TarantoolError,
    UnknownName,
    Unsupported,
)
from bmff.wire.iproto.messages import Greeting, Identity, Name, Operation, Row
from bmff.wire.iproto.session import LIMIT, Limits, Session

__all__ = (
    "Iterator",
    "Limits",
    "RequestRefused",
    "RequestTimedOut",
    "Tarantool",
    "TarantoolClient",
    "TarantoolError",
    "TarantoolRequests",
    "UnknownName",
    "Unsupported",
)

TICK: Final = 0.01  # seconds; how exactly limits are kept
FIRST_RETRY: Final = 0.1  # seconds after which a lost server is tried again
LAST_RETRY: Final = 1.0  # seconds between tries in the long run

_Result = TypeVar("_Result")


class TarantoolRequests:
    """
    The requests, in the words of the database. Each returns a C{Deferred} and raises nothing.

    It fails with L{TarantoolError} when the server refuses; L{RequestTimedOut}; L{UnknownName};
    L{RequestRefused} when too many requests are in flight; L{TransportUnavailable} when there is no
    connection or it ends; L{ProtocolError} when the server breaks the protocol; C{TypeError},
    C{ValueError} or C{OverflowError} for values that the database has not. Cancelling it has the
    answer ignored; the server does the request all the same.

    C{limit} is the time that a request may take, in seconds.
    """

    def submit(self, operation: Operation, limit: float) -> Deferred[Any]:
        """
        Send any request.
        """
        raise NotImplementedError

    def ping(self, limit: float = LIMIT) -> Deferred[None]:
        """
        Ask whether the server is there.
        """
        return self.submit(messages.ping(), limit)

    def select(
        self,
        space: Name,
        key: Sequence[Any] = (),
        *,
        index: Name = 0,
        rows: int = codes.ALL_ROWS,
        offset: int = 0,
        iterator: Iterator | None = None,
        limit: float = LIMIT,
    ) -> Deferred[list[Row]]:
        """
        Read rows.

        @param space: its name or number.
        @param key: the first fields of the index, as many as wanted.
        @param index: its name or number.
        @param rows: how many at the most.
        @param offset: how many to leave out.
        @param iterator: where to go from the key; those that equal it when not said, and all
            when there is no key.
        """
        if iterator is None:
            iterator = Iterator.EQ if key else Iterator.ALL
        return self.submit(messages.select(space, key, index, rows, offset, iterator), limit)

    def insert(self, space: Name, row: Sequence[Any], *, limit: float = LIMIT) -> Deferred[Row]:
        """
        Write a row that must be new.

        @return: the row as it is there.
        """
        return self.submit(messages.insert(space, row), limit)

    def replace(self, space: Name, row: Sequence[Any], *, limit: float = LIMIT) -> Deferred[Row]:
        """
        Write a row in place of the one with its key, if there is one.

        @return: the row as it is there.
        """
        return self.submit(messages.replace(space, row), limit)

    def update(
        self,
        space: Name,
        key: Sequence[Any],
        operations: Iterable[Sequence[Any]],
        *,
        index: Name = 0,
        limit: float = LIMIT,
    ) -> Deferred[Row | None]:
        """
        Change fields of a row.

        @param operations: each C{(sign, field, value)}: C{("=", 1, "new")}, C{("+", 2, 5)}; fields
            count from 0.
        @return: the row as it is there, L{None} when there is none.
        """
        return self.submit(messages.update(space, key, operations, index), limit)

    def upsert(
        self,
        space: Name,
        row: Sequence[Any],
        operations: Iterable[Sequence[Any]],
        *,
        limit: float = LIMIT,
    ) -> Deferred[None]:
        """
        Change fields of the row that has the key of this one, or write this one.
        """
        return self.submit(messages.upsert(space, row, operations), limit)

    def delete(
        self, space: Name, key: Sequence[Any], *, index: Name = 0, limit: float = LIMIT
    ) -> Deferred[Row | None]:
        """
        Remove a row.

        @return: the row that was there, if one was.
        """
        return self.submit(messages.delete(space, key, index), limit)

    def call(self, function: str, *arguments: Any, limit: float = LIMIT) -> Deferred[list[Any]]:
        """
        Call a stored function.

        @return: all that it returns.
        """
        return self.submit(messages.call(function, arguments), limit)

    def evaluate(
        self, expression: str, *arguments: Any, limit: float = LIMIT
    ) -> Deferred[list[Any]]:
        """
        Run Lua (C{eval}); the arguments are its C{...}.

        @return: all that it returns.
        """
        return self.submit(messages.evaluate(expression, arguments), limit)


class _Answer(Deferred[Any]):
    """
    What a request returns.

    @ivar sync: its number, 0 when it was never sent.
    """

    sync = 0


class Tarantool(TarantoolRequests, Protocol):
    """
    One connection, on any stream transport.

    @ivar session: its state: greeting, schema, counters.
    @ivar lost: why there is no connection any more; empty while there is one.
    """

    _log = Logger()

    def __init__(self, clock: IReactorTime, limits: Limits | None = None) -> None:
        """
        @param clock: the reactor.
        """
        self.session = Session(limits)
        self.lost = ""
        self._clock = clock
        self._alarm = Alarm(clock, self.session.deadline, self._due, TICK)
        self._greeted: Deferred[Greeting] = Deferred()
        self._reading = False
        self._reason: Exception | None = None

    # What the transport calls.

    def connectionMade(self) -> None:
        """
        @see: L{IProtocol.connectionMade}
        """
        if ITCPTransport.providedBy(self.transport):
            self.transport.setTcpNoDelay(True)
        self.session.start(self._greeted, self._clock.seconds())
        self._alarm.rearm()

    def dataReceived(self, data: bytes) -> None:
        """
        @see: L{IProtocol.dataReceived}
        """
        self._reading = True
        try:
            self.session.receive(data, self._clock.seconds())
        except ProtocolError as error:
            self._abort(error)
        finally:
            self._reading = False
        # What answers have led to leaves in one write.
        self._flush()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        @see: L{IProtocol.connectionLost}
        """
        error = self._reason or TransportUnavailable(reason.getErrorMessage())
        self.lost = str(error)
        self._alarm.stop()
        self.session.lost(error)

    def loseConnection(self) -> None:
        """
        End it; requests that are not answered fail.
        """
        if self.transport is not None:
            self.transport.loseConnection()

    def abortConnection(self) -> None:
        """
        End it at once, whatever is still to be sent.
        """
        if self.transport is not None:
            self.transport.abortConnection()  # type: ignore[attr-defined]  # every stream has it

    def _abort(self, error: Exception) -> None:
        """
        End it at once: nothing good can come any more.
        """
        if self._reason is None:
            self._reason = error
        self.abortConnection()

    def _due(self, now: float) -> None:
        """
        The session's deadline has come.
        """
        if self.session.timeout(now):
            self._flush()
        else:
            self._abort(TransportUnavailable("Tarantool is silent"))

    def _flush(self) -> None:
        """
        Send what there is.
        """
        data = self.session.outgoing()
        if data and self.transport is not None:
            self.transport.write(data)
        self._alarm.rearm()

    # Requests.

    def submit(self, operation: Operation, limit: float) -> Deferred[Any]:
        """
        @see: L{TarantoolRequests.submit}
        """
        answer = _Answer(self._cancelled)
        try:
            answer.sync = self.session.request(operation, answer, self._clock.seconds(), limit)
        except (
            RequestRefused,
            TransportUnavailable,
            TypeError,
            ValueError,
            OverflowError,
        ) as error:
            answer.errback(error)
            return answer
        if not self._reading:
            self._flush()
        return answer

    def _cancelled(self, answer: Deferred[Any]) -> None:
        self.session.abandon(cast(_Answer, answer).sync)

    def watch(self, key: str, watcher: Callable[[str, Any], object]) -> None:
        """
        Be told what C{box.broadcast} sets on the server: now and after each change, for as long as
        this connection lasts. From Tarantool 2.10; by the published document.

        @param watcher: called with the key and the value; what it raises is logged.
        @raise Unsupported: the server is older, or C{login} has not asked it.
        @raise RequestRefused: too many keys are watched.
        """

        def tell(key: str, value: Any) -> None:
            try:
                watcher(key, value)
            except Exception:
                self._log.failure("tarantool: a watcher of {key!r} failed", key=key)

        self.session.watch(key, tell)
        if not self._reading:
            self._flush()

    def unwatch(self, key: str) -> None:
        """
        Be told no more.
        """
        self.session.unwatch(key)
        if not self._reading:
            self._flush()

    # The way in.

    async def login(self, user: str = "", password: str = "") -> None:
        """
        Wait for the greeting, ask what the server can do, log in, look the names up.

        @param user: a guest when empty.
        @raise TarantoolError: the server lets nobody in like that; 47 for a wrong password.
        @raise TransportUnavailable: the connection has ended, or nothing is said on it.
        @raise ProtocolError: whoever is there does not speak IPROTO.
        """
        greeting = await self._greeting()
        try:
            self.session.identity = await self._get(Identity, messages.identify())
        except TarantoolError as error:
            if error.code != codes.UNKNOWN_REQUEST_TYPE:  # what it says before 2.10
                raise
        if user:
            await self.submit(messages.authenticate(user, password, greeting.salt), LIMIT)
        named: Deferred[None] = Deferred()
        self.session.loadSchema(named, self._clock.seconds())
        self._flush()
        await named

    async def _greeting(self) -> Greeting:
        """
        What the server says first.
        """
        waiting: Deferred[None] = Deferred()
        self._greeted.addBoth(lambda _: waiting.callback(None))
        await waiting
        if self.session.greeting is None:
            raise self._reason or TransportUnavailable(self.lost)
        return self.session.greeting

    async def _get(self, kind: type[_Result], operation: Operation) -> _Result:
        result: _Result = await self.submit(operation, LIMIT)
        return result


class _Gate(Protocol):
    """
    Stands between a transport and what L{ClientService} has made of a connection until that has
    logged in: the service takes no end of a connection that it does not know of yet (its state
    machine has no such transition).

    @ivar open: whether the service knows of it.
    """

    def __init__(self, tarantool: Tarantool, proxy: IProtocol, client: TarantoolClient) -> None:
        self.open = False
        self.tarantool = tarantool
        self.proxy = proxy
        self._client = client

    def connectionMade(self) -> None:
        """
        @see: L{IProtocol.connectionMade}
        """
        assert self.transport is not None
        self.proxy.makeConnection(self.transport)

    def dataReceived(self, data: bytes) -> None:
        """
        @see: L{IProtocol.dataReceived}
        """
        self.tarantool.dataReceived(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        @see: L{IProtocol.connectionLost}
        """
        if not self.open:
            self.tarantool.connectionLost(reason)
            return
        self._client.left(self.tarantool)
        self.proxy.connectionLost(reason)
        self._client.tellLost(self.tarantool)


@implementer(IProtocolFactory)
class _Gates(Factory):
    """
    Makes the gate of one connection.

    @ivar gate: the gate, as soon as there is one.
    """

    noisy = False

    def __init__(self, factory: IProtocolFactory, client: TarantoolClient) -> None:
        self.gate: _Gate | None = None
        self._factory = factory
        self._client = client

    def buildProtocol(self, addr: IAddress | None) -> _Gate | None:
        """
        @see: L{IProtocolFactory.buildProtocol}
        """
        proxy = self._factory.buildProtocol(addr)  # type: ignore[arg-type]  # None is an address
        if proxy is None:
            return None
        self.gate = _Gate(self._client.made, proxy, self._client)
        return self.gate


@implementer(IStreamClientEndpoint)
class _Entrance:
    """
    Connects to the first of a client's addresses that lets it in.
    """

    def __init__(
        self, client: TarantoolClient, endpoints: Iterable[tuple[str, IStreamClientEndpoint]]
    ) -> None:
        """
        @param endpoints: each with its name for people.
        """
        self._client = client
        self._endpoints = list(endpoints)

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """
        @see: L{IStreamClientEndpoint.connect}
        """
        return Deferred.fromCoroutine(self._connect(protocolFactory))

    async def _connect(self, factory: IProtocolFactory) -> IProtocol:
        error: Exception = TransportUnavailable("no address")
        for _ in self._endpoints:
            name, endpoint = self._endpoints[0]
            try:
                return await self._enter(name, endpoint, factory)
            except _NO_WAY_IN as reason:
                error = reason
                self._client.refused(name, reason)
                self.advance()
        raise error

    def advance(self) -> None:
        """
        Begin with the next address: what is at this one may be hung, and take its time to show it.
        """
        self._endpoints.append(self._endpoints.pop(0))

    async def _enter(
        self, name: str, endpoint: IStreamClientEndpoint, factory: IProtocolFactory
    ) -> IProtocol:
        gates = _Gates(factory, self._client)
        await endpoint.connect(gates)
        gate = gates.gate
        assert gate is not None
        tarantool = gate.tarantool
        try:
            await tarantool.login(self._client.user, self._client.password)
        except BaseException:  # also when it is cancelled
            tarantool.abortConnection()
            raise
        gate.open = True
        self._client.entered(name, tarantool)
        return gate.proxy


# What one address fails with and the next may not.
_NO_WAY_IN: Final = (
    ConnectError,
    OSError,
    ProtocolError,
    RequestRefused,
    RequestTimedOut,
    TarantoolError,
    TransportUnavailable,
)


@implementer(ILogObserver)
class _Quiet:
    """
    Keeps from the log what L{ClientService} says at each try; the client says it once.
    """

    def __call__(self, event: LogEvent) -> None:
        if event["log_level"] >= LogLevel.warn:
            globalLogPublisher(event)


@implementer(IProtocolFactory)
class _Connections(Factory):
    """
    Makes the protocol of each connection.
    """

    noisy = False

    def __init__(self, client: TarantoolClient) -> None:
        self._client = client

    def buildProtocol(self, addr: IAddress | None) -> Tarantool:
        """
        @see: L{IProtocolFactory.buildProtocol}
        """
        return self._client.make()


class TarantoolClient(TarantoolRequests, ClientService):
    """
    A service that keeps one connection: to the first address that lets it in, and when that is
    lost to the next in the circle that does. Requests go to the connection that there is and fail
    with L{TransportUnavailable} while there is none; none is sent twice.

    @ivar connection: the connection, L{None} while there is none.
    @ivar reason: why there is none, for people; empty while there is one.
    @ivar address: where it is, or where the one before was; empty before the first.
    @ivar user: who logs in, empty for a guest.
    @ivar password: of the user.
    @ivar made: the connection that was made last, whatever has become of it.
    """

    _log = Logger(observer=_Quiet())
    _own = Logger()
    made: Tarantool

    def __init__(
        self,
        reactor: IReactorTime,
        addresses: Iterable[str | IStreamClientEndpoint],
        *,
        user: str = "",
        password: str = "",
        limits: Limits | None = None,
        connected: Callable[[Tarantool], object] | None = None,
        disconnected: Callable[[str], object] | None = None,
        retry: Callable[[int], float] | None = None,
    ) -> None:
        """
        @param addresses: endpoints, or descriptions of them (C{"tcp:127.0.0.1:3301"},
            C{"unix:/run/tarantool.sock"}), in the order that they are tried in.
        @param limits: of each connection.
        @param connected: called with each connection that is logged in.
        @param disconnected: called with the reason when such a one has ended.
        @param retry: seconds to wait after so many rounds through all addresses without success.
        @raise ValueError: there is no address, or one is none.
        """
        endpoints = [
            (str(one), clientFromString(reactor, one) if isinstance(one, str) else one)
            for one in addresses
        ]
        if not endpoints:
            raise ValueError("no address of Tarantool")
        self.connection: Tarantool | None = None
        self.reason = "not connected yet"
        self.address = ""
        self.user = user
        self.password = password
        self._reactor = reactor
        self._limits = limits
        self._connected = connected
        self._disconnected = disconnected
        self._said = ""
        self._entrance = _Entrance(self, endpoints)
        ClientService.__init__(
            self,
            self._entrance,
            _Connections(self),
            retryPolicy=retry or pause,
            clock=reactor,
        )

    def submit(self, operation: Operation, limit: float) -> Deferred[Any]:
        """
        @see: L{TarantoolRequests.submit}
        """
        if self.connection is None:
            return fail(TransportUnavailable(self.reason))
        return self.connection.submit(operation, limit)

    # What the parts of a connection tell.

    def make(self) -> Tarantool:
        """
        The protocol of the next connection.
        """
        self.made = Tarantool(self._reactor, self._limits)
        return self.made

    def refused(self, address: str, error: Exception) -> None:
        """
        An address does not let us in.
        """
        self.reason = str(error) or type(error).__name__
        if self._said != self.reason:
            self._said = self.reason
            self._own.warn(
                "tarantool: no way in at {address}: {reason}",
                address=address,
                reason=self.reason,
            )

    def entered(self, address: str, tarantool: Tarantool) -> None:
        """
        A connection is logged in.
        """
        self.connection = tarantool
        self.reason = self._said = ""
        self.address = address
        self._own.info("tarantool: connected to {address}", address=address)
        if self._connected is not None:
            self._call(self._connected, tarantool)

    def left(self, tarantool: Tarantool) -> None:
        """
        A connection is gone; those who wait for its answers will be told next.
        """
        if self.connection is tarantool:
            self.connection = None
            self.reason = "connection lost"
            self._entrance.advance()

    def tellLost(self, tarantool: Tarantool) -> None:
        """
        They have been told.
        """
        self.reason = tarantool.lost
        if self.running:
            self._own.warn("tarantool: connection lost: {reason}", reason=self.reason)
        if self._disconnected is not None:
            self._call(self._disconnected, self.reason)

    def _call(self, function: Callable[[Any], object], argument: Any) -> None:
        try:
            function(argument)
        except Exception:
            self._own.failure("tarantool: what was to be told has failed")


def pause(attempt: int) -> float:
    """
    Seconds until a lost server is tried again: soon at first, then once a second.

    @param attempt: how many have failed.
    """
    return min(FIRST_RETRY * 2.0 ** min(attempt - 1, 10), LAST_RETRY)
