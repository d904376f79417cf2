"""Ticks that are due and not enqueued yet; a bounded buffer between two threads."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Sequence
from itertools import islice

from asynq_py.scheduler.timetable import Due


class Outbox:
    """Keeps the order; when it is full the oldest go."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._ticks: deque[Due] = deque()
        self._lock = threading.Lock()
        self._filled = threading.Event()

    def __len__(self) -> int:
        return len(self._ticks)

    def put(self, ticks: Sequence[Due]) -> list[Due]:
        """Adds ticks; returns those that had to go."""
        with self._lock:
            self._ticks.extend(ticks)
            lost = [self._ticks.popleft() for _ in range(len(self._ticks) - self._most)]
        self._filled.set()
        return lost

    def put_back(self, ticks: Iterable[Due]) -> None:
        """Has ticks again that were taken last, at the front."""
        with self._lock:
            self._ticks.extendleft(reversed(list(ticks)))

    def take(self, most: int, most_repeated: int | None = None) -> list[Due]:
        """The oldest ticks; not as many if there are several of an entry among them."""
        with self._lock:
            count = min(most, len(self._ticks))
            if most_repeated is not None and count > most_repeated:
                entries = {id(due.slot) for due in islice(self._ticks, count)}
                count = count if len(entries) == count else most_repeated
            return [self._ticks.popleft() for _ in range(count)]

    def take_all(self) -> list[Due]:
        """All ticks."""
        return self.take(len(self._ticks))

    def wait(self, seconds: float | None = None) -> None:
        """Waits until something is put in, or it is woken."""
        self._filled.wait(seconds)
        self._filled.clear()

    def wake(self) -> None:
        """Ends a wait."""
        self._filled.set()
