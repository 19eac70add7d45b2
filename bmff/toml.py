"""
A TOML file (TOML 1.0) as one value of attrs classes, or every mistake in it by its place.

Keys are C{snake_case} in a file and camelCase in Python; L{written} is where one becomes the
other.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Final, Generic, NamedTuple, TypeVar, get_args, get_origin

import attrs
from cattrs import BaseValidationError, Converter, ForbiddenExtraKeysError
from cattrs.dispatch import StructureHook
from cattrs.errors import (
    AttributeValidationNote,
    IterableValidationError,
    IterableValidationNote,
)
from cattrs.gen import make_dict_structure_fn, override

from bmff.errors import ConfigurationError, Mistake

T = TypeVar("T")

_INTEGER_BITS: Final = 64  # with its sign, TOML 1.0; Python reads more than it can write out
_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+\Z")
_NUMERAL: Final = re.compile(r"[1-9][0-9]{0,18}\Z")
_WHERE: Final = re.compile(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)\Z", re.S)
_KINDS: Final[tuple[tuple[type, str], ...]] = (
    (bool, "true or false"),
    (int, "a whole number"),
    (float, "a number"),
    (str, "a string"),
    (list, "a list"),
    (dict, "a table"),
)


def readText(path: str | os.PathLike[str]) -> str:
    """
    The text of the file at L{path}.

    @raise ConfigurationError: it is not there, cannot be read or is not UTF-8.
    """
    name = os.fspath(path)
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise unusable(name, f"cannot be read: {error.strerror}") from None
    except ValueError:
        raise unusable(name, "cannot be the name of a file") from None
    return decodeText(content, name)


def decodeText(content: bytes, name: str) -> str:
    """
    The text of a file; a byte order mark, which some editors leave, is taken off.

    @param name: the file's name.
    @raise ConfigurationError: it is not UTF-8.
    """
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
    # Raised out here because the other error holds the file's content.
    raise unusable(name, f"line {line}: is not UTF-8 text")


def unusable(name: str, message: str) -> ConfigurationError:
    """
    The error that all of the file L{name} cannot be used.
    """
    return ConfigurationError([Mistake(name, message)])


def parseTable(text: str, name: str, quote: bool = True) -> dict[str, Any]:
    """
    The table that a TOML text holds.

    @param name: the file's name.
    @param quote: whether a message may quote the text, which may be a secret's.
    @raise ConfigurationError: it is not TOML; the message names line and column.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message = str(error)
    except (ValueError, RecursionError):
        # A number of thousands of digits; lists in lists in lists.
        message = "Holds something too long or too deep"
    raise unusable(name, _described(message, text, quote))


def _described(message: str, text: str, quote: bool) -> str:
    where = _WHERE.match(message)
    what = where[1] if where else message
    if not quote or not what:
        what = "Is not TOML"
    what = what[0].lower() + what[1:]
    if where is None:
        return what
    line, column = where[2], where[3]
    if line is None:
        return f"line {text.rstrip().count(chr(10)) + 1}, at the end: {what}"
    return f"line {line}, column {column}: {what}"


def dotted(path: tuple[object, ...]) -> str:
    """
    A place in a table as it is written for people: C{homebrew.listen[0]}.

    @param path: keys as strings, places in lists, counted from 0, as numbers.
    """
    place = ""
    for step in path:
        if isinstance(step, int):
            place += f"[{step}]"
        else:
            place += "." * bool(place) + quoted(str(step))
    return place


def quoted(key: str) -> str:
    """
    A key as TOML writes it, in printable characters only.
    """
    return key if _BARE_KEY.match(key) else ascii(key)


def kind(value: object) -> str:
    """
    What sort of TOML value L{value} is, for people.
    """
    return next((words for type_, words in _KINDS if isinstance(value, type_)), "a date or time")


def perhaps(key: str, known: list[str]) -> str:
    """
    The end of a message about an unknown key: the one that was meant, or all that there are.
    """
    near = get_close_matches(key, known, 1)
    if near:
        return f"did you mean {quoted(near[0])}?"
    return "known here: " + ", ".join(map(quoted, known))


