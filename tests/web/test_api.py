"""
Tests of L{bmff.web.api}: every answer is as the description of the API says, over TCP.
"""

from __future__ import annotations

import json
import os
from typing import Any

import msgpack  # type: ignore[import-untyped]
from jsonschema import Draft202012Validator, FormatChecker
from twisted.trial.unittest import SynchronousTestCase

from bmff.web import schemas
from bmff.web.operation import EVENT_STREAM
from bmff.web.resource import JSON, MESSAGEPACK
from bmff.web.schema import Schema, fields, integer, nullable, number, rows, text, truth, violation
from tests.web.apicase import (
    OPERATOR,
    OTHER,
    READER,
    STATION,
    ApiTestCase,
    SomeNode,
    age,
)
from tests.web.case import Answer

ORDERS = {
    "/path": {"node": 25012, "transport": "tcp"},
    "/drain": {},
    "/undrain": {},
    "/reload": {},
    "/disconnect": {"peer": 2340002},
    "/ban": {"peer": 2340002, "reason": "noise"},
    "/unban": {"peer": 2340002},
    "/static": {"peer": 2340002, "slot1": [91, 92], "slot2": None},
    "/override": {"node": 25012, "transport": "tcp", "address": "192.0.2.12", "port": 54001},
    "/drop": {"stream": "0000beef"},
    "/message": {"source": 9990, "destination": 2340001, "private": True, "text": "hello"},
    "/login": {"token": READER},
    "/logout": {},
}


class SchemaTests(SynchronousTestCase):
    """
    The check of orders.
    """

    def test_same(self) -> None:
        """
        What is refused is what a validator of others refuses.
        """
        schema = fields(
            a=integer(1, 5),
            b_=nullable(rows(text(minLength=1, maxLength=2, pattern="^[a-z]*$"), maxItems=2)),
            c_=truth(),
            d_=number(minimum=0),
            e_=text(enum=["x"]),
        )
        validator = Draft202012Validator(schema)
        values: tuple[Any, ...] = (
            {"a": 1},
            {"a": 0},
            {"a": 6},
            {"a": True},
            {"a": "1"},
            {"a": None},
            {},
            {"a": 1, "z": 1},
            {"a": 1, "b": None},
            {"a": 1, "b": []},
            {"a": 1, "b": ["a", "bc"]},
            {"a": 1, "b": ["a", "b", "c"]},
            {"a": 1, "b": ["abc"]},
            {"a": 1, "b": [""]},
            {"a": 1, "b": ["A"]},
            {"a": 1, "b": [1]},
            {"a": 1, "b": {}},
            {"a": 1, "c": False},
            {"a": 1, "c": 0},
            {"a": 1, "d": 0.5},
            {"a": 1, "d": -0.5},
            {"a": 1, "e": "x"},
            {"a": 1, "e": "y"},
            [],
            None,
            "a",
        )
        for value in values:
            self.assertEqual(
                (value, violation(schema, value, "it") == ""), (value, validator.is_valid(value))
            )

    def test_described(self) -> None:
        """
        Everything that is said of answers and orders is JSON Schema.
        """
        named = {
            name: each
            for name, each in vars(schemas).items()
            if name[0].isupper() and isinstance(each, dict)
        }
        self.assertGreater(len(named), 30)
        for schema in named.values():
            Draft202012Validator.check_schema(schema)


