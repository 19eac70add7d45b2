"""
Options that may stand behind the words of a command as well as before them.
"""

from __future__ import annotations

from collections.abc import Sequence
from getopt import GetoptError, gnu_getopt

from twisted.python import usage


class AnyOrderOptions(usage.Options):
    """
    The options of one command. Twisted's own end at the first word: whoever types
    C{bmffctl key add ID --nodes 25011} would be told of a wrong number of words.
    """

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """
        Parse a command line.

        @raise usage.UsageError: it cannot be understood.
        """
        try:
            found, rest = gnu_getopt(list(options or ()), self.shortOpt, self.longOpt)
        except GetoptError as error:
            raise usage.UsageError(str(error)) from None
        flags: list[str] = []
        for name, value in found:
            flags += [name, value] if self._takesValue(name) else [name]
        super().parseOptions([*flags, "--", *rest])

    def _takesValue(self, name: str) -> bool:
        if name.startswith("--"):
            return f"{name[2:]}=" in self.longOpt
        return f"{name[1:]}:" in self.shortOpt
