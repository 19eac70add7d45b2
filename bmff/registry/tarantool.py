"""
The registry on Tarantool (C{etc/tarantool/registry.lua}), which the nodes of many hosts may share.

Rows are read from memory. One request waits at the server for the next change and is answered at
once when there is one (C{wait_changes}), so that nobody asks for what has not changed. When the
server is away the rows stay, and are read anew when it, or another one of the addresses, is back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.task import deferLater
from twisted.logger import ILogObserver, LogEvent, Logger, LogLevel, globalLogPublisher
from twisted.python.failure import Failure
from zope.interface import implementer

from bmff.errors import ConfigurationError, Mistake, ProtocolError, TransportUnavailable
from bmff.ibmff import IRegistry, RegistrySettings, RegistryUnavailable
from bmff.protocols.tarantool import (
    Limits,
    RequestRefused,
    RequestTimedOut,
    Tarantool,
    TarantoolClient,
    TarantoolError,
    UnknownName,
)
from bmff.registry.memory import STOPPED, RowsInMemory
from bmff.registry.rows import Row
from bmff.registry.tarantoolrows import TarantoolRows, columnsOf
from bmff.tables import SPACES

POLL: Final = 0.5  # seconds that the server may wait for a change; then the rows are current
POLL_LIMIT: Final = POLL + 2.0  # seconds after which a server that does not answer is given up
WRITE_LIMIT: Final = 2.0  # seconds for one write
SILENCE: Final = 1.5  # seconds without a word until the server is asked for one, and again
CONNECT_LIMIT: Final = 3  # seconds for one address
FIRST_RETRY: Final = 0.05  # seconds after which a lost server is tried again, doubled each time
LAST_RETRY: Final = 0.5  # seconds between tries in the long run
START_LIMIT: Final = 3.0  # seconds after which a node starts without the rows
DENIAL_LIMIT: Final = 1.0  # seconds in which a server that is being set up may deny everything
STOP_LIMIT: Final = 2.0  # seconds for what is still to be written
NOT_READY: Final = 0.05  # seconds until a server that is being set up is asked again
LATER: Final = 1.0  # seconds until one that has met with another error is

# Errors of the server (src/box/errcode.h).
ACCESS_DENIED: Final = 42
NO_SUCH_FUNCTION: Final = 33
NO_SUCH_USER: Final = 45
WRONG_PASSWORD: Final = 47
LUA_ERROR: Final = 32  # the script of the registry has refused it
_DENIALS: Final = {
    ACCESS_DENIED: "it may not do that",
    NO_SUCH_USER: "there is no such user",
    WRONG_PASSWORD: "wrong password",
}

_FAILURES: Final = (
    ProtocolError,
    RequestRefused,
    RequestTimedOut,
    TransportUnavailable,
    UnknownName,
)


def make(reactor: Any, settings: RegistrySettings) -> TarantoolRegistry:
    """
    The registry that the configuration names.

    @raise ConfigurationError: there is no such password.
    """
    settings.password()  # a mistake is told at once
    return TarantoolRegistry(reactor, settings)


@implementer(ILogObserver)
class _Faults:
    """
    Takes of the client's log what is a fault of ours: the registry says the rest, once.
    """

    def __call__(self, event: LogEvent) -> None:
        if event["log_level"] >= LogLevel.error:
            globalLogPublisher(event)


class _Client(TarantoolClient):
    """
    Keeps the connection, and tells why an address does not let it in.
    """

    _own = Logger(observer=_Faults())
    tellRefused: Callable[[str, Exception], None]

    def refused(self, address: str, error: Exception) -> None:
        """
        @see: L{TarantoolClient.refused}
        """
        super().refused(address, error)
        self.tellRefused(address, error)


@dataclass(frozen=True, slots=True)
class _Write:
    """
    A row to write or to remove.

    @ivar table: its name, as in L{IRegistry.watch}.
    @ivar key: the columns of its key.
    @ivar row: L{None} to remove it.
    @ivar done: fires when it is done and in the mapping.
    """

    table: str
    key: tuple[int, ...]
    row: Row | None
    done: Deferred[None]


@implementer(IRegistry)
class TarantoolRegistry(RowsInMemory):
    """
    A registry on Tarantool.
    """

    _log = Logger()

    def __init__(self, reactor: Any, settings: RegistrySettings) -> None:
        """
        @param reactor: its clock monotonic.
        @param settings: addresses, user and password of the server.
        """
        super().__init__(reactor, settings.transports)
        self._reactor = reactor
        self._settings = settings
        self._contents = TarantoolRows(settings.transports)
        self._epoch: str | None = None
        self._sequence = 0
        self._names = {
            f"{one}:timeout={CONNECT_LIMIT}": one.replace("\\", "") for one in settings.addresses
        }
        self._client: _Client | None = None
        self._server: Tarantool | None = None  # the connection whose rows are read
        self._following: Deferred[None] | None = None
        self._queue: list[_Write] = []
        self._busy = False
        self._writing = succeed(None)  # what is done for the queue
        self._started: Deferred[None] | None = None  # until it has fired
        self._begun = 0.0
        self._startLimit: Any = None
        self._refusals: dict[str, str] = {}  # why there is no way in, by address
        self._denial = ""
        self._said = False
        self._stopping = False
        self._ended: Deferred[None] = Deferred()

    @property
    def user(self) -> str:
        """
        Who is logged in at the server.
        """
        return self._settings.user

    # Start and stop.

    def start(self) -> Deferred[None]:
        """
        Connect and read everything. Where no server can be reached now it goes on trying.
        """
        if self._client is not None and not self._ended.called:
            raise RuntimeError("the registry is started already")
        self._stopping, self._ended = False, Deferred()
        self._refusals.clear()
        self._denial, self._said = "", False
        self._client = client = _Client(
            self._reactor,
            self._names,
            user=self._settings.user,
            password=self._settings.password(),
            limits=Limits(silence=SILENCE),
            connected=self._connected,
            disconnected=self._disconnected,
            retry=self._retry,
        )
        client.tellRefused = self._refused
        self._begun = self._reactor.seconds()
        started: Deferred[None] = Deferred()
        self._started = started
        self.reason = "it is not connected yet"
        self._startLimit = self._reactor.callLater(START_LIMIT, self._startedWithout)
        client.startService()
        return started

    def stop(self) -> Deferred[None]:
        """
        Disconnect after what is being written, within 2 s where the server does not answer.
        """
        if self._client is None:
            return succeed(None)
        if not self._stopping:
            self._stopping = True
            self.available, self.reason = False, STOPPED
            Deferred.fromCoroutine(self._stop(self._client)).chainDeferred(self._ended)
        stopped: Deferred[None] = Deferred()
        self._ended.addCallbacks(_passing(stopped.callback), _passing(stopped.errback))
        return stopped

    async def _stop(self, client: _Client) -> None:
        if self._following is not None:
            self._following.cancel()
        abort = self._reactor.callLater(STOP_LIMIT, self._abort)
        written: Deferred[None] = Deferred()
        self._writing.addBoth(lambda _: written.callback(None))
        await written
        await client.stopService()
        if abort.active():
            abort.cancel()
        self._fireStarted()

    def _abort(self) -> None:
        if self._server is not None:
            self._server.abortConnection()

    def _fireStarted(self, failure: Failure | None = None) -> None:
        """
        The start is over, if it was not before.
        """
        started, self._started = self._started, None
        if started is not None:
            if self._startLimit.active():
                self._startLimit.cancel()
            started.callback(None) if failure is None else started.errback(failure)

    def _startedWithout(self) -> None:
        """
        Nobody waits any longer.
        """
        self._lost(self.reason)
        self._fireStarted()

    # The connection.

    def _connected(self, server: Tarantool) -> None:
        """
        Somebody has let us in.
        """
        self._refusals.clear()
        self._server = server
        self._following = Deferred.fromCoroutine(self._follow(server))
        self._following.addErrback(lambda failure: failure.trap(CancelledError) and None)
        self._following.addErrback(self._failed, server)

    def _failed(self, failure: Failure, server: Tarantool) -> None:
        self._log.failure("the registry failed", failure)
        server.abortConnection()

    def _disconnected(self, reason: str) -> None:
        """
        The connection has ended.
        """
        self._server = None
        self._lost(f"connection lost: {reason.rstrip('.')}")

    def _refused(self, description: str, error: Exception) -> None:
        """
        An address does not let us in.
        """
        name = self._names[description]
        if isinstance(error, TarantoolError) and error.code in _DENIALS:
            self._refusals[name] = self._deny(name, error.code)
        else:
            text = str(error) or type(error).__name__
            self._refusals[name] = f"{name}: {text.rstrip('.')}"

    def _deny(self, name: str, code: int) -> str:
        """
        A server does not want this user.

        @return: what to say of it.
        """
        self._denial = f"{name} denies user {self._settings.user}: {_DENIALS[code]}"
        return self._denial

    def _retry(self, attempt: int) -> float:
        """
        All addresses were tried, or the connection has ended.

        @return: seconds until they are tried again.
        """
        if self._refusals:
            self._lost("; ".join(self._refusals.values()))
            if self._denial:
                self._checkDenial()
            else:
                self._fireStarted()
        self._renewPassword()
        return min(FIRST_RETRY * 2.0 ** min(attempt - 1, 10), LAST_RETRY)

    def _renewPassword(self) -> None:
        """
        It may have been changed in the file of secrets.
        """
        assert self._client is not None
        try:
            self._client.password = self._settings.password()
        except ConfigurationError as error:
            self._lost(str(error))

    def _checkDenial(self) -> None:
        """
        Who is denied at the start for longer than a server takes to be set up is told to mend it.
        """
        denial, self._denial = self._denial, ""
        if self._started is None or self._reactor.seconds() - self._begun < DENIAL_LIMIT:
            return
        # In a turn of its own, as the client is not done with this one.
        self._reactor.callLater(0, self._giveUp, denial)

    def _giveUp(self, denial: str) -> None:
        if not self._stopping:
            self._fireStarted(Failure(ConfigurationError([Mistake("registry.user", denial)])))
            self.stop()
            self.reason = denial

    def _lost(self, reason: str) -> None:
        """
        The rows are not known to be current any more.
        """
        if self._stopping:
            return
        if not self._said:
            self._said = True
            self._log.warn(
                "the registry is not to be had, going on with what is known: {reason}",
                reason=reason,
            )
        self.available, self.reason = False, reason

    # Reading.

    async def _follow(self, server: Tarantool) -> None:
        """
        Know what the server knows, for as long as the connection lasts.
        """
        while not server.lost:
            try:
                await self._readAll(server)
                while await self._ask(server, POLL):
                    pass
            except TarantoolError as error:
                self._lost(self._reasonOf(error))
                soon = error.code in (NO_SUCH_FUNCTION, ACCESS_DENIED)
                await deferLater(self._reactor, NOT_READY if soon else LATER)
            except TransportUnavailable:
                return  # and L{_disconnected} says why
            except _FAILURES as error:
                self._lost(str(error) or "it does not answer")
                server.abortConnection()
                return

    def _reasonOf(self, error: TarantoolError) -> str:
        """
        Why a server that has let us in does not give its rows.
        """
        assert self._client is not None
        name = self._names[self._client.address]
        if error.code == NO_SUCH_FUNCTION:
            return f"{name} is not ready, or does not run the script of the registry: {error}"
        if error.code in _DENIALS:
            reason = self._deny(name, error.code)
            self._checkDenial()
            return reason
        return f"{name}: {error}"

    async def _readAll(self, server: Tarantool) -> None:
        """
        Read all rows.
        """
        answer = await server.call("read_rows", list(SPACES.values()), limit=POLL_LIMIT)
        epoch, sequence, rows = _checked(answer)
        if epoch != self._epoch or sequence >= self._sequence:
            self._contents.replace(rows)
            self._epoch, self._sequence = epoch, sequence
        self._read()

    async def _ask(self, server: Tarantool, seconds: float) -> bool:
        """
        Ask for changes.

        @param seconds: how long the server may wait for one.
        @return: whether they are known; if not, everything has to be read again.
        """
        since = self._sequence
        answer = await server.call("wait_changes", since, self._epoch, seconds, limit=POLL_LIMIT)
        epoch, sequence, changes = _checked(answer)
        if changes is None or epoch != self._epoch:
            return False
        if not isinstance(changes, list):
            raise ProtocolError("no changes of a registry")
        if sequence > self._sequence:
            # Another request may have told of the first of them meanwhile.
            self._contents.change(changes[self._sequence - since :])
            self._sequence = sequence
        self._read()
        return True

    def _read(self) -> None:
        """
        The rows are those of the server.
        """
        self._current = self._reactor.seconds()
        if not self.available and not self._stopping:
            if self._said:
                self._log.info("the registry is back")
            self._said = False
            self.available, self.reason = True, ""
        contents = self._contents
        self._rows.replace(contents.tables, contents.bad)
        self._fireStarted()

    # Writing.

    def _write(self, table: str, key: tuple[int, ...], row: Row | None) -> Deferred[None]:
        if not self.available:
            return fail(RegistryUnavailable(self.reason))
        write = _Write(table, key, row, Deferred())
        self._queue.append(write)
        if not self._busy:
            self._busy = True
            self._writing = Deferred.fromCoroutine(self._writeAll())
            self._writing.addErrback(self._writingFailed)
        return write.done

    def _writingFailed(self, failure: Failure) -> None:
        self._log.failure("the registry failed", failure)

    async def _writeAll(self) -> None:
        """
        Write all that is waiting, in the order that it was asked for in.
        """
        try:
            while self._queue:
                writes, self._queue = self._queue, []
                await self._writeSome(writes)
        finally:
            self._busy = False

    async def _writeSome(self, writes: list[_Write]) -> None:
        written = []
        for write in writes:
            try:
                await self._writeOne(write)
            except (ConfigurationError, RegistryUnavailable) as error:
                write.done.errback(error)
            else:
                written.append(write)
        try:
            if written:
                await self._seeOwn()
        except RegistryUnavailable as error:
            for write in written:
                write.done.errback(error)
            return
        for write in written:
            write.done.callback(None)

    async def _writeOne(self, write: _Write) -> None:
        """
        @raise ConfigurationError: the server does not take it.
        @raise RegistryUnavailable: there is no server that says so.
        """
        server, space = self._server, SPACES[write.table]
        if server is None:
            raise RegistryUnavailable(self.reason)
        try:
            if write.row is not None:
                await server.replace(space, columnsOf(write.row), limit=WRITE_LIMIT)
            elif min(write.key) >= 0:  # there is no other
                await server.delete(space, list(write.key), limit=WRITE_LIMIT)
        except TarantoolError as error:
            raise self._refusal(error, space) from None
        except _FAILURES as error:
            raise RegistryUnavailable(str(error) or "the server does not answer") from None

    def _refusal(self, error: TarantoolError, space: str) -> Exception:
        """
        What the server's answer to a write means.
        """
        if error.code == ACCESS_DENIED:
            message = f"{self._settings.user} may not write {space}; bmadmin may"
            return ConfigurationError([Mistake("registry.user", message)])
        if error.code == LUA_ERROR:
            place, _, message = error.message.partition(": ")
            return ConfigurationError([Mistake(place, message or "is refused by the server")])
        return RegistryUnavailable(f"the server refuses it: {error}")

    async def _seeOwn(self) -> None:
        """
        Have what was written in the mapping.

        @raise RegistryUnavailable: the server is away meanwhile.
        """
        server = self._server
        if server is None:
            raise RegistryUnavailable(self.reason)
        try:
            if not await self._ask(server, 0):
                await self._readAll(server)
        except TarantoolError as error:
            raise RegistryUnavailable(str(error)) from None
        except _FAILURES as error:
            raise RegistryUnavailable(str(error) or "the server does not answer") from None


def _checked(answer: list[Any]) -> tuple[str, int, Any]:
    """
    Epoch, sequence and what comes with them.

    @raise ProtocolError: the server has answered something else.
    """
    if len(answer) != 3 or not isinstance(answer[0], str) or type(answer[1]) is not int:
        raise ProtocolError("no answer of a registry")
    return answer[0], answer[1], answer[2]


def _passing(function: Callable[[Any], object]) -> Callable[[Any], Any]:
    """
    A callback that hands its result on to somebody else as well.
    """

    def passing(result: Any) -> Any:
        function(result)
        return result

    return passing
