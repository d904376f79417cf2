"""The blocking client."""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Self, Unpack

from asynq_py.broker.enqueue import Announced, enqueue
from asynq_py.broker.enqueue_all import enqueue_all
from asynq_py.broker.op import call
from asynq_py.client.batch import Batch
from asynq_py.client.prepare import check_limit, prepare, task_info
from asynq_py.clock import SYSTEM_CLOCK, Clock
from asynq_py.info import EnqueueResult, TaskInfo
from asynq_py.options import EnqueueOptions, normalize
from asynq_py.task import Task

if TYPE_CHECKING:
    from asynq_py.connection.sync import RedisArgument


class Client:
    """Enqueues tasks; share one between threads and carry it over forks as you like.

    Args:
        redis: A URL, a RedisConfig, or a ready ``redis.Redis`` (which is not closed here).
        max_payload_size: The most bytes a payload may have; None for no limit.
        clock: Tells the time; the machine's own by default.

    Raises:
        ConfigError: It is not clear where Redis is. Nothing is connected yet, except to a
            cluster, which is asked for its nodes.
    """

    def __init__(
        self,
        redis: RedisArgument,
        *,
        max_payload_size: int | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        # Here, not above: redis-py takes longer to import than all of asynq_py.
        from asynq_py.connection.sync import Connection

        self._max_payload_size = check_limit(max_payload_size)
        self._clock = clock
        self._announced: Announced = {}
        self._connection = Connection(redis)

    def enqueue(self, task: Task, **options: Unpack[EnqueueOptions]) -> TaskInfo:
        """Stores a task for a worker to take: now, later, or with its group.

        Args:
            task: What to do.
            **options: How; they win over the task's own, see :class:`EnqueueOptions`.

        Returns:
            The task as it was stored.

        Raises:
            ConfigError: A value can never work. Nothing was sent.
            DuplicateTaskError: ``unique``, and another task holds the lock. Nothing was
                written.
            TaskIDConflictError: The ID is taken, be it by a finished task that is still
                kept. Nothing was written.
            BrokerError: Redis failed. Its ``written`` is False if the task was surely not
                stored, None if that is not known: then enqueue it again with the same
                ``task_id``, and a TaskIDConflictError says that it was.
        """
        now_ns = self._clock.now_ns()
        draft = prepare(
            task, normalize(options), now_ns=now_ns, max_payload_size=self._max_payload_size
        )
        self._connection.run(enqueue(draft, now_ns=now_ns, announced=self._announced))
        return task_info(draft, now_ns)

    def enqueue_many(
        self, tasks: Iterable[Task], **options: Unpack[EnqueueOptions]
    ) -> list[EnqueueResult]:
        """Stores many tasks, as if one after another but in few round trips.

        Each task goes its own way: one that is refused, or that can never work, does not
        stop the others, and a duplicate inside the batch loses to the earlier one.

        Args:
            tasks: What to do.
            **options: How, for all of them; they win over the tasks' own.

        Returns:
            What became of each task, in their order. Errors are in the results, also a
            connection that was lost on the way.

        Raises:
            ConfigError: An option for all of them can never work. Nothing was sent.
        """
        now_ns = self._clock.now_ns()
        batch = Batch(
            tasks, normalize(options), now_ns=now_ns, max_payload_size=self._max_payload_size
        )
        outcomes = self._connection.run(
            enqueue_all(batch.drafts(), now_ns=now_ns, announced=self._announced)
        )
        return batch.results(outcomes)

    def ping(self) -> None:
        """Asks Redis for a sign of life.

        Raises:
            BrokerError: There is none.
        """
        self._connection.run(call("PING"))

    def close(self) -> None:
        """Closes the connections opened here. The client cannot be used any more."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
