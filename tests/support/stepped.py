"""A scheduler whose clock and whose threads are moved by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from asynq_py import Scheduler, SchedulerConfig, Task
from asynq_py.clock import NANOSECONDS, FixedClock


class Stepped:
    """A scheduler that was begun, but has no threads: ``step`` does what they would do.

    Its hooks are real, and have their thread.
    """

    def __init__(self, url: str, start_s: int, **config: Any) -> None:  # noqa: ANN401
        self.clock = FixedClock(start_s * NANOSECONDS)
        #: The monotonic clock of the sender, seconds.
        self.seconds = 0.0
        self.scheduler = Scheduler(url, SchedulerConfig(**config), clock=self.clock)
        engine = self.scheduler._engine
        self.ticker, self.sender, self.outbox = engine._ticker, engine._sender, engine._outbox
        self.hooks = engine._hooks
        monotonic: Callable[[], float] = lambda: self.seconds  # noqa: E731
        self.sender._monotonic = monotonic
        self.sender._allowed_at = 0.0

    def register(self, spec: str, task: Task | None = None, **arguments: Any) -> str:  # noqa: ANN401
        """As Scheduler.register, with a task by default."""
        return self.scheduler.register(spec, task or Task("t"), **arguments)

    def begin(self) -> None:
        """As Scheduler.start, without threads."""
        with self.scheduler._book.lock.write():
            self.scheduler._book.begin(self.now_s)
        self.ticker.step()

    @property
    def now_s(self) -> int:
        return self.clock.now_ns() // NANOSECONDS

    def pass_time(self, seconds: float) -> None:
        """Time passes; nobody does anything."""
        self.clock.advance(seconds)
        self.seconds += seconds

    def step(self, seconds: float = 0) -> None:
        """Time passes, and what is due is enqueued, as far as it goes."""
        self.pass_time(seconds)
        self.ticker.step()
        while self.sender.step() == 0.0:
            pass

    def ticks(self, entry_id: str) -> list[tuple[int, str]]:
        """The runs of an entry: for when, and how they went."""
        runs = self.scheduler.entry(entry_id).runs
        return [(int(run.scheduled_at.timestamp()), run.outcome.value) for run in runs]

    def close(self) -> None:
        """Lets hooks end, and closes the connections."""
        self.hooks.finish(0.0)
        self.scheduler._engine.connection.close()
        self.scheduler._engine._listening.close()
