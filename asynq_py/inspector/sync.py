"""The blocking inspector."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Self

from asynq_py.broker import reading, steering
from asynq_py.broker.op import call
from asynq_py.broker.steering import ARCHIVE, DELETE, RUN, Progress
from asynq_py.clock import NANOSECONDS, SYSTEM_CLOCK, Clock
from asynq_py.info import TaskInfo
from asynq_py.inspector import calls
from asynq_py.inspector.calls import check_group, check_page, check_payload, check_state
from asynq_py.inspector.info import (
    ClusterNode,
    DailyStats,
    EnqueueEvent,
    GroupInfo,
    QueueInfo,
    QueueSizes,
    SchedulerEntryInfo,
    ServerInfo,
)
from asynq_py.options import check_text
from asynq_py.wire.message import TaskState

if TYPE_CHECKING:
    from asynq_py.connection.sync import RedisArgument

#: How many tasks ``iter_tasks`` reads at a time.
ITER_TASKS = 500


class Inspector:
    """Looks at queues, tasks, servers and schedulers, and steers them; in Go or in Python.

    Reading is lenient: what is damaged is shown as damaged (``TaskInfo.damage``). Acting is
    strict: what is gone or in another state is refused, and nothing changed. Where a state is
    an argument, a TaskState or its word will do.

    Args:
        redis: A URL, a RedisConfig, or a ready ``redis.Redis`` (which is not closed here).
        clock: Tells the time; the machine's own by default.

    Raises:
        ConfigError: It is not clear where Redis is. Nothing is connected yet.
    """

    def __init__(self, redis: RedisArgument, *, clock: Clock = SYSTEM_CLOCK) -> None:
        from asynq_py.connection.sync import Connection

        self._clock = clock
        self._connection = Connection(redis)

    # -- queues --

    def queues(self) -> list[str]:
        """The names of all queues, sorted."""
        return self._connection.run(reading.queue_names())

    def queue_info(self, queue: str, *, memory: bool = True) -> QueueInfo:
        """A queue at this moment.

        Args:
            queue: Its name.
            memory: Whether to estimate how many bytes it takes; 0 without, or where Redis does
                not let us ask.

        Raises:
            QueueNotFoundError: There is no such queue.
        """
        now_ns = self._clock.now_ns()
        return self._connection.run(calls.queue_info(queue, now_ns, with_memory=memory))

    def queue_sizes(self, queues: Iterable[str] | None = None) -> list[QueueSizes]:
        """What is cheap to know of queues (all by default), however much is in them: for
        monitoring. A queue that does not exist is empty."""
        return self._connection.run(calls.queue_sizes(queues))

    def history(self, queue: str, days: int = 10) -> list[DailyStats]:
        """What became of the tasks of a queue on the last days, today first; at most 90 are
        known.

        Raises:
            QueueNotFoundError: There is no such queue.
        """
        return self._connection.run(calls.history(queue, days, self._clock.now_ns()))

    def groups(self, queue: str) -> list[GroupInfo]:
        """The groups of a queue that have tasks waiting, sorted by name."""
        return self._connection.run(calls.groups(queue))

    def pause_queue(self, queue: str) -> None:
        """Has workers take nothing from a queue, which need not exist yet.

        Raises:
            QueueStateError: It is paused already.
        """
        check_text("queue", queue)
        self._connection.run(steering.pause_queue(queue, self._now_s()))

    def unpause_queue(self, queue: str) -> None:
        """Has workers take from a queue again.

        Raises:
            QueueStateError: It is not paused.
        """
        check_text("queue", queue)
        self._connection.run(steering.unpause_queue(queue))

    def delete_queue(
        self, queue: str, force: bool = False, *, progress: Progress | None = None
    ) -> None:
        """Removes a queue and all that belongs to it.

        Args:
            queue: Its name.
            force: Whether to delete its tasks, too; active ones are never.
            progress: Told how many tasks have been deleted so far.

        Raises:
            QueueNotFoundError: There is no such queue.
            QueueNotEmptyError: It has tasks; with ``force``, active ones.
        """
        check_text("queue", queue)
        now_ns = self._clock.now_ns()
        self._connection.run(
            steering.delete_queue(
                queue,
                calls.days(now_ns, calls.COUNTER_DAYS),
                force=force,
                now_s=now_ns // NANOSECONDS,
                progress=progress,
            )
        )

    # -- tasks --

    def list_tasks(
        self,
        queue: str,
        state: TaskState | str,
        *,
        group: str | None = None,
        page: int = 1,
        size: int = 30,
    ) -> list[TaskInfo]:
        """A page of the tasks of a state, the next to run (or to go) first.

        Args:
            queue: Its name.
            state: Which tasks.
            group: Which group, for aggregating tasks.
            page: From 1 on.
            size: Tasks on a page.

        Raises:
            QueueNotFoundError: There is no such queue.
        """
        which = check_state(state)
        start = check_page(page, size)
        op = calls.list_tasks(
            queue, which, check_group(which, group), start, size, self._clock.now_ns()
        )
        return self._connection.run(op)

    def iter_tasks(
        self,
        queue: str,
        state: TaskState | str,
        *,
        group: str | None = None,
        type: str | None = None,
        older_than: datetime | None = None,
        error: str | None = None,
    ) -> Iterator[TaskInfo]:
        """All tasks of a state, read bit by bit; what moves meanwhile may be missed or come
        twice.

        Args:
            queue: Its name.
            state: Which tasks.
            group: Which group, for aggregating tasks.
            type: Only of this type; "*" and "?" stand for anything.
            older_than: Only those that were completed, failed or are due before this moment.
            error: Only those whose last error has this text in it, upper or lower case.

        Raises:
            ConfigError: A value can never work.
            QueueNotFoundError: There is no such queue; where the first task is asked for.
        """
        # Checked now, not when the first task is asked for.
        check_text("queue", queue)
        which = check_state(state)
        named = check_group(which, group)
        wanted = calls.matches(type=type, older_than=older_than, error=error)
        return self._iterate(queue, which, named, wanted)

    def get_task(self, queue: str, task_id: str) -> TaskInfo:
        """One task.

        Raises:
            QueueNotFoundError: There is no such queue.
            TaskNotFoundError: There is no such task.
        """
        return self._connection.run(calls.get_task(queue, task_id, self._clock.now_ns()))

    def run_task(self, queue: str, task_id: str) -> None:
        """Makes a task pending, whatever it waits for, and archived or completed ones too.

        Raises:
            QueueNotFoundError: There is no such queue.
            TaskNotFoundError: There is no such task.
            TaskStateError: It is active or pending. Nothing was changed.
        """
        self._move(queue, task_id, RUN)

    def archive_task(self, queue: str, task_id: str) -> None:
        """Has a task never run, and keeps it to look at.

        Raises:
            QueueNotFoundError: There is no such queue.
            TaskNotFoundError: There is no such task.
            TaskStateError: It is active or archived. Nothing was changed.
        """
        self._move(queue, task_id, ARCHIVE)

    def delete_task(self, queue: str, task_id: str) -> None:
        """Deletes a task, and frees its uniqueness lock.

        Raises:
            QueueNotFoundError: There is no such queue.
            TaskNotFoundError: There is no such task.
            TaskStateError: It is active. Nothing was changed.
        """
        self._move(queue, task_id, DELETE)

    def run_all(
        self,
        queue: str,
        state: TaskState | str,
        *,
        group: str | None = None,
        progress: Progress | None = None,
    ) -> int:
        """Makes all tasks of a state pending: scheduled, retry, archived, completed,
        aggregating.

        In pieces, so that Redis serves others in between.

        Args:
            queue: Its name.
            state: Which tasks.
            group: Which group, for aggregating tasks.
            progress: Told how many there were so far.

        Returns:
            How many there were.

        Raises:
            QueueNotFoundError: There is no such queue.
            BrokerError: Redis failed; some may have been moved.
        """
        return self._move_all(queue, state, group, RUN, progress)

    def archive_all(
        self,
        queue: str,
        state: TaskState | str,
        *,
        group: str | None = None,
        progress: Progress | None = None,
    ) -> int:
        """Archives all tasks of a state: pending, scheduled, retry, completed, aggregating. See
        run_all."""
        return self._move_all(queue, state, group, ARCHIVE, progress)

    def delete_all(
        self,
        queue: str,
        state: TaskState | str,
        *,
        group: str | None = None,
        progress: Progress | None = None,
    ) -> int:
        """Deletes all tasks of a state but active, and frees their uniqueness locks. See
        run_all."""
        return self._move_all(queue, state, group, DELETE, progress)

    def cancel_task(self, task_id: str) -> None:
        """Asks whoever runs a task of this ID, in any queue, to stop. Nobody answers."""
        check_text("task_id", task_id)
        self._connection.run(steering.cancel(task_id))

    def update_payload(self, queue: str, task_id: str, payload: bytes) -> None:
        """Gives a scheduled task another payload; its uniqueness lock stays as it is.

        Raises:
            QueueNotFoundError: There is no such queue.
            TaskNotFoundError: There is no such task.
            TaskStateError: It is not scheduled. Nothing was changed.
        """
        check_text("queue", queue)
        check_text("task_id", task_id)
        self._connection.run(steering.update_payload(queue, task_id, check_payload(payload)))

    # -- servers, schedulers, Redis --

    def servers(self) -> list[ServerInfo]:
        """The worker servers that are alive, with what they are at; by host and process."""
        return self._connection.run(calls.servers(self._clock.now_ns()))

    def scheduler_entries(self) -> list[SchedulerEntryInfo]:
        """The entries of all schedulers that are alive."""
        return self._connection.run(calls.scheduler_entries(self._clock.now_ns()))

    def scheduler_history(
        self, entry_id: str, *, page: int = 1, size: int = 30
    ) -> list[EnqueueEvent]:
        """A page of the runs of an entry, newest first."""
        start = check_page(page, size)
        return self._connection.run(calls.scheduler_history(entry_id, start, size))

    def redis_info(self) -> Mapping[str, str]:
        """What Redis' INFO says, by name."""
        return self._connection.run(calls.server_facts("INFO"))

    def cluster_info(self) -> Mapping[str, str]:
        """What CLUSTER INFO says, by name.

        Raises:
            RejectedError: It is no cluster.
        """
        return self._connection.run(calls.server_facts("CLUSTER INFO"))

    def cluster_nodes(self, queue: str) -> list[ClusterNode]:
        """The nodes of a cluster that hold a queue.

        Raises:
            RejectedError: It is no cluster.
        """
        slot = calls.keyslot(queue)
        return calls.cluster_nodes(self._connection.run(call("CLUSTER", "SLOTS")), slot)

    def queue_keyslot(self, queue: str) -> int:
        """The hash slot of a queue in a cluster."""
        return calls.keyslot(queue)

    def close(self) -> None:
        """Closes the connections opened here. The inspector cannot be used any more."""
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

    def _now_s(self) -> int:
        return self._clock.now_ns() // NANOSECONDS

    def _iterate(
        self,
        queue: str,
        state: TaskState,
        group: str | None,
        wanted: Callable[[TaskInfo], bool],
    ) -> Iterator[TaskInfo]:
        start = 0
        while True:
            now_ns = self._clock.now_ns()
            op = calls.list_tasks(queue, state, group, start, ITER_TASKS, now_ns)
            page = self._connection.run(op)
            yield from filter(wanted, page)
            if len(page) < ITER_TASKS:
                return
            start += ITER_TASKS

    def _move(self, queue: str, task_id: str, target: str) -> None:
        check_text("queue", queue)
        check_text("task_id", task_id)
        self._connection.run(steering.move_task(queue, task_id, target, self._now_s()))

    def _move_all(
        self,
        queue: str,
        state: TaskState | str,
        group: str | None,
        target: str,
        progress: Progress | None,
    ) -> int:
        return self._connection.run(
            calls.move_all(queue, state, group, target, self._now_s(), progress)
        )