class AnswersTests(ApiTestCase):
    """
    A node where everything is there.
    """

    async def describe(self) -> dict[str, Any]:
        """
        The description as it is served.
        """
        content: dict[str, Any] = (await self.request("/openapi.json")).content
        return content

    def check(self, path: str, method: str, answer: Answer, described: dict[str, Any]) -> None:
        """
        See that an answer is as described.
        """
        responses = described["paths"][path][method]["responses"]
        self.assertIn(str(answer.status), responses, (path, method))
        ((kind, content),) = responses[str(answer.status)]["content"].items()
        self.assertEqual((path, answer.headers["content-type"].split(";")[0]), (path, kind))
        self.assertEqual(answer.headers["cache-control"], "no-store")
        self.assertEqual(answer.headers["x-content-type-options"], "nosniff")
        if kind == JSON:
            schema: Schema = content["schema"] | {"components": described["components"]}
            validator = Draft202012Validator(schema, format_checker=FormatChecker())
            errors = [
                f"{path}: {error.json_path}: {error.message}"
                for error in validator.iter_errors(json.loads(answer.body))
            ]
            self.assertEqual(errors, [])

    async def answers(self, status: int = 200) -> None:
        """
        Ask for everything that can be read, with and without a token.
        """
        described = await self.describe()
        for path, operations in described["paths"].items():
            kinds = operations.get("get", {}).get("responses", {}).get("200", {}).get("content", {})
            if "get" not in operations or EVENT_STREAM in kinds:
                continue
            for token in ("", READER):
                resource = path.replace("{object}", "node")
                answer = await self.request(resource, token=token)
                wanted = (200, 503) if path == "/health" else (status,)
                self.assertIn(answer.status, wanted, path)
                self.check(path, "get", answer, described)

    async def test_views(self) -> None:
        """
        Each view is as described, to whoever asks, while calls are on and after.
        """
        hotspot = self.node.hotspot(STATION)
        self.node.hotspot(OTHER)
        self.node.orders.ban(7, "noise")
        self.node.orders.setStatic(2340002, 1, (91,))
        self.node.call(hotspot, frames=0, stream=1)
        self.node.call(hotspot)
        calls = (await self.request("/calls")).content
        self.assertEqual((len(calls["calls"]), len(calls["ended"])), (1, 1))
        await self.answers()

    async def test_verbs(self) -> None:
        """
        Each verb is described, and its answer, good or not, is as described.
        """
        described = await self.describe()
        verbs = {path for path, operations in described["paths"].items() if "post" in operations}
        self.assertEqual(verbs, ORDERS.keys())
        self.node.call(self.node.hotspot(STATION))
        for path, order in ORDERS.items():
            for token in (OPERATOR, ""):
                for each in (order, {"unknown": 1}):
                    answer = await self.request(path, each, token=token)
                    self.check(path, "post", answer, described)
            answer = await self.request(path, token=OPERATOR)
            self.check(path, "post", answer, described)

    async def test_unique(self) -> None:
        """
        Operations have names of their own.
        """
        described = await self.describe()
        names = [
            operation["operationId"]
            for operations in described["paths"].values()
            for operation in operations.values()
        ]
        self.assertEqual(len(names), len(set(names)))

    async def test_nothingElse(self) -> None:
        """
        What is served is described, and what is described is served.
        """
        described = {path.split("/")[1] for path in (await self.describe())["paths"]}
        self.assertEqual(described, set(self.node.api.resources))

    async def test_missing(self) -> None:
        """
        What is not there is 404 in JSON.
        """
        for path in ("/", "/nothing", "/lastheard/x", "/health/x", "/health/node/x", "/status/x"):
            answer = await self.request(path)
            self.assertEqual((path, answer.status), (path, 404))
            self.assertEqual(answer.content, {"error": "no such resource"})


class BareTests(AnswersTests):
    """
    A node that has nothing but its router.
    """

    def makeNode(self) -> SomeNode:
        logins = ("orders", "homebrew", "drop", "reload")
        others = ("links", "registry", "bridges", "uplinks")
        names = (*logins, *others, "messages", "broker", "outbox")
        return SomeNode(**dict.fromkeys(names))

    async def test_views(self) -> None:
        """
        Each view is as described.
        """
        await self.answers()

    async def test_refused(self) -> None:
        """
        What cannot be done is refused, with the reason.
        """
        for path, order in ORDERS.items():
            if path in {"/login", "/logout"}:
                continue
            answer = await self.request(path, order, token=OPERATOR)
            self.assertIn(answer.status, (404, 409, 503), path)
            self.assertTrue(answer.content["error"])


