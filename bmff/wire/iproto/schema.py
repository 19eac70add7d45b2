"""
The names of a server's spaces and indexes, read from its C{_vspace} and C{_vindex} (tarantool.io,
"System spaces").
"""

from __future__ import annotations

from typing import Any

from bmff.errors import ProtocolError
from bmff.wire.iproto.failures import UnknownName
from bmff.wire.iproto.messages import Name


class Schema:
    """
    Which numbers the names have in one version of the schema.

    @ivar version: of the schema, as every answer carries it.
    """

    def __init__(self, version: int, spaces: list[Any], indexes: list[Any]) -> None:
        """
        @param spaces: rows of C{_vspace}: number, owner, name, ...
        @param indexes: rows of C{_vindex}: the space's number, number, name, ...
        @raise ProtocolError: they are not like that.
        """
        self.version = version
        self._spaces: dict[str, int] = {}
        self._indexes: dict[tuple[int, str], int] = {}
        for row in spaces:
            match row:
                case [int(number), _, str(name), *_]:
                    self._spaces[name] = number
                case _:
                    raise ProtocolError("schema")
        for row in indexes:
            match row:
                case [int(space), int(number), str(name), *_]:
                    self._indexes[space, name] = number
                case _:
                    raise ProtocolError("schema")

    def space(self, name: Name) -> int:
        """
        The number of a space.

        @raise UnknownName: there is none.
        """
        if isinstance(name, int):
            return name
        try:
            return self._spaces[name]
        except KeyError:
            raise UnknownName(f"no space {name!r}") from None

    def index(self, space: int, name: Name) -> int:
        """
        The number of an index.

        @param space: its space.
        @raise UnknownName: there is none.
        """
        if isinstance(name, int):
            return name
        try:
            return self._indexes[space, name]
        except KeyError:
            raise UnknownName(f"no index {name!r} of space {space}") from None
