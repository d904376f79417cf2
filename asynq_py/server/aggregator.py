"""Makes one task of many: watches groups, and calls the user's function when it is time.

Source: asynq v0.26.0, aggregator.go.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Sequence
from threading import BoundedSemaphore
from typing import TYPE_CHECKING

from asynq_py.broker.aggregation import (
    AGGREGATION_S,
    delete_aggregation_set,
    gather_group,
    groups_of,
    read_aggregation_set,
)
from asynq_py.broker.enqueue import Announced, enqueue
from asynq_py.broker.quarantine import quarantine
from asynq_py.client.prepare import prepare
from asynq_py.clock import NANOSECONDS, Clock
from asynq_py.errors import AsynqError, ConfigError, WireError
from asynq_py.options import merge
from asynq_py.server.config import ServerConfig
from asynq_py.server.threads import Threads
from asynq_py.server.verdict import task_of
from asynq_py.task import Task
from asynq_py.wire.message import decode

if TYPE_CHECKING:
    from asynq_py.connection.sync import Connection

#: How often groups are looked at at least, seconds.
EVERY_S = 7.0
#: How many sets are aggregated at a time.
MOST = 3


class Aggregator:
    """Looks at all groups when called; aggregates on threads of its own.

    Args:
        connection: The way to Redis.
        config: Says how, and when; it has a ``group_aggregator``.
        clock: Tells the time.
        log: Where messages go.
        loop: Where a coroutine function runs.
    """

    def __init__(
        self,
        connection: Connection,
        config: ServerConfig,
        clock: Clock,
        log: logging.Logger,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._connection = connection
        self._queues = list(config.queues)
        self._when = config.when_aggregated
        self._aggregate = config.group_aggregator
        self._clock = clock
        self._log = log
        self._loop = loop
        self._threads = Threads("asynq-aggregator", MOST)
        self._free = BoundedSemaphore(MOST)
        self._announced: Announced = {}

    def __call__(self) -> None:
        for queue in self._queues:
            for group in self._connection.run(groups_of(queue)):
                # Not taken out of its group before somebody is there to aggregate it.
                if not self._free.acquire(blocking=False):
                    return
                if not self._start(queue, group):
                    self._free.release()

    def stop(self, timeout_s: float) -> None:
        """Waits for what is being aggregated."""
        for _ in range(MOST):
            self._free.acquire(timeout=timeout_s)
        self._threads.close()

    def _start(self, queue: str, group: bytes) -> bool:
        set_key = self._connection.run(gather_group(queue, group, self._when, self._clock.now_ns()))
        if set_key is None:
            return False
        self._threads.submit(lambda: self._pass(queue, group, set_key))
        return True

    def _pass(self, queue: str, group: bytes, set_key: bytes) -> None:
        name = group.decode("utf-8", "replace")
        try:
            now_s = self._clock.now_ns() // NANOSECONDS
            tasks = read_set(self._connection, queue, set_key, now_s, self._log)
            if tasks:
                one = self._call(name, tasks)
                put(self._connection, queue, one, self._clock.now_ns(), self._announced)
            self._connection.run(delete_aggregation_set(queue, set_key))
        except AsynqError as error:
            self._log.error("group %r of %r is tried again later: %s", name, queue, error)
        except BaseException:  # whatever the user's function raises
            self._log.exception("group %r of %r is tried again later", name, queue)
        finally:
            self._free.release()

    def _call(self, group: str, tasks: Sequence[Task]) -> Task:
        assert self._aggregate is not None
        answer: object = self._aggregate(group, tasks)
        if inspect.isawaitable(answer):
            future = asyncio.run_coroutine_threadsafe(_awaited(answer), self._loop)
            answer = future.result(AGGREGATION_S)
        return as_task(answer)


def read_set(
    connection: Connection, queue: str, set_key: bytes, now_s: int, log: logging.Logger
) -> list[Task]:
    """The tasks that are to be made one; those that cannot be read go into quarantine."""
    tasks = []
    for task_id, data in connection.run(read_aggregation_set(queue, set_key)):
        try:
            if data is not None:
                tasks.append(task_of(decode(data)))
        except WireError as error:
            log.error("task %r of %r goes into quarantine: %s", task_id, queue, error)
            assert data is not None
            connection.run(quarantine(queue, task_id, data, now_s))
    return tasks


def as_task(answer: object) -> Task:
    """What the user's function made of them.

    Raises:
        ConfigError: It is no task.
    """
    if not isinstance(answer, Task):
        raise ConfigError(f"group_aggregator must return a Task, not {type(answer).__name__}")
    return answer


def put(connection: Connection, queue: str, task: Task, now_ns: int, announced: Announced) -> None:
    """Enqueues the one that they became, in their queue."""
    options = merge(task.options, {"queue": queue})
    draft = prepare(task, options, now_ns=now_ns, max_payload_size=None)
    connection.run(enqueue(draft, now_ns=now_ns, announced=announced))


async def _awaited(answer: Awaitable[object]) -> object:
    return await answer
