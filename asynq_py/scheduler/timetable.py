"""Who is next: a heap of entries by the moment of their next tick. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heapify, heappop, heapreplace

from asynq_py.scheduler.due import judge
from asynq_py.scheduler.entry import Slot


class Due:
    """A tick on its way."""

    __slots__ = ("draft", "failed_at", "is_noted_only", "is_unsure", "number", "slot", "tick_s")

    def __init__(self, slot: Slot, tick_s: int, *, is_noted_only: bool = False) -> None:
        self.slot = slot
        #: Unix seconds.
        self.tick_s = tick_s
        #: Whether the ledger is to be told of it without a task.
        self.is_noted_only = is_noted_only
        #: The number of the request, where it was triggered; 0 for a tick of the schedule.
        self.number = 0
        #: The task, once prepared: it is the same on every attempt.
        self.draft: object = None
        #: When it failed first; a monotonic clock's seconds.
        self.failed_at: float | None = None
        #: Whether an earlier attempt may have stored it.
        self.is_unsure = False


class Missed:
    """Ticks of an entry that are left out."""

    __slots__ = ("count", "slot", "ticks")

    def __init__(self, slot: Slot, ticks: list[int], count: int) -> None:
        self.slot = slot
        #: The newest of them.
        self.ticks = ticks
        self.count = count


class Timetable:
    """Entries by their next tick; one that never ticks again is not in it."""

    def __init__(self) -> None:
        # The number is the slot's place, and so the order of registration among equals. Tuples
        # of mere numbers are nothing to the garbage collector, see Slot.runs.
        self._slots: list[Slot] = []
        self._heap: list[tuple[int, int]] = []

    def fill(self, slots: Iterable[Slot]) -> None:
        """Replaces all entries."""
        self._slots = list(slots)
        self._heap = [
            (due_ms, number)
            for number, slot in enumerate(self._slots)
            if (due_ms := slot.due_ms) is not None
        ]
        heapify(self._heap)

    @property
    def next_ms(self) -> int | None:
        """Unix milliseconds of the next tick; None if there is none."""
        return self._heap[0][0] if self._heap else None

    def take_due(self, now_ms: int, most: int) -> tuple[list[Due], list[Missed]]:
        """The ticks due by now of some entries, and those that are left out.

        Moves these entries on. There may be more: ``next_ms`` tells.
        """
        due: list[Due] = []
        missed: list[Missed] = []
        heap = self._heap
        while heap and heap[0][0] <= now_ms and most > 0:
            most -= 1
            number = heap[0][1]
            slot = self._slots[number]
            _take(slot, (now_ms - slot.jitter_ms) // 1000, due, missed)
            following_ms = slot.due_ms
            if following_ms is None:
                heappop(heap)
            else:
                heapreplace(heap, (following_ms, number))
        return due, missed


def _take(slot: Slot, now_s: int, due: list[Due], missed: list[Missed]) -> None:
    """Moves one entry on, whose next tick is due."""
    tick_s = slot.next_s
    assert tick_s is not None
    if slot.field is None and slot.schedule.every_s is not None:
        # As in Go: it counts from when it ran.
        slot.previous_s = tick_s
        slot.advance(now_s)
        if not slot.paused:
            due.append(Due(slot, tick_s))
        return
    verdict = judge(slot.calendar.next_s, tick_s, now_s, slot.misfire, slot.active_since_s)
    slot.next_s = verdict.following
    newest = verdict.fire[-1] if verdict.fire else verdict.missed[-1]
    slot.previous_s = newest
    if slot.paused:
        if slot.field is not None:
            due.append(Due(slot, newest, is_noted_only=True))
        return
    if verdict.missed_count:
        missed.append(Missed(slot, verdict.missed, verdict.missed_count))
    due.extend(Due(slot, tick_s) for tick_s in verdict.fire)
    if not verdict.fire and slot.field is not None:
        # So that no later leader makes up for what was left out.
        due.append(Due(slot, newest, is_noted_only=True))
