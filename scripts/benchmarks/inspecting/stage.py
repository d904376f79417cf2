"""A contender's process, and the Redis that is filled for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from asynq_py import Client, Task
from asynq_py.testing import RedisServer

from ..drivers.driver import TASK_TYPE, in_pieces, payload
from ..model import BenchmarkError
from ..process import Process
from .probe import Blocked, Probe

QUEUE = "bench"
BATCH = 5_000


class Stage:
    """What a part measures on: one Redis for all, and the process of whose turn it is."""

    def __init__(self, server: RedisServer, now: Callable[[str], None]) -> None:
        self.server = server
        self._now = now
        self._filled = ""
        self._process: Process | None = None

    def enter(self, process: Process) -> None:
        """It is the turn of this one."""
        self._process = process

    def fill(self, what: str, tasks: Iterator[Task], count: int, *, anew: bool = False) -> None:
        """Has Redis hold these tasks and nothing else.

        Args:
            what: Their name; what is there already stays.
            tasks: Makes them.
            count: How many.
            anew: Whether they are stored again in any case.
        """
        if self._filled == what and not anew:
            return
        self._filled = ""
        self.server.command("FLUSHALL", "SYNC")
        with Client(self.server.url) as client:
            for numbers in in_pieces(count, BATCH):
                self._now(f"storing {what}: {numbers.start:,} of {count:,}")
                batch = [next(tasks) for _ in numbers]
                for result in client.enqueue_many(batch, queue=QUEUE):
                    if result.error:
                        raise BenchmarkError(f"storing {what}: {result.error}")
        self._filled = what

    def milliseconds(self, times: int, **command: str | int) -> tuple[float, float]:
        """How long a call takes, and the client's CPU time for it; of so many calls."""
        answer = self.ask(times=times, **command)
        return answer["seconds"] / times * 1000, answer["cpu_seconds"] / times * 1000

    def ask(self, **command: str | int) -> dict[str, Any]:
        """Has the contender do something."""
        assert self._process is not None
        return self._process.ask({"queue": QUEUE, **command})

    def blocked(self, **command: str | int) -> tuple[dict[str, Any], Blocked]:
        """As `ask`, and how long others had to wait for Redis meanwhile."""
        with Probe(self.server) as probe:
            answer = self.ask(**command)
        return answer, probe.blocked


def tasks(**options: Any) -> Iterator[Task]:  # noqa: ANN401
    """Small tasks without end."""
    number = 0
    while True:
        yield Task(TASK_TYPE, payload(number), **options)
        number += 1


def grouped(groups: int) -> Iterator[Task]:
    """Small tasks without end, shared among groups."""
    number = 0
    while True:
        yield Task(TASK_TYPE, payload(number), group=f"group-{number % groups}")
        number += 1
