"""What an inspector shows of queues, servers and schedulers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class QueueInfo:
    """A queue at one moment."""

    queue: str
    #: About how many bytes it takes.
    memory_usage: int
    #: For how long the oldest pending task has been waiting.
    latency: timedelta
    #: All tasks, completed ones too.
    size: int
    groups: int
    pending: int
    active: int
    scheduled: int
    retry: int
    archived: int
    completed: int
    aggregating: int
    #: Today, UTC; with those that failed.
    processed: int
    failed: int
    processed_total: int
    failed_total: int
    paused: bool
    timestamp: datetime


@dataclass(frozen=True, slots=True)
class QueueSizes:
    """What is cheap to know of a queue, however much is in it."""

    queue: str
    #: Without those in groups.
    size: int
    groups: int
    pending: int
    active: int
    scheduled: int
    retry: int
    archived: int
    completed: int
    processed_total: int
    failed_total: int
    paused: bool


@dataclass(frozen=True, slots=True)
class DailyStats:
    """What became of the tasks of a queue on a day."""

    queue: str
    #: Midnight, UTC.
    date: datetime
    #: With those that failed.
    processed: int
    failed: int


@dataclass(frozen=True, slots=True)
class GroupInfo:
    """A group of a queue."""

    group: str
    size: int


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """A task at work."""

    task_id: str
    type: str
    payload: bytes
    queue: str
    started_at: datetime | None
    deadline: datetime | None


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """A worker server, in Go or in Python."""

    id: str
    host: str
    pid: int
    concurrency: int
    #: Priorities by queue.
    queues: Mapping[str, int]
    strict_priority: bool
    started_at: datetime | None
    #: "new", "active", "stopped" or "closed".
    status: str
    active_workers: tuple[WorkerInfo, ...]


@dataclass(frozen=True, slots=True)
class SchedulerEntryInfo:
    """An entry as a scheduler, in Go or in Python, shows it."""

    id: str
    spec: str
    type: str
    payload: bytes
    #: As Go prints them: 'Queue("critical")', ...
    options: tuple[str, ...]
    next_run: datetime | None
    previous_run: datetime | None


@dataclass(frozen=True, slots=True)
class EnqueueEvent:
    """A run of a scheduler's entry."""

    task_id: str
    enqueued_at: datetime | None


@dataclass(frozen=True, slots=True)
class ClusterNode:
    """A node of a Redis Cluster that holds a queue."""

    id: str
    address: str