class ContentTests(ApiTestCase):
    """
    What single views say.
    """

    async def test_cluster(self) -> None:
        """
        The cluster is in BifroMQ's form, to the letter: this node and those that are linked.
        """
        self.assertEqual(
            (await self.request("/cluster")).content,
            {
                "env": "test",
                "nodes": [
                    {"id": "25011", "address": "127.0.0.1", "port": 54000, "pid": os.getpid()},
                    {"id": "25012", "address": "192.0.2.12", "port": 54001, "pid": 4242},
                ],
                "local": "25011",
            },
        )

    async def test_packed(self) -> None:
        """
        The status is the same as JSON and as MessagePack.
        """
        self.node.hotspot(STATION)
        for name in ("status", "list"):
            packed = await self.request(f"/status/{name}.msgpack")
            self.assertEqual(packed.headers["content-type"], MESSAGEPACK)
            plain = await self.request(f"/status/{name}.json")
            self.assertEqual(msgpack.unpackb(packed.body), plain.content)
        self.assertEqual(plain.content["list"][0]["callsign"], "G4TST")

    async def test_talkgroups(self) -> None:
        """
        Of each talkgroup it is told who hears it, and what is on.
        """
        hotspot = self.node.hotspot(STATION)
        self.node.call(hotspot)
        rows_ = (await self.request("/talkgroups")).content["talkgroups"]
        self.assertEqual([row["talkgroup"] for row in rows_], [91, 2350])
        self.assertEqual(rows_[0]["static"], [{"peer": 2340002, "slot": 1}])
        self.assertEqual(rows_[0]["calls"], ["0000beef"])


class HealthTests(ApiTestCase):
    """
    How a node does.
    """

    async def states(self, path: str = "/health") -> tuple[int, dict[str, str]]:
        """
        The status code, and the status of each object.
        """
        answer = await self.request(path)
        return answer.status, {each["CheckID"]: each["Status"] for each in answer.content}

    async def test_form(self) -> None:
        """
        A check is in Consul's form, with the reason.
        """
        answer = await self.request("/health/link:25013")
        self.assertEqual(answer.status, 503)
        self.assertEqual(
            answer.content,
            [
                {
                    "Node": "25011",
                    "CheckID": "link:25013",
                    "Name": "the link to node 25013",
                    "Status": "critical",
                    "Notes": "",
                    "Output": "no answer",
                    "ServiceID": "bmnode",
                    "ServiceName": "bmnode",
                    "ServiceTags": [],
                }
            ],
        )

    async def test_registry(self) -> None:
        """
        A registry that is away is a warning while its rows are known, and critical when they never
        were.
        """
        self.assertEqual(await self.states("/health/registry"), (200, {"registry": "passing"}))
        self.node.rows.available = False
        self.assertEqual(await self.states("/health/registry"), (200, {"registry": "warning"}))
        self.assertEqual((await self.states("/health/registry?warning=429"))[0], 429)
        age(self.node.rows)
        self.assertEqual(await self.states("/health/registry"), (503, {"registry": "critical"}))

    async def test_broker(self) -> None:
        """
        A node goes on without its broker.
        """
        self.node.broker.connected = False
        self.node.broker.reason = "connection refused"
        answer = await self.request("/health/broker")
        self.assertEqual(answer.content[0]["Output"], "connection refused")
        self.assertEqual((answer.status, answer.content[0]["Status"]), (200, "warning"))

    async def test_links(self) -> None:
        """
        All links may be asked for together, and without a transport there are none.
        """
        status, found = await self.states("/health/links")
        self.assertEqual((status, sorted(found)), (503, ["link:25012", "link:25013"]))
        self.node.links.failure = "port 54000 is taken"
        self.assertEqual(await self.states("/health/links"), (503, {"links": "critical"}))

    async def test_logins(self) -> None:
        """
        Who balances load sees that no hotspot may log in to a node that is emptied, and who
        restarts what hangs that it lives.
        """
        self.assertEqual((await self.states("/health/logins"))[1], {"logins": "critical"})
        self.node.ports.append(self.node.port)
        self.assertEqual((await self.states("/health/logins"))[1], {"logins": "passing"})
        await self.request("/drain", {}, token=OPERATOR)
        self.assertEqual((await self.states("/health/logins"))[1], {"logins": "critical"})
        self.assertEqual(await self.states("/health/node"), (200, {"node": "passing"}))

    async def test_lag(self) -> None:
        """
        Turns that come late are a warning, for a while.
        """
        self.node.api.start()
        self.node.clock.advance(0.1)
        self.node.clock.advance(0.5)
        self.assertEqual(await self.states("/health/node"), (200, {"node": "warning"}))
        self.node.clock.pump([0.1] * 250)
        self.assertEqual(await self.states("/health/node"), (200, {"node": "passing"}))
