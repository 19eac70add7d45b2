"""
What is to be told to a broker: messages in a bounded queue, and states, of which only the last word
counts.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

MOST_MESSAGES: Final = 5_000
MOST_BYTES: Final = 4 << 20
MOST_STATES: Final = 50_000
MOST_IN_FLIGHT: Final = 64
LARGEST: Final = 60_000  # bytes of a payload; brokers have limits, and some end the connection
PATIENCE: Final = 3  # connections without any acknowledgement that one message is worth
_OVERHEAD: Final = 200  # bytes that a message takes beside its payload, roughly


@dataclass(frozen=True, slots=True, eq=False)
class Message:
    """
    One message to the broker.

    @ivar topic: where it goes.
    @ivar payload: what it says; a state that is no more says nothing.
    @ivar state: whether the broker is to keep it (retained).
    """

    topic: str
    payload: bytes
    state: bool = False

    @property
    def size(self) -> int:
        """
        The memory that it takes, in bytes, roughly.
        """
        return len(self.payload) + _OVERHEAD


class Outbox:
    """
    Keeps messages until the broker has acknowledged them, the youngest when there are too many.

    A broker may end the connection for a message that it does not like, again and again: when
    connections end without a single acknowledgement the first one that was on its way is given up.

    @ivar dropped: messages that were dropped, as there were too many, they were too large, or the
        broker did not take them.
    @ivar published: messages and states that the broker has acknowledged.
    """

    def __init__(
        self,
        *,
        messages: int = MOST_MESSAGES,
        size: int = MOST_BYTES,
        states: int = MOST_STATES,
        inFlight: int = MOST_IN_FLIGHT,
    ) -> None:
        """
        @param messages: how many may wait.
        @param size: bytes that they may take.
        @param states: how many states there may be.
        @param inFlight: how many messages and states may wait for the broker's word.
        """
        self.dropped = 0
        self.published = 0
        self._mostMessages = messages
        self._mostBytes = size
        self._mostStates = states
        self._mostInFlight = inFlight
        self._queue: deque[Message] = deque()
        self._size = 0
        self._states: dict[str, bytes] = {}
        self._changed: dict[str, None] = {}  # in the order in which they did
        self._inFlight: dict[Message, None] = {}
        self._fruitless = 0  # connections in turn
        self._heard = False  # whether the broker has acknowledged anything on this one

    def __len__(self) -> int:
        """
        How many messages and states wait to be sent.
        """
        return len(self._queue) + len(self._changed)

    @property
    def size(self) -> int:
        """
        The memory that the waiting messages take, in bytes, roughly.
        """
        return self._size

    @property
    def states(self) -> Collection[str]:
        """
        The topics that have a state, or have one that is to be taken back.
        """
        return self._states.keys()

    @property
    def inFlight(self) -> int:
        """
        How many wait for the broker's word.
        """
        return len(self._inFlight)

    def put(self, topic: str, payload: bytes) -> None:
        """
        Have a message sent.
        """
        if len(payload) > LARGEST:
            self.dropped += 1
            return
        message = Message(topic, payload)
        self._queue.append(message)
        self._size += message.size
        self._shorten()

    def setState(self, topic: str, payload: bytes) -> None:
        """
        Have the broker keep a state, in place of what it keeps under this topic.
        """
        full = topic not in self._states and len(self._states) >= self._mostStates
        if full or len(payload) > LARGEST:
            self.dropped += 1
            return
        if self._states.get(topic) != payload:
            self._states[topic] = payload
            self._changed[topic] = None

    def clearState(self, topic: str) -> None:
        """
        Have the broker keep nothing under a topic.
        """
        self.setState(topic, b"")

    def repeatState(self, topic: str) -> None:
        """
        Send a state again, as the broker has another one.
        """
        if topic in self._states:
            self._changed[topic] = None

    def take(self) -> Message | None:
        """
        The next one to be sent, states first; L{None} when there is none, or too many wait for the
        broker's word.
        """
        if len(self._inFlight) >= self._mostInFlight:
            return None
        if self._changed:
            topic = next(iter(self._changed))
            del self._changed[topic]
            message = Message(topic, self._states[topic], True)
        elif self._queue:
            message = self._queue.popleft()
            self._size -= message.size
        else:
            return None
        self._inFlight[message] = None
        return message

    def acknowledged(self, message: Message) -> None:
        """
        The broker has one.
        """
        if message not in self._inFlight:
            return
        del self._inFlight[message]
        self._heard = True
        self.published += 1
        topic = message.topic
        if message.state and not message.payload and topic not in self._changed:
            self._states.pop(topic, None)

    def reset(self) -> None:
        """
        The connection is gone, and perhaps what the broker knew: what it has not acknowledged is
        sent again, and every state.
        """
        self._giveUp()
        again = [message for message in self._inFlight if not message.state]
        self._inFlight.clear()
        self._queue.extendleft(reversed(again))
        self._size += sum(message.size for message in again)
        self._changed = dict.fromkeys(self._states)
        self._shorten()

    def _giveUp(self) -> None:
        """
        A connection has ended: give up what nothing goes past.
        """
        self._fruitless = 0 if self._heard or not self._inFlight else self._fruitless + 1
        self._heard = False
        if self._fruitless >= PATIENCE:
            self._fruitless = 0
            first = next(iter(self._inFlight))
            del self._inFlight[first]
            self.dropped += 1
            if first.state:
                self._states.pop(first.topic, None)  # until it changes

    def _shorten(self) -> None:
        while len(self._queue) > self._mostMessages or self._size > self._mostBytes:
            self._size -= self._queue.popleft().size
            self.dropped += 1
