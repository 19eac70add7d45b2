"""
Our configuration as TOML text (TOML 1.0), written with what was made of theirs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

_BARE: Final = re.compile(r"[A-Za-z0-9_-]+\Z")
_ESCAPED: Final = re.compile(r'["\\\x00-\x1f\x7f]')


class Document:
    """
    A file that is being written: keys first, then tables.
    """

    def __init__(self) -> None:
        self._lines: list[str] = []

    def comment(self, text: str) -> None:
        """
        Write a line for people.
        """
        # What comes from their file must not end the comment.
        self._lines.append(f"# {' '.join(text.split())}")

    def table(self, values: Mapping[str, Any], *path: str, several: bool = False) -> None:
        """
        Write a table with its keys.

        @param path: its name, empty for the keys of the file itself.
        @param several: whether there are more tables of that name.
        """
        if path:
            name = ".".join(map(_key, path))
            if self._lines:
                self._lines.append("")
            self._lines.append(f"[[{name}]]" if several else f"[{name}]")
        self._lines += [f"{_key(key)} = {_value(value)}" for key, value in values.items()]

    @property
    def text(self) -> str:
        """
        All of it.
        """
        return "\n".join(self._lines) + "\n"


def _key(name: str) -> str:
    return name if _BARE.match(name) else _string(name)


def _string(text: str) -> str:
    escaped = _ESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    return f'"{escaped}"'


def _value(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return _string(value)
        case Mapping():
            return f"{{ {', '.join(f'{_key(str(k))} = {_value(v)}' for k, v in value.items())} }}"
        case list() | tuple():
            return f"[{', '.join(map(_value, value))}]"
        case float():
            return f"{value:g}" if value == int(value) and abs(value) < 1e6 else repr(value)
        case _:
            return str(value)
