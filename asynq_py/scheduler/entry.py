"""An entry: what is enqueued when, and how it went."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from asynq_py.clock import from_unix_s
from asynq_py.options import Normalized
from asynq_py.schedule import Schedule
from asynq_py.task import Task

#: How many runs an entry remembers in memory.
RUNS_KEPT = 20


class RunOutcome(StrEnum):
    """How a run went."""

    ENQUEUED = "enqueued"
    #: Another task held the uniqueness lock, or the task ID was taken.
    DUPLICATE = "duplicate"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Run:
    """One run of an entry."""

    #: The moment the schedule asked for.
    scheduled_at: datetime
    #: When the task was enqueued, None if it was not.
    enqueued_at: datetime | None
    outcome: RunOutcome
    task_id: str
    #: What went wrong, None if nothing did.
    error: Exception | None
    #: From ``scheduled_at`` to the end of the attempt.
    lateness: timedelta


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry as it stood at one moment."""

    #: The name, or a random UUID.
    id: str
    name: str | None
    #: The schedule as it was registered.
    spec: str
    task: Task
    #: The options given to ``register``, as they are sent.
    options: Mapping[str, object]
    #: The name of the time zone its schedule is read in.
    location: str
    #: When it runs next, in its own time zone; None for never.
    next_run: datetime | None
    previous_run: datetime | None
    last_outcome: RunOutcome | None
    last_error: Exception | None
    #: Failures in a row.
    failures: int
    #: The newest runs, oldest first.
    runs: tuple[Run, ...]


class Slot:
    """An entry at work: what the scheduler keeps of it and changes."""

    __slots__ = (
        "failures",
        "id",
        "name",
        "next_s",
        "options",
        "previous_s",
        "runs",
        "schedule",
        "spec",
        "task",
    )

    def __init__(
        self,
        entry_id: str,
        name: str | None,
        spec: str,
        schedule: Schedule,
        task: Task,
        options: Normalized,
    ) -> None:
        self.id = entry_id
        self.name = name
        #: As it is shown to Go's tools.
        self.spec = spec
        self.schedule = schedule
        self.task = task
        self.options = options
        #: Unix seconds of the next and the previous tick; None for never.
        self.next_s: int | None = None
        self.previous_s: int | None = None
        self.failures = 0
        self.runs: deque[Run] | None = None

    def advance(self, now_s: int) -> None:
        """Sets the next tick to the first one after ``now_s``."""
        self.next_s = self.schedule.next_s(now_s)

    def note(self, run: Run) -> None:
        """Adds a run that was attempted."""
        if self.runs is None:
            self.runs = deque(maxlen=RUNS_KEPT)
        self.runs.append(run)
        self.failures = self.failures + 1 if run.outcome is RunOutcome.FAILED else 0

    def entry(self) -> Entry:
        """What callers are shown."""
        last = self.runs[-1] if self.runs else None
        return Entry(
            id=self.id,
            name=self.name,
            spec=self.schedule.spec,
            task=self.task,
            options=dict(self.options),
            location=self.schedule.location,
            next_run=self._moment(self.next_s),
            previous_run=self._moment(self.previous_s),
            last_outcome=last.outcome if last else None,
            last_error=last.error if last else None,
            failures=self.failures,
            runs=tuple(self.runs or ()),
        )

    def _moment(self, seconds: int | None) -> datetime | None:
        if seconds is None:
            return None
        return from_unix_s(seconds).astimezone(ZoneInfo(self.schedule.location))
