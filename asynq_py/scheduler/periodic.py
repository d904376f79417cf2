"""What users define: a task, when it is to be enqueued, and under which rules."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date, datetime
from functools import partial
from hashlib import sha256
from typing import TypeAlias, Unpack
from zoneinfo import ZoneInfo

from asynq_py.codec import JSON, Codec
from asynq_py.errors import ConfigError
from asynq_py.options import Duration, EnqueueOptions, Normalized, check_text, moment_ns, normalize
from asynq_py.options import duration_ns as _duration_ns
from asynq_py.scheduler.policy import Misfire, Overlap
from asynq_py.task import Task

#: Makes the payload of a tick from the moment it is for; aware, in the entry's time zone.
PayloadOf: TypeAlias = Callable[[datetime], object]


class EntryOptions(EnqueueOptions, total=False):
    """The keyword arguments of :class:`PeriodicTask`, for those that hand them on."""

    name: str | None
    location: str | ZoneInfo | None
    misfire: Misfire | None
    overlap: Overlap
    jitter: Duration | None
    start_at: datetime | None
    end_at: datetime | None
    max_runs: int | None
    exclude: Iterable[date]
    payload: PayloadOf | None
    codec: Codec
    dialect: str


class PeriodicTask:
    """A task and when it is enqueued; immutable.

    Args:
        spec: When: a cron expression, ``@daily``, ``@every 30s``, ..., see parse_schedule.
        task: What to enqueue then.
        name: What to call the entry; it becomes its ID, its key in the ledger of ticks and
            the value of the header ``asynq-entry``.
        location: The time zone of ``spec``; the scheduler's by default.
        misfire: What happens to ticks that fell into downtime; the scheduler's by default.
        overlap: What happens while the last task is not done.
        jitter: The entry's ticks come later by a span of up to this one, which follows from
            the entry's ID and so is the same always and everywhere.
        start_at: No tick is before this moment.
        end_at: No tick is after this moment.
        max_runs: How many tasks are enqueued at most, ever.
        exclude: Days without ticks, in the entry's time zone.
        payload: Makes the payload of each tick, in place of the task's own.
        codec: What makes bytes of what ``payload`` gives.
        dialect: The syntax of ``spec``, "asynq" or "extended", see parse_schedule.
        **options: How to enqueue it; they win over the task's own.

    Raises:
        ConfigError: A value can never work. ``spec`` is looked at when it is registered.
    """

    __slots__ = (
        "codec",
        "dialect",
        "end_ns",
        "exclude",
        "jitter_ns",
        "location",
        "max_runs",
        "misfire",
        "name",
        "options",
        "overlap",
        "payload",
        "spec",
        "start_ns",
        "task",
    )

    def __init__(
        self,
        spec: str,
        task: Task,
        *,
        name: str | None = None,
        location: str | ZoneInfo | None = None,
        misfire: Misfire | None = None,
        overlap: Overlap = Overlap.ALLOW,
        jitter: Duration | None = None,
        start_at: datetime | None = None,
        end_at: datetime | None = None,
        max_runs: int | None = None,
        exclude: Iterable[date] = (),
        payload: PayloadOf | None = None,
        codec: Codec = JSON,
        dialect: str = "asynq",
        **options: Unpack[EnqueueOptions],
    ) -> None:
        if not isinstance(spec, str):
            raise ConfigError(f"spec must be a str, not {type(spec).__name__}")
        if not isinstance(task, Task):
            raise ConfigError(f"only a Task can be registered, not {type(task).__name__}")
        if misfire is not None and not isinstance(misfire, Misfire):
            raise ConfigError(f"misfire must be a Misfire, not {misfire!r}")
        if max_runs is not None and (
            not isinstance(max_runs, int) or isinstance(max_runs, bool) or max_runs < 1
        ):
            raise ConfigError(f"max_runs must be a number of runs, 1 or more, not {max_runs!r}")
        if payload is not None and not callable(payload):
            raise ConfigError(f"payload must be callable, not {type(payload).__name__}")
        self.spec = spec
        self.task = task
        self.name = None if name is None else check_text("name", name)
        self.location = location
        self.misfire = misfire
        try:
            self.overlap = Overlap(overlap)
        except ValueError:
            raise ConfigError(f"overlap must be an Overlap, not {overlap!r}") from None
        self.jitter_ns = 0 if jitter is None else _duration_ns("jitter", jitter)
        self.start_ns = None if start_at is None else moment_ns("start_at", start_at)
        self.end_ns = None if end_at is None else moment_ns("end_at", end_at)
        if self.start_ns is not None and self.end_ns is not None and self.end_ns < self.start_ns:
            raise ConfigError("end_at must not be before start_at")
        self.max_runs = max_runs
        self.exclude = frozenset(_days(exclude)) if exclude else frozenset()
        self.payload = payload
        self.codec = codec
        self.dialect = dialect
        self.options: Normalized = normalize(options) if options else _NO_OPTIONS

    def __repr__(self) -> str:
        name = f", name={self.name!r}" if self.name is not None else ""
        return f"PeriodicTask({self.spec!r}, {self.task!r}{name})"

    def fingerprint(self) -> str:
        """A hash of everything that defines it, equal in all processes: 32 hex digits.

        Source: unlike that of Go's PeriodicTaskManager, it sees every field, and fields
        cannot run into each other.
        """
        task = self.task
        maker = self.payload
        # What is as it mostly is says nothing; the names keep the rest apart.
        rest = [
            (name, value)
            for name, value in (
                ("dialect", self.dialect if self.dialect != "asynq" else None),
                ("name", self.name),
                ("location", None if self.location is None else str(self.location)),
                ("misfire", self.misfire),
                ("overlap", None if self.overlap is Overlap.ALLOW else self.overlap.value),
                ("jitter", self.jitter_ns or None),
                ("start_at", self.start_ns),
                ("end_at", self.end_ns),
                ("max_runs", self.max_runs),
                ("exclude", sorted(self.exclude) or None),
                ("payload", maker and (_identity(maker), _identity(self.codec))),
                ("options", sorted(self.options.items()) or None),
                ("headers", sorted(task.headers.items()) or None),
                ("task options", sorted(task._options.items()) or None),
            )
            if value is not None
        ]
        # The repr of plain values tells them apart, whatever is in them.
        fields = repr((self.spec, task.type, task._payload, rest))
        return sha256(fields.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _identity(value: object) -> object:
    """What a function or an object is known by in all processes."""
    if isinstance(value, partial):
        return _identity(value.func), value.args, sorted(value.keywords.items())
    if hasattr(value, "__qualname__"):
        return getattr(value, "__module__", ""), value.__qualname__
    kind = type(value)
    # Without a form of its own an object shows where in memory it is.
    shown = repr(value) if kind.__repr__ is not object.__repr__ else ""
    return kind.__module__, kind.__qualname__, shown


_NO_OPTIONS: Normalized = {}


def _days(exclude: Iterable[date]) -> Iterable[date]:
    for day in exclude:
        if not isinstance(day, date) or isinstance(day, datetime):
            raise ConfigError(f"exclude must hold dates, not {day!r}")
        yield day
