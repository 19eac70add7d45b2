"""
Requests to Tarantool: C{select} of one row, many in flight, against the official connector, which
sends one and waits (C{tarantool} of PyPI).

Server and clients have a processor each. Both clients find the space by its name and ask over TCP;
they take turns. Needs C{tarantool} on the path and the extra C{bench}.
"""

from __future__ import annotations

import os
import sys
import time
from importlib import import_module
from statistics import median
from typing import Any, Final

from twisted.internet import reactor as anyReactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import clientFromString, connectProtocol
from twisted.internet.task import react

from benchmarks._node import CLIENT_CPU, NODE_CPU
from benchmarks._report import Report, arguments
from bmff.protocols.tarantool import Tarantool
from bmff.testing.requirements import requirement
from tests.tarantoolserver import PASSWORD, USER, TarantoolServer

ROWS: Final = 1000
DEPTHS: Final = (1, 64)
SPACE: Final = f"""
local space = box.schema.space.create('rows', {{if_not_exists = true}})
space:create_index('primary', {{if_not_exists = true}})
for number = 0, {ROWS - 1} do space:replace({{number, 'row ' .. number, 62, 440}}) end
"""


class Asking:
    """
    Requests of one round, always as many in flight.

    @ivar done: fires when all are answered.
    """

    def __init__(self, tarantool: Tarantool, count: int, depth: int) -> None:
        self.done: Deferred[None] = Deferred()
        self._tarantool = tarantool
        self._left = count
        self._open = 0
        for _ in range(depth):
            self._ask()

    def _ask(self) -> None:
        self._left -= 1
        self._open += 1
        self._tarantool.select("rows", (self._left % ROWS,)).addCallbacks(
            self._answered, self.done.errback
        )

    def _answered(self, rows: list[Any]) -> None:
        self._open -= 1
        if len(rows) != 1:
            self.done.errback(ValueError(f"{len(rows)} rows"))
        elif self._left:
            self._ask()
        elif not self._open:
            self.done.callback(None)


async def ours(tarantool: Tarantool, count: int, depth: int) -> float:
    """
    Requests a second.
    """
    began = time.perf_counter()
    await Asking(tarantool, count, depth).done
    return count / (time.perf_counter() - began)


def theirs(connection: Any, count: int) -> float:
    """
    Requests a second.
    """
    began = time.perf_counter()
    for number in range(count):
        if len(connection.select("rows", (number % ROWS,))) != 1:
            raise ValueError("no row")
    return count / (time.perf_counter() - began)


async def measure(reactor: Any, rounds: int, count: int) -> dict[str, list[float]]:
    """
    All rounds.

    @param count: requests of the connector's in a round; ours are four times as many.
    @return: requests a second of each round, by client.
    """
    connector: Any = import_module("tarantool")
    clients = ["connector", *map(str, DEPTHS)]
    found: dict[str, list[float]] = {client: [] for client in clients}
    server = TarantoolServer(SPACE, tcp=True)
    try:
        server.start()
        os.sched_setaffinity(server.process.pid, {NODE_CPU})
        for task in os.listdir(f"/proc/{server.process.pid}/task"):
            os.sched_setaffinity(int(task), {NODE_CPU})
        endpoint = clientFromString(reactor, server.address)
        tarantool = await connectProtocol(endpoint, Tarantool(reactor))
        await tarantool.login(USER, PASSWORD)
        host, port = server.address.split(":")[1:]
        connection = connector.connect(host, int(port), user=USER, password=PASSWORD)
        for turn in range(rounds + 1):
            rates = {"connector": theirs(connection, count)}
            for depth in DEPTHS:
                rates[str(depth)] = await ours(tarantool, 4 * count, depth)
            if turn:  # the first warms everything up
                for client, rate in rates.items():
                    found[client].append(rate)
        connection.close()
        tarantool.loseConnection()
    finally:
        server.remove()
    return found


async def benchmark(reactor: Any) -> None:
    """
    Measure and print.
    """
    asked = arguments(__doc__.strip().splitlines()[0], rounds=7, count=5000)
    missing = requirement("tarantool")
    if missing is None:
        try:
            import_module("tarantool")
        except ImportError:
            missing = "no connector to compare with (pip install bmff[bench])"
    if missing is not None:
        print(f"iproto: left out: {missing}", file=sys.stderr)
        return
    os.sched_setaffinity(0, {CLIENT_CPU})
    found = await measure(reactor, asked.rounds, asked.count)
    rates = {client: median(each) for client, each in found.items()}
    Report(
        "iproto",
        {str(depth): rates[str(depth)] / rates["connector"] for depth in DEPTHS},
        {
            "bar": ">= 5 with 64 in flight",
            "requests a second": {client: round(rate) for client, rate in rates.items()},
            "slowest round with 64": round(
                min(
                    one / other for one, other in zip(found["64"], found["connector"], strict=True)
                ),
                2,
            ),
        },
        "the official connector, one request at a time",
    ).show(asked.json)


def main(reactor: Any) -> Deferred[None]:
    """
    For L{react}.
    """
    return Deferred.fromCoroutine(benchmark(reactor))


if __name__ == "__main__":
    react(main, (), anyReactor)
