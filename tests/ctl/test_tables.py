"""
Tests of L{bmff.ctl.tables}.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bmff.ctl.tables import table

CELLS = st.one_of(st.none(), st.integers(), st.text(st.characters(categories=["L", "N"])))


class TableTests(SynchronousTestCase):
    """
    How rows look.
    """

    def test_looks(self) -> None:
        """
        Columns are as wide as their widest cell, texts begin on the left, numbers end on the
        right, and no line ends with spaces.
        """
        self.assertEqual(
            table(
                ("ID", "CALL", "LENGTH", "STATE"),
                [
                    (7, "G4TST", 1.5, None),
                    (2340001, "N0", 12.25, "on"),
                ],
            ).split("\n"),
            [
                "     ID  CALL   LENGTH  STATE",
                "      7  G4TST     1.5",
                "2340001  N0      12.25  on",
            ],
        )

    def test_mixed(self) -> None:
        """
        A column that holds anything but numbers is on the left.
        """
        self.assertEqual(table(("A", "B"), [(1, 2), ("-", 333)]), "A    B\n1    2\n-  333")

    def test_noRows(self) -> None:
        """
        Without rows there is the heading.
        """
        self.assertEqual(table(("ID", "CALL"), []), "ID  CALL")

    def test_wrongRow(self) -> None:
        """
        A row with another number of cells is our own fault, and is not hidden.
        """
        self.assertRaises(ValueError, table, ("ID",), [(1, 2)])
        self.assertRaises(IndexError, table, ("ID", "CALL"), [(1,)])

    @given(st.lists(st.tuples(CELLS, CELLS, CELLS), max_size=8))
    def test_widths(self, rows: list[tuple[object, ...]]) -> None:
        """
        Whatever the cells, each row has a line, and each column the same place in all lines.
        """
        _, *lines = table(("A", "B", "C"), rows).split("\n")
        texts = [["" if cell is None else str(cell) for cell in row] for row in rows]
        widths = [max(1, *map(len, column)) for column in zip(*texts, strict=True)]
        self.assertEqual(len(lines), len(rows))
        for text, line in zip(texts, lines, strict=True):
            start = 0
            for cell, width in zip(text, widths, strict=True):
                self.assertEqual(line[start : start + width].strip(), cell)
                start += width + 2
            self.assertLessEqual(len(line), start - 2)