class Between(NamedTuple):
    """
    The promise that a number is in a range, for use in C{Annotated}.

    @ivar low: the least.
    @ivar high: the greatest.
    @ivar unit: of what, for people: C{"seconds"}.
    """

    low: int
    high: int
    unit: str

    def __call__(self, value: float) -> None:
        """
        @raise ValueError: L{value} is not in the range.
        """
        if not self.low <= value <= self.high:
            raise ValueError(f"must be {self.low} to {self.high} {self.unit}, but is {value}")


class Schema(Generic[T]):
    """
    What one attrs class says about a file: its attributes are keys, its annotations their rules.

    Nothing is coerced, except a whole number to a C{float}. An annotation C{Annotated[X, check]}
    calls C{check} with the X, which raises C{ValueError} with a message for people. A
    C{Mapping[int, X]} is a table whose keys are numbers, a C{tuple[X, ...]} is a list.
    """

    def __init__(
        self,
        root: type[T],
        types: Mapping[type, Callable[[Any], object]] | None = None,
        quote: bool = True,
    ) -> None:
        """
        @param types: for each type of the schema's own, what makes one of a TOML value or raises
            C{ValueError}.
        @param quote: whether a message may name an unknown key, which may be a secret in the
            wrong place.
        """
        self._root = root
        self._quote = quote
        self._homes: dict[str, list[tuple[object, ...]]] = {}
        for key, place in _homes(root):
            self._homes.setdefault(key, []).append(place)
        self._converter = converter = Converter(forbid_extra_keys=True)
        for plain in (bool, int, str):
            converter.register_structure_hook(plain, _plain(plain))
        converter.register_structure_hook(float, _number)
        for type_, make in (types or {}).items():
            converter.register_structure_hook(type_, _making(make))
        for fits, factory in _FACTORIES:
            converter.register_structure_hook_factory(fits, factory)

    def read(self, table: Mapping[str, Any]) -> T:
        """
        The value that L{table} describes.

        @raise ConfigurationError: with every mistake, in the order of the table; what is missing
            comes after what is there.
        """
        try:
            return self._converter.structure(table, self._root)
        except BaseValidationError as group:
            found = [(_walked(table, path), text) for path, text in self._mistakes(group, ())]
        found.sort(key=lambda mistake: [order for order, _ in mistake[0]])
        raise ConfigurationError(
            Mistake(dotted(tuple(step for _, step in walk)), text) for walk, text in found
        )

    def _mistakes(
        self, error: Exception, path: tuple[object, ...]
    ) -> Iterator[tuple[tuple[object, ...], str]]:
        if isinstance(error, BaseValidationError):
            for inner in error.exceptions:
                yield from self._mistakes(inner, (*path, *_step(inner)))
        elif isinstance(error, ForbiddenExtraKeysError):
            for key in error.extra_fields:
                if self._quote:
                    yield (*path, key), self._unknown(key, error.cl, path)
                else:
                    known = ", ".join(written(field.name) for field in attrs.fields(error.cl))
                    yield path, f"holds an unknown key; known here: {known}"
        elif isinstance(error, KeyError):
            yield path, "is missing"
        elif isinstance(error, ValueError):
            yield path, str(error)
        else:
            raise error

    def _unknown(self, key: str, type_: type, path: tuple[object, ...]) -> str:
        """
        What is wrong with a key that its table does not have, and what would be right.
        """
        homes = self._homes.get(key, [])
        if homes and path not in homes:
            places = (
                f"in [{dotted(home)}]" if home else "above the first [table]" for home in homes
            )
            return f"unknown here; it belongs {' or '.join(places)}"
        return f"unknown; {perhaps(key, [written(field.name) for field in attrs.fields(type_)])}"


def _homes(root: type) -> Iterator[tuple[str, tuple[object, ...]]]:
    """
    The keys of the tables in the outermost one, then its own, each with its table's place.
    """
    fields = attrs.fields(attrs.resolve_types(root))
    for field in fields:
        for type_ in (field.type, *get_args(field.type)):
            if isinstance(type_, type) and attrs.has(type_):
                for inner in attrs.fields(type_):
                    yield written(inner.name), (written(field.name),)
    for field in fields:
        yield written(field.name), ()


def written(name: str) -> str:
    """
    How an attribute is written in a file.
    """
    return re.sub("[A-Z]", lambda letter: "_" + letter[0].lower(), name)


