"""The asyncio inspector: as asynq_py.inspector.sync, with await."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
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
    from asynq_py.connection.aio import AsyncRedisArgument

#: How many tasks ``iter_tasks`` reads at a time.
ITER_TASKS = 500


class AsyncInspector:
    """Looks and steers from one event loop; see Inspector."""

    def __init__(self, redis: AsyncRedisArgument, *, clock: Clock = SYSTEM_CLOCK) -> None:
        from asynq_py.connection.aio import AsyncConnection

        self._clock = clock
        self._connection = AsyncConnection(redis)

    # -- queues --

    async def queues(self) -> list[str]:
        """See Inspector.queues."""
        return await self._connection.run(reading.queue_names())

    async def queue_info(self, queue: str, *, memory: bool = True) -> QueueInfo:
        """See Inspector.queue_info."""
        now_ns = self._clock.now_ns()
        return await self._connection.run(calls.queue_info(queue, now_ns, with_memory=memory))

    async def queue_sizes(self, queues: Iterable[str] | None = None) -> list[QueueSizes]:
        """See Inspector.queue_sizes."""
        return await self._connection.run(calls.queue_sizes(queues))

    async def history(self, queue: str, days: int = 10) -> list[DailyStats]:
        """See Inspector.history."""
        return await self._connection.run(calls.history(queue, days, self._clock.now_ns()))

    async def groups(self, queue: str) -> list[GroupInfo]:
        """See Inspector.groups."""
        return await self._connection.run(calls.groups(queue))

    async def pause_queue(self, queue: str) -> None:
        """See Inspector.pause_queue."""
        check_text("queue", queue)
        await self._connection.run(steering.pause_queue(queue, self._now_s()))

    async def unpause_queue(self, queue: str) -> None:
        """See Inspector.unpause_queue."""
        check_text("queue", queue)
        await self._connection.run(steering.unpause_queue(queue))

    async def delete_queue(
        self, queue: str, force: bool = False, *, progress: Progress | None = None
    ) -> None:
        """See Inspector.delete_queue."""
        check_text("queue", queue)
        now_ns = self._clock.now_ns()
        await self._connection.run(
            steering.delete_queue(
                queue,
                calls.days(now_ns, calls.COUNTER_DAYS),
                force=force,
                now_s=now_ns // NANOSECONDS,
                progress=progress,
            )
        )

    # -- tasks --

    async def list_tasks(
        self,
        queue: str,
        state: TaskState | str,
        *,
        group: str | None = None,
        page: int = 1,
        size: int = 30,
    ) -> list[TaskInfo]:
        """See Inspector.list_tasks."""
        which = check_state(state)
        start = check_page(page, size)
        op = calls.list_tasks(
            queue, which, check_group(which, group), start, size, self._clock.now_ns()
        )
        return await self._connection.run(op)

    def iter_tasks(
        self,
        queue: str,
        state: TaskState | str,
        *,
        group: str | None = None,
        type: str | None = None,
        older_than: datetime | None = None,
        error: str | None = None,
    ) -> AsyncIterator[TaskInfo]:
        """See Inspector.iter_tasks."""
        # Checked now, not when the first task is asked for.
        check_text("queue", queue)
        which = check_state(state)
        named = check_group(which, group)
        wanted = calls.matches(type=type, older_than=older_than, error=error)
        return self._iterate(queue, which, named, wanted)

    async def get_task(self, queue: str, task_id: str) -> TaskInfo:
        """See Inspector.get_task."""
        return await self._connection.run(calls.get_task(queue, task_id, self._clock.now_ns()))

    async def run_task(self, queue: str, task_id: str) -> None:
        """See Inspector.run_task."""
        await self._move(queue, task_id, RUN)

    async def archive_task(self, queue: str, task_id: str) -> None:
        """See Inspector.archive_task."""
        await self._move(queue, task_id, ARCHIVE)

    async def delete_task(self, queue: str, task_id: str) -> None:
        """See Inspector.delete_task."""
        await self._move(queue, task_id, DELETE)

    async def run_all(
        self,
        queue: str,
        state: TaskState | str,
        *,
        group: str | None = None,
        progress: Progress | None = None,
    ) -> int:
        """See Inspector.run_all."""
        return await self._move_all(queue, state, group, RUN, progress)

    async def archive_all(
        self,
        queue: str,
        state: TaskState | str,
        *,
        group: str | None = None,
        progress: Progress | None = None,
    ) -> int:
        """See Inspector.archive_all."""
        return await self._move_all(queue, state, group, ARCHIVE, progress)

    async def delete_all(
        self,
        queue: str,
        state: TaskState | str,
        *,
        group: str | None = None,
        progress: Progress | None = None,
    ) -> int:
        """See Inspector.delete_all."""
        return await self._move_all(queue, state, group, DELETE, progress)

    async def cancel_task(self, task_id: str) -> None:
        """See Inspector.cancel_task."""
        check_text("task_id", task_id)
        await self._connection.run(steering.cancel(task_id))

    async def update_payload(self, queue: str, task_id: str, payload: bytes) -> None:
        """See Inspector.update_payload."""
        check_text("queue", queue)
        check_text("task_id", task_id)
        await self._connection.run(steering.update_payload(queue, task_id, check_payload(payload)))

    # -- servers, schedulers, Redis --

    async def servers(self) -> list[ServerInfo]:
        """See Inspector.servers."""
        return await self._connection.run(calls.servers(self._clock.now_ns()))

    async def scheduler_entries(self) -> list[SchedulerEntryInfo]:
        """See Inspector.scheduler_entries."""
        return await self._connection.run(calls.scheduler_entries(self._clock.now_ns()))

    async def scheduler_history(
        self, entry_id: str, *, page: int = 1, size: int = 30
    ) -> list[EnqueueEvent]:
        """See Inspector.scheduler_history."""
        start = check_page(page, size)
        return await self._connection.run(calls.scheduler_history(entry_id, start, size))

    async def redis_info(self) -> Mapping[str, str]:
        """See Inspector.redis_info."""
        return await self._connection.run(calls.server_facts("INFO"))

    async def cluster_info(self) -> Mapping[str, str]:
        """See Inspector.cluster_info."""
        return await self._connection.run(calls.server_facts("CLUSTER INFO"))

    async def cluster_nodes(self, queue: str) -> list[ClusterNode]:
        """See Inspector.cluster_nodes."""
        slot = calls.keyslot(queue)
        return calls.cluster_nodes(await self._connection.run(call("CLUSTER", "SLOTS")), slot)

    async def queue_keyslot(self, queue: str) -> int:
        """See Inspector.queue_keyslot."""
        return calls.keyslot(queue)

    async def close(self) -> None:
        """See Inspector.close."""
        await self._connection.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def _now_s(self) -> int:
        return self._clock.now_ns() // NANOSECONDS

    async def _iterate(
        self,
        queue: str,
        state: TaskState,
        group: str | None,
        wanted: Callable[[TaskInfo], bool],
    ) -> AsyncIterator[TaskInfo]:
        start = 0
        while True:
            now_ns = self._clock.now_ns()
            op = calls.list_tasks(queue, state, group, start, ITER_TASKS, now_ns)
            page = await self._connection.run(op)
            for task in filter(wanted, page):
                yield task
            if len(page) < ITER_TASKS:
                return
            start += ITER_TASKS

    async def _move(self, queue: str, task_id: str, target: str) -> None:
        check_text("queue", queue)
        check_text("task_id", task_id)
        await self._connection.run(steering.move_task(queue, task_id, target, self._now_s()))

    async def _move_all(
        self,
        queue: str,
        state: TaskState | str,
        group: str | None,
        target: str,
        progress: Progress | None,
    ) -> int:
        return await self._connection.run(
            calls.move_all(queue, state, group, target, self._now_s(), progress)
        )
