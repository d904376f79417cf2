"""The asyncio client."""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Self, Unpack

from asynq_py.broker.enqueue import Announced
from asynq_py.broker.enqueue_all import enqueue_all
from asynq_py.broker.op import call
from asynq_py.client.batch import Batch
from asynq_py.client.prepare import check_limit, prepare, task_info
from asynq_py.clock import SYSTEM_CLOCK, Clock
from asynq_py.info import EnqueueResult, TaskInfo
from asynq_py.options import EnqueueOptions, normalize
from asynq_py.task import Task

if TYPE_CHECKING:
    from asynq_py.connection.aio import AsyncRedisArgument


class AsyncClient:
    """Enqueues tasks from one event loop; see Client.

    Tasks that are enqueued at the same time travel together.
    """

    def __init__(
        self,
        redis: AsyncRedisArgument,
        *,
        max_payload_size: int | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        # Here, not above: redis-py and asyncio take longer to import than all of asynq_py.
        from asynq_py.client.gather import Gatherer
        from asynq_py.connection.aio import AsyncConnection

        self._max_payload_size = check_limit(max_payload_size)
        self._clock = clock
        self._announced: Announced = {}
        self._connection = AsyncConnection(redis)
        self._gatherer = Gatherer(self._connection, self._announced, clock)

    async def enqueue(self, task: Task, **options: Unpack[EnqueueOptions]) -> TaskInfo:
        """See Client.enqueue. Cancelled, it does not say whether the task was stored."""
        now_ns = self._clock.now_ns()
        draft = prepare(
            task, normalize(options), now_ns=now_ns, max_payload_size=self._max_payload_size
        )
        await self._gatherer.enqueue(draft)
        return task_info(draft, now_ns)

    async def enqueue_many(
        self, tasks: Iterable[Task], **options: Unpack[EnqueueOptions]
    ) -> list[EnqueueResult]:
        """See Client.enqueue_many."""
        now_ns = self._clock.now_ns()
        batch = Batch(
            tasks, normalize(options), now_ns=now_ns, max_payload_size=self._max_payload_size
        )
        op = enqueue_all(batch.drafts(), now_ns=now_ns, announced=self._announced)
        return batch.results(await self._connection.run(op))

    async def ping(self) -> None:
        """See Client.ping."""
        await self._connection.run(call("PING"))

    async def close(self) -> None:
        """See Client.close. Tasks that are on their way arrive first."""
        await self._gatherer.finish()
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
