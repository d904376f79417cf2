"""An entry: what is enqueued when, and how it went."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from asynq_py.clock import from_unix_ns, from_unix_s
from asynq_py.options import DEFAULT_QUEUE
from asynq_py.schedule import Schedule
from asynq_py.scheduler.calendar import Calendar
from asynq_py.scheduler.periodic import PeriodicTask
from asynq_py.scheduler.policy import Misfire
from asynq_py.task import Task

#: How many runs an entry remembers in memory.
RUNS_KEPT = 20


class RunOutcome(StrEnum):
    """How a run went."""

    ENQUEUED = "enqueued"
    #: Another task held the uniqueness lock, the task ID was taken, or the tick had been
    #: enqueued by another scheduler.
    DUPLICATE = "duplicate"
    #: The last task was not done, and the entry does not want two.
    OVERLAPPED = "overlapped"
    #: It fell into downtime, or could not be enqueued for too long.
    MISSED = "missed"
    #: Another scheduler led when it was to be enqueued, and sees to it.
    LOST_LEADERSHIP = "lost_leadership"
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

    #: The name, or a hash of all that defines it: equal in all schedulers, and after a restart.
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
    #: Whether its ticks are left out for now.
    paused: bool = False
    #: How many ticks were missed since the scheduler was made.
    missed: int = 0


class Record(NamedTuple):
    """A run in the form in which many are kept."""

    tick_s: int
    at_ns: int
    outcome: RunOutcome
    task_id: str
    error: Exception | None

    def run(self) -> Run:
        """What callers are shown."""
        is_enqueued = self.outcome is RunOutcome.ENQUEUED
        return Run(
            scheduled_at=from_unix_s(self.tick_s),
            enqueued_at=from_unix_ns(self.at_ns) if is_enqueued else None,
            outcome=self.outcome,
            task_id=self.task_id,
            error=self.error,
            lateness=timedelta(microseconds=(self.at_ns - self.tick_s * 10**9) // 1000),
        )


class Slot:
    """An entry at work: what the scheduler keeps of it and changes."""

    __slots__ = (
        "active_since_s",
        "calendar",
        "definition",
        "failures",
        "field",
        "id",
        "is_gone",
        "jitter_ms",
        "misfire",
        "missed",
        "next_s",
        "paused",
        "previous_s",
        "runs",
        "schedule",
        "shard",
        "trimmed_ns",
        "untrimmed",
        "zoned",
    )

    def __init__(
        self,
        definition: PeriodicTask,
        schedule: Schedule,
        entry_id: str,
        misfire: Misfire,
        field: str | None,
        *,
        zoned: bool,
    ) -> None:
        self.definition = definition
        self.schedule = schedule
        self.id = entry_id
        self.misfire = misfire
        #: Its field in the ledger of ticks; None if its ticks are not noted there.
        self.field = field
        #: Whether it has no location of its own beside the spec.
        self.zoned = zoned
        has_bounds = definition.start_ns is not None or definition.end_ns or definition.exclude
        self.calendar: Schedule | Calendar = schedule
        if has_bounds or (field is not None and schedule.every_s is not None):
            self.calendar = Calendar(
                schedule, definition.start_ns, definition.end_ns, definition.exclude
            )
        self.jitter_ms = _jitter_ms(definition, entry_id)
        #: Unix seconds of the next and the previous tick; None for never.
        self.next_s: int | None = None
        self.previous_s: int | None = None
        #: Ticks up to this second fell into downtime.
        self.active_since_s = 0
        self.failures = 0
        self.missed = 0
        #: Records as plain tuples of plain values, which the garbage collector can leave alone:
        #: with a hundred thousand entries it would stop everything for a fifth of a second.
        self.runs: tuple[tuple[Any, ...], ...] = ()
        self.paused = False
        #: Whether it was removed; what waits of it is not enqueued.
        self.is_gone = False
        #: Of the published entries, in which part it is.
        self.shard = 0
        #: When its history in Redis was last trimmed, Unix nanoseconds, and its runs since.
        self.trimmed_ns = 0
        self.untrimmed = 0

    @property
    def queue(self) -> str:
        """Where its tasks go."""
        definition = self.definition
        return (
            definition.options.get("queue")
            or definition.task._options.get("queue")
            or DEFAULT_QUEUE
        )

    @property
    def zone(self) -> ZoneInfo:
        """The time zone its schedule is read in."""
        return ZoneInfo(self.schedule.location)

    @property
    def shown_spec(self) -> str:
        """The spec as Go's tools are shown it: they know no location beside it, but understand
        one before it."""
        spec = self.schedule.spec
        return spec if self.zoned else f"CRON_TZ={self.schedule.location} {spec}"

    @property
    def due_ms(self) -> int | None:
        """When the next tick is to be enqueued, Unix milliseconds."""
        return None if self.next_s is None else self.next_s * 1000 + self.jitter_ms

    @property
    def has_evidence(self) -> bool:
        """Whether its tasks say in headers which tick they are."""
        return self.field is not None or self.definition.name is not None

    def advance(self, now_s: int) -> None:
        """Sets the next tick to the first one after ``now_s``."""
        self.next_s = self.calendar.next_s(now_s)

    def resume_after(self, tick_s: int) -> None:
        """Goes on after a tick that the ledger has."""
        if isinstance(self.calendar, Calendar) and self.schedule.every_s is not None:
            self.calendar.anchor_s = tick_s
        self.advance(tick_s)

    def note(self, record: Record) -> None:
        """Adds a run."""
        plain = (*record[:2], record.outcome.value, *record[3:])
        self.runs = (*self.runs[1 - RUNS_KEPT :], plain)
        if record.outcome is RunOutcome.FAILED:
            self.failures += 1
        elif record.outcome is not RunOutcome.MISSED:
            self.failures = 0

    def entry(self, standby_s: int | None = None) -> Entry:
        """What callers are shown.

        Args:
            standby_s: Now, Unix seconds, where another scheduler has it tick.
        """
        next_s = self.next_s
        if standby_s is not None and next_s is not None and next_s <= standby_s:
            next_s = self.calendar.next_s(standby_s)
        records = [_record(plain) for plain in self.runs]
        last = records[-1] if records else None
        definition = self.definition
        return Entry(
            id=self.id,
            name=definition.name,
            spec=self.schedule.spec,
            task=definition.task,
            options=dict(definition.options),
            location=self.schedule.location,
            next_run=self._moment(next_s),
            previous_run=self._moment(self.previous_s),
            last_outcome=last.outcome if last else None,
            last_error=last.error if last else None,
            failures=self.failures,
            runs=tuple(record.run() for record in records),
            paused=self.paused,
            missed=self.missed,
        )

    def _moment(self, seconds: int | None) -> datetime | None:
        if seconds is None:
            return None
        return from_unix_s(seconds).astimezone(self.zone)


def _record(plain: tuple[Any, ...]) -> Record:
    """The inverse of what ``note`` keeps."""
    tick_s, at_ns, outcome, task_id, error = plain
    return Record(tick_s, at_ns, RunOutcome(outcome), task_id, error)


def _jitter_ms(definition: PeriodicTask, entry_id: str) -> int:
    """From nothing to ``jitter``, by the entry's ID."""
    if not definition.jitter_ns:
        return 0
    share = int.from_bytes(sha256(entry_id.encode()).digest()[:8], "big") / 2**64
    return int(share * definition.jitter_ns) // 1_000_000
