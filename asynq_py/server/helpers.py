"""What is done for handlers: threads and processes to run in, results to be kept."""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from asynq_py.broker.finish import write_result
from asynq_py.connection.aio import AsyncConnection
from asynq_py.errors import LeaseLostError
from asynq_py.server.child import pack
from asynq_py.server.context import Writing, Written
from asynq_py.server.job import Job
from asynq_py.server.threads import Threads

if TYPE_CHECKING:
    from asynq_py.server.processes import Processes

T = TypeVar("T")


class Helpers:
    """The :class:`~asynq_py.server.context.Hands` of a server; belongs to its event loop.

    Args:
        connection: The way to Redis.
        most: How many handlers run at a time.
        released: Told of a task of whose handler a thread has ended.
    """

    def __init__(
        self, connection: AsyncConnection, most: int, released: Callable[[Job], None]
    ) -> None:
        self._connection = connection
        self._most = most
        self._released = released
        self._loop = asyncio.get_running_loop()
        self._thread_id = threading.get_ident()
        self._threads = Threads("asynq-handler", most)
        self._processes: Processes | None = None

    async def close(self) -> None:
        """Ends the threads that are idle, and the processes."""
        self._threads.close()
        if self._processes is not None:
            await self._processes.close()

    def write_result(self, job: Job, result: bytes) -> Awaitable[None]:
        """See Context.write_result."""
        if threading.get_ident() != self._thread_id:
            if job.why is not None:  # the loop may be closed
                raise _not_written(job, job.why.value)
            asyncio.run_coroutine_threadsafe(self._write(job, result), self._loop).result()
            return Written()
        writing = self._loop.create_task(self._write(job, result))
        job.writes.append(writing)
        return Writing(writing, job.writes)

    async def _write(self, job: Job, result: bytes) -> None:
        if job.why is not None:
            raise _not_written(job, job.why.value)
        if not await self._connection.run(write_result(job.queue, job.task_id, result)):
            raise _not_written(job, "the task is gone")

    async def in_thread(self, job: Job, function: Callable[..., T], *arguments: object) -> T:
        """See Hands.in_thread: the slot stays taken until the thread is done."""

        def ended() -> None:
            job.threads -= 1
            self._released(job)

        job.threads += 1
        return await call_in_thread(self._threads, function, *arguments, ended=ended)

    async def in_process(self, job: Job, function: Callable[..., object], argument: object) -> None:
        """See Hands.in_process."""
        if self._processes is None:
            from asynq_py.server.processes import Processes

            self._processes = Processes(min(self._most, os.cpu_count() or 1))
        result, error = await self._processes.run(pack(function, job, argument))
        if result is not None:
            await self._write(job, result)
        if error is not None:
            raise error


async def call_in_thread(
    threads: Threads,
    function: Callable[..., T],
    *arguments: object,
    ended: Callable[[], None] | None = None,
) -> T:
    """Calls a function in a thread; ``ended`` is called on the loop when it has returned, even if
    nobody waits for it any more."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()
    surroundings = contextvars.copy_context()

    def tell(result: T | None, error: BaseException | None) -> None:
        if ended is not None:
            ended()
        if future.cancelled():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        result: T | None = None
        error: BaseException | None = None
        try:
            result = surroundings.run(function, *arguments)
        except BaseException as raised:
            error = raised
            if isinstance(raised, StopIteration):  # a future refuses it
                error = RuntimeError("StopIteration")
                error.__cause__ = raised
        # The loop may be closed: nobody waits any more.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(tell, result, error)

    threads.submit(run)
    return await future


def _not_written(job: Job, why: str) -> LeaseLostError:
    return LeaseLostError(f'the result of "{job.task_id}" of "{job.queue}" was not written: {why}')
