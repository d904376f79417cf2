"""A task at work in this process."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from enum import Enum
from typing import Any

from asynq_py.wire.message import TaskMessage


class Why(Enum):
    """Why a handler is asked to stop."""

    TIMEOUT = "its deadline passed"
    CANCEL = "somebody cancelled it"
    LEASE = "its lease ended"
    SHUTDOWN = "the server shuts down"


class Job:
    """What is known of it. It belongs to the event loop, except as said."""

    __slots__ = (
        "archived",
        "deadline_ns",
        "is_decided",
        "is_in_doubt",
        "is_shown_expired",
        "lease_until",
        "message",
        "queue",
        "refusals",
        "running",
        "started_ns",
        "task_id",
        "threads",
        "timer",
        "why",
        "work",
        "writes",
    )

    def __init__(
        self,
        queue: str,
        task_id: str,
        message: TaskMessage,
        lease_until: float,
        started_ns: int,
        deadline_ns: int,
    ) -> None:
        self.queue = queue
        self.task_id = task_id
        self.message = message
        #: Until when the task is ours, by the monotonic clock; moved on by the heartbeat's thread.
        self.lease_until = lease_until
        self.started_ns = started_ns
        self.deadline_ns = deadline_ns
        #: Why it is asked to stop; read by handlers in threads, too.
        self.why: Why | None = None
        #: Whether it is settled what becomes of the task, though the handler may still run.
        self.is_decided = False
        #: Whether it may have been handed in: it was tried, and there was no answer.
        self.is_in_doubt = False
        #: Tells the user that it was archived, once it is.
        self.archived: Callable[[], Coroutine[Any, Any, None]] | None = None
        #: Whether the loop was told that the lease ended.
        self.is_shown_expired = False
        #: How many threads or processes still run its handler.
        self.threads = 0
        #: Whether its coroutine still runs.
        self.running = True
        self.timer: asyncio.TimerHandle | None = None
        self.work: asyncio.Task[None] | None = None
        #: Results that are on their way to Redis.
        self.writes: list[Awaitable[None]] = []
        #: How often Redis refused what is to become of it.
        self.refusals = 0
