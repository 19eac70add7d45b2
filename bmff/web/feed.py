"""
What happens, for whoever wants to hear of it at once: server-sent events (HTML, section 9.2), kept
for a while so that nobody misses any who comes back.

Who reads too slowly is not waited for: nothing is kept for one listener, and whoever is so far
behind that what it wants is forgotten is sent away.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from functools import partial
from itertools import islice
from typing import Any, Final, Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

KEPT: Final = 1000  # events
MOST: Final = 200  # listeners
PACE: Final = 0.02  # seconds in which events are gathered before they are sent
TURN: Final = 20  # listeners that are served in one turn, as frames wait meanwhile
HEARTBEAT: Final = 15.0  # seconds between two signs of life
_RETRY: Final = 2000  # milliseconds until a browser comes back

Content = dict[str, Any]


class Listener(Protocol):
    """
    Somebody who hears of events.

    @ivar exact: whether it may know all of them.
    @ivar full: whether it takes nothing at the moment.
    @ivar position: the number of the event that it is to have next.
    """

    exact: bool
    full: bool
    position: int

    def send(self, data: bytes) -> None:
        """
        Send it this.
        """

    def mayStay(self) -> bool:
        """
        Whether it has the right to listen still.
        """

    def leave(self) -> None:
        """
        It is sent away.
        """


class _Entry:
    """
    One event; its texts are made when the first listener needs them.
    """

    __slots__ = ("_blurred", "_exact", "_make", "_name", "_number")

    def __init__(self, number: str, name: str, make: Callable[[bool], Content]) -> None:
        self._number = number
        self._name = name
        self._make = make
        self._exact: bytes | None = None
        self._blurred: bytes | None = None

    def text(self, exact: bool) -> bytes:
        """
        What a listener gets.
        """
        made = self._exact if exact else self._blurred
        if made is None:
            data = json.dumps(self._make(exact), separators=(",", ":"))
            made = f"id: {self._number}\nevent: {self._name}\ndata: {data}\n\n".encode()
            if exact:
                self._exact = made
            else:
                self._blurred = made
        return made


class Feed:
    """
    Events for listeners.

    @ivar most: listeners that there may be; those that are there stay when they become fewer.
    @ivar sent: how many texts went out.
    @ivar dropped: how many listeners were sent away because they were too slow.
    """

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        name: str,
        *,
        kept: int = KEPT,
        most: int = MOST,
        beat: Callable[[], None] | None = None,
        period: float = 1.0,
    ) -> None:
        """
        @param clock: monotonic.
        @param name: of this process, that no other has: numbers of events begin with it.
        @param kept: events that are kept.
        @param most: listeners that there may be.
        @param beat: called in each period while there are listeners.
        @param period: seconds.
        """
        self.sent = self.dropped = 0
        self._clock = clock
        self._name = name
        self.most = most
        self._beat = beat
        self._period = period
        self._entries: deque[_Entry] = deque(maxlen=kept)
        self._next = 1  # the number of the event that comes next
        self._listeners: dict[Listener, None] = {}
        self._flushing: IDelayedCall | None = None
        self._beating: IDelayedCall | None = None
        self._quiet = 0.0  # seconds since the last sign of life

    def __len__(self) -> int:
        """
        How many listen.
        """
        return len(self._listeners)

    @property
    def full(self) -> bool:
        """
        Whether nobody else may listen.
        """
        return len(self._listeners) >= self.most

    def publish(self, name: str, make: Callable[[bool], Content]) -> None:
        """
        Something has happened. This is cheap: it may come from within a call's first frame.

        @param name: what.
        @param make: gives the content for those who may know everything, or not; called later.
        """
        self._entries.append(_Entry(f"{self._name}-{self._next}", name, make))
        self._next += 1
        if self._listeners and self._flushing is None:
            self._flushing = self._clock.callLater(PACE, self._flush)

    def join(self, listener: Listener, last: str) -> None:
        """
        Somebody listens from now on.

        @param last: the number of the event that it had last; empty when it had none.
        """
        first = self._next - len(self._entries)
        name, _, number = last.rpartition("-")
        position = int(number) + 1 if number.isascii() and number.isdigit() else 0
        known = name == self._name and first <= position <= self._next
        listener.position = position if known else self._next
        greeting = f"retry: {_RETRY}\n\n"
        if last and not known:
            # What it has missed is not to be had here; it has to look at everything anew.
            greeting += f"id: {self._name}-{self._next - 1}\nevent: reset\ndata: {{}}\n\n"
        elif not last:
            greeting += f"id: {self._name}-{self._next - 1}\nevent: hello\ndata: {{}}\n\n"
        self._listeners[listener] = None
        listener.send(greeting.encode())
        self.serve(listener)
        if self._beating is None:
            self._beating = self._clock.callLater(self._period, self._beaten)

    def leave(self, listener: Listener) -> None:
        """
        Somebody listens no longer.
        """
        self._listeners.pop(listener, None)
        if not self._listeners:
            self._rest()

    def serve(self, listener: Listener) -> None:
        """
        Send a listener what it has not had yet, unless it takes nothing now.
        """
        if listener.full or listener.position >= self._next:
            return
        behind = self._next - listener.position
        if behind > len(self._entries):
            self._drop(listener)
            return
        entries = islice(self._entries, len(self._entries) - behind, None)
        listener.position = self._next
        self.sent += 1
        listener.send(b"".join(entry.text(listener.exact) for entry in entries))

    def stop(self) -> None:
        """
        Send everybody away.
        """
        for listener in tuple(self._listeners):
            self.leave(listener)
            listener.leave()
        self._rest()

    def _drop(self, listener: Listener) -> None:
        self.dropped += 1
        self.leave(listener)
        listener.leave()

    def _flush(self) -> None:
        self._flushing = None
        self._serveSome(list(self._listeners))

    def _serveSome(self, listeners: list[Listener]) -> None:
        """
        Serve a few of these, and the others in later turns.
        """
        self._flushing = None
        now, later = listeners[:TURN], listeners[TURN:]
        for listener in now:
            if listener in self._listeners:
                self.serve(listener)
        if later:
            self._flushing = self._clock.callLater(0, partial(self._serveSome, later))
        elif any(each.position < self._next and not each.full for each in self._listeners):
            self._flushing = self._clock.callLater(PACE, self._flush)

    def _beaten(self) -> None:
        self._beating = self._clock.callLater(self._period, self._beaten)
        self._quiet += self._period
        if self._quiet >= HEARTBEAT:
            self._quiet = 0.0
            self._signOfLife()
        if self._beat is not None and self._listeners:
            try:
                self._beat()
            except Exception:  # of our own making, and the listeners are to go on
                self._log.failure("what is told from time to time cannot be told")

    def _signOfLife(self) -> None:
        for listener in tuple(self._listeners):
            if listener.full:
                self._drop(listener)  # it has taken nothing for as long as that
            elif listener.mayStay():
                listener.send(b":\n\n")
            else:
                self.leave(listener)
                listener.leave()

    def _rest(self) -> None:
        for delayed in (self._flushing, self._beating):
            if delayed is not None and delayed.active():
                delayed.cancel()
        self._flushing = self._beating = None
