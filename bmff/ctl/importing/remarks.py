"""
What an import says about each item that it has met: what became of it, or why nothing did.
"""

from __future__ import annotations

from collections.abc import Iterator


class Remarks:
    """
    Two lists, in the order in which things were met. What is said of several places in the same
    words is said once. No remark holds a secret.
    """

    def __init__(self) -> None:
        self._turned: dict[str, list[str]] = {}
        self._left: dict[str, list[str]] = {}

    def turned(self, place: str, text: str) -> None:
        """
        Something was turned into our configuration.

        @param place: where it stands in theirs, as C{"[MASTER-1] PORT"}.
        @param text: what became of it.
        """
        self._add(self._turned, place, text)

    def left(self, place: str, text: str) -> None:
        """
        Something could not be turned, or will behave in another way.

        @param text: the reason, and what can be done.
        """
        self._add(self._left, place, text)

    def _add(self, remarks: dict[str, list[str]], place: str, text: str) -> None:
        places = remarks.setdefault(text, [])
        if place not in places:
            places.append(place)

    def __iter__(self) -> Iterator[str]:
        """
        The lines for people.
        """
        for title, remarks in (
            ("turned:", self._turned),
            ("not turned, or not the same here:", self._left),
        ):
            if remarks:
                yield title
                for text, places in remarks.items():
                    yield f"  {', '.join(places)}: {text}"
