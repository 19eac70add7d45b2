"""
What every benchmark prints, and how it is asked to.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Report:
    """
    What one benchmark has found.

    @ivar benchmark: its name.
    @ivar ratios: what counts, by case.
    @ivar figures: what it was made from; bare figures say nothing on another machine.
    @ivar reference: what the ratios are against.
    """

    benchmark: str
    ratios: Mapping[str, float]
    figures: Mapping[str, Any]
    reference: str

    def show(self, asJSON: bool) -> None:
        """
        Print it.
        """
        content = {
            "benchmark": self.benchmark,
            "ratios": {case: round(ratio, 3) for case, ratio in self.ratios.items()},
            "figures": self.figures,
            "reference": self.reference,
        }
        if asJSON:
            print(json.dumps(content))
            return
        print(f"{self.benchmark}, against {self.reference}")
        for case, ratio in self.ratios.items():
            print(f"  {case:>6}  {ratio:.3f}")
        for name, figure in self.figures.items():
            print(f"  {name}: {figure}")


def arguments(
    description: str, flags: Mapping[str, str] | None = None, **numbers: int
) -> argparse.Namespace:
    """
    The command line: C{--json}, flags with what they do, and whole numbers with their defaults.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    for name, meaning in (flags or {}).items():
        parser.add_argument(f"--{name}", action="store_true", help=meaning)
    for name, default in numbers.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    return parser.parse_args()
