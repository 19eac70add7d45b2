"""
Tests of L{bmff.registry.tarantoolrows}.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from bmff.ibmff import PeerRow
from bmff.registry.tarantoolrows import TarantoolRows, columnsOf, rowOf

STAMPS = [1000, 1, False]
FULL = PeerRow(1, "own", True, False, 60, None, True, False, 7.5, "91", "", "{there = 8, here = 9}")


class PeerColumnTests(SynchronousTestCase):
    """
    The columns of Peers, of which some came later than others.
    """

    def test_roundTrip(self) -> None:
        """
        What was added stands after the stamps, and comes back from there.
        """
        columns = columnsOf(FULL)
        self.assertEqual(columns[6:9], [None] * 3)
        self.assertEqual(rowOf("peers", columns), FULL)
        self.assertEqual(rowOf("peers", [*columns[:6], *STAMPS, *columns[9:]]), FULL)

    def test_older(self) -> None:
        """
        A row that says nothing of it is written as it was before it was added, which an older
        script takes; and what comes from there is read as a row that says nothing of it.
        """
        row = PeerRow(1, "own", True, None, 60, False)
        columns: list[Any] = [1, "own", True, None, 60, False]
        self.assertEqual(columnsOf(row), columns)
        self.assertEqual(rowOf("peers", [*columns, *STAMPS]), row)
        self.assertEqual(rowOf("peers", [*columns, *STAMPS, True]), replace(row, dial=True))
        self.assertEqual(rowOf("peers", [1]), PeerRow(1))

    def test_newer(self) -> None:
        """
        Columns that are not known here are passed over.
        """
        self.assertEqual(rowOf("peers", [*columnsOf(FULL), "more", 5]), FULL)

    def test_bad(self) -> None:
        """
        A row whose texts cannot be read is one that cannot be used, with what is wrong by column.
        """
        rows = TarantoolRows()
        later = [None, None, -1, "91;x", None, "{there = 8}"]
        rows.change([["Peers", [1], [1, "own", None, None, None, None, *STAMPS, *later]]])
        self.assertEqual(rows.tables["peers"], {})
        (bad,) = rows.bad
        self.assertEqual(
            bad.reason,
            "hold_off: -1 is no time, 0 to 3600 seconds; allow_talkgroups: 'x' is no talkgroup, "
            'range "2620-2629", beginning "262*" or "*"; translate: rule 1: here: is missing',
        )
        self.assertEqual((bad.peer, "own" in bad.text), (1, False))
