"""The asyncio client."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from copy import copy
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeAlias, Unpack

from asynq_py.broker.enqueue import Announced, Draft, enqueue_all
from asynq_py.broker.op import call
from asynq_py.client.batch import Batch
from asynq_py.client.prepare import check_limit, prepare, task_info
from asynq_py.clock import SYSTEM_CLOCK, Clock
from asynq_py.info import EnqueueResult, TaskInfo
from asynq_py.options import EnqueueOptions, normalize
from asynq_py.task import Task

if TYPE_CHECKING:
    from asynq_py.connection.aio import AsyncRedisArgument

#: A task on its way, and who waits for it to be stored.
_Waiting: TypeAlias = "tuple[Draft, asyncio.Future[None]]"


class AsyncClient:
    """Enqueues tasks from one event loop; see Client.

    Calls that are awaited at the same time travel together: while one round trip is under
    way the next tasks gather, and go as one.
    """

    def __init__(
        self,
        redis: AsyncRedisArgument,
        *,
        max_payload_size: int | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        from asynq_py.connection.aio import AsyncConnection

        self._max_payload_size = check_limit(max_payload_size)
        self._clock = clock
        self._announced: Announced = {}
        self._connection = AsyncConnection(redis)
        self._gathered: list[_Waiting] = []
        self._sender: asyncio.Task[None] | None = None

    async def enqueue(self, task: Task, **options: Unpack[EnqueueOptions]) -> TaskInfo:
        """See Client.enqueue. Cancelled, it does not say whether the task was stored."""
        now_ns = self._clock.now_ns()
        draft = prepare(
            task, normalize(options), now_ns=now_ns, max_payload_size=self._max_payload_size
        )
        stored = asyncio.get_running_loop().create_future()
        self._gathered.append((draft, stored))
        if self._sender is None:
            self._sender = asyncio.create_task(self._send_gathered())
        await stored
        return task_info(draft, now_ns)

    async def enqueue_many(
        self, tasks: Iterable[Task], **options: Unpack[EnqueueOptions]
    ) -> list[EnqueueResult]:
        """See Client.enqueue_many."""
        now_ns = self._clock.now_ns()
        batch = Batch(
            tasks, normalize(options), now_ns=now_ns, max_payload_size=self._max_payload_size
        )
        outcomes = await self._connection.run(
            enqueue_all(batch.drafts(), now_ns=now_ns, announced=self._announced)
        )
        return batch.results(outcomes)

    async def ping(self) -> None:
        """See Client.ping."""
        await self._connection.run(call("PING"))

    async def close(self) -> None:
        """See Client.close. Tasks that are on their way arrive first."""
        if self._sender is not None:
            await self._sender
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

    async def _send_gathered(self) -> None:
        """Sends what has gathered, again and again until nothing has."""
        try:
            while self._gathered:
                # Whoever stopped waiting before anything was sent gets nothing sent.
                going = [(draft, stored) for draft, stored in self._gathered if not stored.done()]
                self._gathered = []
                await self._send(going)
        finally:
            # Only when the loop is going down is anyone left: nobody may wait for ever.
            for _, stored in self._gathered:
                stored.cancel()
            self._gathered = []
            self._sender = None

    async def _send(self, going: list[_Waiting]) -> None:
        drafts = [draft for draft, _ in going]
        outcomes: Sequence[Exception | None]
        try:
            outcomes = await self._connection.run(
                enqueue_all(drafts, now_ns=self._clock.now_ns(), announced=self._announced)
            )
        except Exception as error:
            outcomes = [error] * len(going)
        except BaseException:
            for _, stored in going:
                stored.cancel()
            raise
        for (_, stored), outcome in zip(going, outcomes, strict=True):
            if stored.done():
                continue
            if outcome is None:
                stored.set_result(None)
            else:
                # One error may have befallen many; each raises its own.
                stored.set_exception(copy(outcome))