def _step(error: Exception) -> tuple[object, ...]:
    for note in getattr(error, "__notes__", ()):
        if isinstance(note, AttributeValidationNote):
            return (written(note.name),)
        if isinstance(note, IterableValidationNote):
            return (note.index,)
    return ()


def _walked(table: Any, path: tuple[Any, ...]) -> list[tuple[int, str | int]]:
    """
    Each step of L{path} as the file has it, with its position among its sisters.
    """
    walk: list[tuple[int, str | int]] = []
    for step in path:
        if isinstance(table, list):
            walk.append((step, step))
            table = table[step]
        else:
            key = str(step)
            walk.append((list(table).index(key) if key in table else len(table), key))
            table = table.get(key)
    return walk


def _required(value: object, type_: type[T]) -> T:
    if type(value) is type_:
        if isinstance(value, int) and value.bit_length() >= _INTEGER_BITS:
            raise ValueError("is too large a number")
        return value
    wanted = next(words for known, words in _KINDS if known is type_)
    raise ValueError(f"must be {wanted}, but is {kind(value)}")


def _plain(type_: type) -> StructureHook:
    return lambda value, _: _required(value, type_)


def _number(value: object, _: object) -> float:
    if type(value) is int:
        return float(_required(value, int))
    if type(value) is float:
        return value
    raise ValueError(f"must be a number, but is {kind(value)}")


def _making(make: Callable[[Any], object]) -> StructureHook:
    return lambda value, _: make(value)


def _table(type_: Any, converter: Converter) -> StructureHook:
    attrs.resolve_types(type_)
    names: dict[str, Any] = {
        field.name: override(rename=written(field.name)) for field in attrs.fields(type_)
    }
    inner = make_dict_structure_fn(type_, converter, **names)

    def structure(value: object, wanted: object) -> object:
        return inner(_required(value, dict), wanted)

    return structure


def _mapping(type_: Any, converter: Converter) -> StructureHook:
    keyType, valueType = get_args(type_)
    makeKey = converter.get_structure_hook(keyType)
    makeValue = converter.get_structure_hook(valueType)
    numbered = int in (keyType, *get_args(keyType))

    def key(text: str) -> object:
        # A number has one way to be written, so that no two keys are the same one.
        return makeKey(int(text) if numbered and _NUMERAL.match(text) else text, keyType)

    def structure(value: object, _: object) -> dict[object, object]:
        table: dict[str, object] = _required(value, dict)
        keys, wrongKeys = _every(((each, each) for each in table), key)
        values, wrong = _every(table.items(), lambda each: makeValue(each, valueType))
        if wrongKeys or wrong:
            raise IterableValidationError("", wrongKeys + wrong, dict)
        return dict(zip(keys, values, strict=True))

    return structure


def _list(type_: Any, converter: Converter) -> StructureHook:
    itemType = get_args(type_)[0]
    make = converter.get_structure_hook(itemType)

    def structure(value: object, _: object) -> tuple[object, ...]:
        items: list[object] = _required(value, list)
        made, wrong = _every(enumerate(items), lambda each: make(each, itemType))
        if wrong:
            raise IterableValidationError("", wrong, tuple)
        return tuple(made)

    return structure


def _every(
    items: Iterable[tuple[int | str, Any]], make: Callable[[Any], object]
) -> tuple[list[object], list[Exception]]:
    """
    What L{make} makes of each value; and what it raised, each with the value's place.
    """
    made: list[object] = []
    wrong: list[Exception] = []
    for place, value in items:
        try:
            made.append(make(value))
        except Exception as error:
            error.add_note(IterableValidationNote("", place, object))
            wrong.append(error)
    return made, wrong


def _checked(type_: Any, converter: Converter) -> StructureHook:
    bare, *checks = get_args(type_)
    inner = converter.get_structure_hook(bare)

    def structure(value: object, _: object) -> object:
        result = inner(value, bare)
        for check in checks:
            check(result)
        return result

    return structure


# How a type is recognised, and what makes it of a TOML value.
_FACTORIES: Final[
    tuple[tuple[Callable[[Any], bool], Callable[[Any, Converter], StructureHook]], ...]
] = (
    (attrs.has, _table),
    (lambda type_: get_origin(type_) is Mapping, _mapping),
    (lambda type_: get_origin(type_) is tuple, _list),
    (lambda type_: get_origin(type_) is Annotated, _checked),
)
