"""
What can be asked of the API, and its description (OpenAPI 3.1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from bmff.web.resource import JSON
from bmff.web.rights import Right
from bmff.web.schema import Schema, text
from bmff.web.schemas import ERROR

EVENT_STREAM: Final = "text/event-stream"
TEXT: Final = "text/plain"
_RIGHTS: Final = {
    Right.NOTHING: "Everybody who calls the node by its name.",
    Right.LOOK: "Everybody on this host, or with a token.",
    Right.READ: "With a token.",
    Right.CONTROL: "With a token that has the right to control.",
}
_CODES: Final = {
    400: "The request cannot be understood.",
    401: "It takes a token, or the token is not good.",
    403: "The token has no right to it, or the request comes from elsewhere.",
    404: "It is not there.",
    405: "Not with this method.",
    409: "It cannot be had.",
    413: "The body is too long.",
    415: "The body is no JSON.",
    421: "The node is not called so.",
    503: "Not now.",
}


@dataclass(frozen=True, slots=True)
class Operation:
    """
    One thing that can be asked.

    @ivar path: C{"/peers"}.
    @ivar method: C{"get"} or C{"post"}.
    @ivar right: what it takes.
    @ivar summary: what it does, for people.
    @ivar answer: what the answer is like; L{None} where it is a text.
    @ivar body: what the order is like; L{None} where there is none.
    @ivar kind: the media type of the answer.
    @ivar codes: of answers that are as good as 200.
    @ivar parameter: what stands for a part of the path.
    """

    path: str
    method: str
    right: Right
    summary: str
    answer: Schema | None
    body: Schema | None = None
    kind: str = JSON
    codes: tuple[int, ...] = (200,)
    parameter: str = ""

    @property
    def name(self) -> str:
        """
        Its name, unique.
        """
        words = self.path.strip("/").replace("{", "").replace("}", "").replace(".", "/").split("/")
        return self.method + "".join(word.capitalize() for word in words)

    def describe(self) -> dict[str, Any]:
        """
        Its description.
        """
        schema = self.answer if self.answer is not None else text()
        good = {
            str(code): {
                "description": "Something is critical." if code == 503 else "The answer.",
                "content": {self.kind: {"schema": schema}},
            }
            for code in self.codes
        }
        described: dict[str, Any] = {
            "operationId": self.name,
            "summary": self.summary,
            "description": _RIGHTS[self.right],
            "responses": good
            | {
                str(code): {
                    "description": what,
                    "content": {JSON: {"schema": {"$ref": "#/components/schemas/Error"}}},
                }
                for code, what in _CODES.items()
                if code not in self.codes
            },
        }
        if self.right > Right.LOOK:
            described["security"] = [{"bearer": []}, {"cookie": []}]
        if self.parameter:
            described["parameters"] = [
                {"name": self.parameter, "in": "path", "required": True, "schema": text()}
            ]
        if self.body is not None:
            described["requestBody"] = {
                "required": True,
                "content": {JSON: {"schema": self.body}},
            }
        return described


def describe(operations: Sequence[Operation], version: str, cookie: str) -> dict[str, Any]:
    """
    The description of all of them.

    @param version: of the program.
    @param cookie: the name of the cookie.
    """
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method] = operation.describe()
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "bmff",
            "version": version,
            "description": "One node of a DMR network: what it does, and what it is told to do.",
        },
        "paths": paths,
        "components": {
            "schemas": {"Error": ERROR},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "cookie": {"type": "apiKey", "in": "cookie", "name": cookie},
            },
        },
    }
