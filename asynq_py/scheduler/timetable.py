"""Who is next: a heap of entries by the second of their next tick. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heapify, heappop, heapreplace

from asynq_py.scheduler.entry import Slot


class Timetable:
    """Entries by their next tick; one that never ticks again is not in it."""

    def __init__(self) -> None:
        # The number keeps the order of registration among equals, and slots uncompared.
        self._heap: list[tuple[int, int, Slot]] = []

    def fill(self, slots: Iterable[Slot]) -> None:
        """Replaces all entries."""
        self._heap = [
            (slot.next_s, number, slot)
            for number, slot in enumerate(slots)
            if slot.next_s is not None
        ]
        heapify(self._heap)

    @property
    def next_s(self) -> int | None:
        """Unix seconds of the next tick; None if there is none."""
        return self._heap[0][0] if self._heap else None

    def take_due(self, now_s: int) -> list[tuple[Slot, int]]:
        """The entries due by now, with the second they were due at; moves each on.

        Ticks that were missed meanwhile collapse into one, as in Go.
        """
        due: list[tuple[Slot, int]] = []
        heap = self._heap
        while heap and heap[0][0] <= now_s:
            due_s, number, slot = heap[0]
            due.append((slot, due_s))
            slot.previous_s = due_s
            slot.advance(now_s)
            if slot.next_s is None:
                heappop(heap)
            else:
                heapreplace(heap, (slot.next_s, number, slot))
        return due
