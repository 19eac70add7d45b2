"""
Tables for a terminal.
"""

from __future__ import annotations

from collections.abc import Sequence


def table(heading: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """
    Rows under a heading, columns as wide as need be, numbers to the right.

    @return: lines without a newline at the end.
    """
    texts = [["" if cell is None else str(cell) for cell in row] for row in rows]
    widths = [
        max(len(name), *(len(row[column]) for row in texts)) if texts else len(name)
        for column, name in enumerate(heading)
    ]
    right = [
        bool(rows) and all(isinstance(row[column], int | float) for row in rows)
        for column in range(len(heading))
    ]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if toRight else cell.ljust(width)
            for cell, width, toRight in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in [list(heading), *texts]
    )
