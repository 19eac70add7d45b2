"""
What values have to be like, in the words of JSON Schema that the API uses (draft 2020-12): what is
published of an order's body is what is checked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

Schema = Mapping[str, Any]

_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}


def text(**more: Any) -> Schema:
    """
    A text.
    """
    return {"type": "string", **more}


def integer(minimum: int | None = None, maximum: int | None = None, **more: Any) -> Schema:
    """
    A whole number.
    """
    bounds = {"minimum": minimum, "maximum": maximum}
    said = {name: bound for name, bound in bounds.items() if bound is not None}
    return {"type": "integer", **said, **more}


def number(**more: Any) -> Schema:
    """
    A number.
    """
    return {"type": "number", **more}


def truth(**more: Any) -> Schema:
    """
    Whether.
    """
    return {"type": "boolean", **more}


def rows(of: Schema, **more: Any) -> Schema:
    """
    A list.
    """
    return {"type": "array", "items": of, **more}


def table(of: Schema) -> Schema:
    """
    An object with any names.
    """
    return {"type": "object", "additionalProperties": of}


def nullable(schema: Schema) -> Schema:
    """
    The same, or nothing.
    """
    return {**schema, "type": [schema["type"], "null"]}


def fields(schemas: Mapping[str, Schema] | None = None, /, **more: Schema) -> Schema:
    """
    An object with these fields and no others; one may be left out if its name ends in C{_}.
    """
    given = {**(schemas or {}), **more}
    return {
        "type": "object",
        "properties": {name.rstrip("_"): schema for name, schema in given.items()},
        "required": [name for name in given if not name.endswith("_")],
        "additionalProperties": False,
    }


def violation(schema: Schema, value: object, place: str) -> str:
    """
    What is wrong with a value; empty when nothing is.

    @param place: where it stands, for people.
    """
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    if not any(_is(value, kind) for kind in kinds):
        return f"{place} has to be {' or '.join(kinds)}"
    for kind, check in _CHECKS.items():
        if _is(value, kind):
            return check(schema, value, place)
    return ""


def _is(value: object, kind: str) -> bool:
    # JSON's true is no number, though Python's is one.
    return isinstance(value, _TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))


def _objectViolation(schema: Schema, value: Mapping[str, Any], place: str) -> str:
    known = schema.get("properties", {})
    for name in schema.get("required", ()):
        if name not in value:
            return f"{place} lacks {name}"
    for name, item in value.items():
        if name not in known:
            return f"{place} may not have {name[:40]!a}"
        if reason := violation(known[name], item, name):
            return reason
    return ""


def _arrayViolation(schema: Schema, value: Sequence[Any], place: str) -> str:
    if len(value) > schema.get("maxItems", len(value)):
        return f"{place} has more than {schema['maxItems']} items"
    reasons = (violation(schema["items"], item, f"each of {place}") for item in value)
    return next(filter(None, reasons), "")


def _textViolation(schema: Schema, value: str, place: str) -> str:
    if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value)):
        return f"{place} has {schema.get('minLength', 0)} to {schema.get('maxLength')} characters"
    # A dollar sign of Python's would let a newline pass behind it.
    pattern = schema.get("pattern", "")
    if not re.search(re.sub(r"\$$", r"\\Z", pattern), value):
        return f"{place} is not as {pattern}"
    if "enum" in schema and value not in schema["enum"]:
        return f"{place} is one of {', '.join(schema['enum'])}"
    return ""


def _numberViolation(schema: Schema, value: float, place: str) -> str:
    least, most = schema.get("minimum"), schema.get("maximum")
    if (least is not None and value < least) or (most is not None and value > most):
        return f"{place} is {least} to {most}"
    return ""


_CHECKS: Final[Mapping[str, Callable[[Schema, Any, str], str]]] = {
    "object": _objectViolation,
    "array": _arrayViolation,
    "string": _textViolation,
    "number": _numberViolation,
}
