"""Takes tasks, has them handled, and hands them in: the heart of a server, on its event loop.

Taking and handing in go together, in turns, several of which may be under way.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import os
import random
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from asynq_py.broker.finish import Finished, Outcome, finish, write_result
from asynq_py.broker.quarantine import quarantine
from asynq_py.broker.steering import trim_archive
from asynq_py.broker.take import LEASE_S, Taken, Turn, take_turn
from asynq_py.clock import NANOSECONDS, Clock
from asynq_py.connection.aio import AsyncConnection
from asynq_py.errors import (
    AsynqError,
    BrokerError,
    LeaseLostError,
    RejectedError,
    WireError,
)
from asynq_py.server.child import pack
from asynq_py.server.config import ErrorHandler, ServerConfig
from asynq_py.server.context import Context, Writing, Written
from asynq_py.server.handlers import Call, is_async
from asynq_py.server.job import Job, Why
from asynq_py.server.order import Order
from asynq_py.server.quiet import Quiet
from asynq_py.server.threads import Threads
from asynq_py.server.verdict import Judge, deadline_ns, reason, success, task_of
from asynq_py.task import Task
from asynq_py.wire.message import decode

if TYPE_CHECKING:
    from asynq_py.server.processes import Processes

T = TypeVar("T")

#: How many turns may be under way.
TURNS = 4
#: How soon an empty queue is looked at again after there was something, seconds.
SOON_S = 0.002
#: The longest pause after Redis failed, seconds.
LONGEST_PAUSE_S = 5.0
#: How long a handler that was asked to stop may take to do so, before the task is settled
#: without it, seconds.
LENIENCY_S = 1.0
#: How many plain error handlers run at a time.
HOOK_THREADS = 4
#: How long an error handler is waited for, seconds.
HOOK_S = 30.0


class Processor:
    """Belongs to one event loop; only what is said to be may be called from elsewhere.

    Args:
        connection: The way to Redis.
        resolve: Gives for the type of a task what is to be called.
        config: How it behaves.
        clock: Tells the time.
        log: Where messages go.
    """

    def __init__(
        self,
        connection: AsyncConnection,
        resolve: Callable[[str], tuple[str, Call]],
        config: ServerConfig,
        clock: Clock,
        log: logging.Logger,
    ) -> None:
        self._connection = connection
        self._resolve = resolve
        self._config = config
        self._clock = clock
        self._log = log
        self._quiet = Quiet(log)
        self._loop = asyncio.get_running_loop()
        self._thread_id = threading.get_ident()
        self._judge = Judge(config, log)
        self._order = Order(config.queues, strict=config.strict_priority)
        self._threads = Threads("asynq-handler", config.concurrency)
        self._hook_threads = Threads("asynq-hook", HOOK_THREADS)
        self._processes: Processes | None = None
        #: What goes on beside the handlers; the loop itself holds tasks only weakly.
        self._beside: set[asyncio.Task[None]] = set()
        self._trimming: set[str] = set()
        self._slots = config.concurrency
        #: So many handlers are done before a turn goes without waiting for others.
        self._batch = max(1, min(64, config.concurrency // 2))
        self._longest_wait_s = config.seconds("task_check_interval")
        #: Tasks at work, until they are handed in. Copied by the heartbeat's thread.
        self.jobs: set[Job] = set()
        #: Slots that are taken, and slots that turns under way may take.
        self._busy = 0
        self._reserved = 0
        self._turns = 0
        self._finished: list[tuple[Job, Finished]] = []
        self._is_turn_due = False
        self._is_taking = False
        #: When there was a task last, by the loop's clock.
        self._taken_at = self._loop.time()
        self._poll: asyncio.TimerHandle | None = None
        self._failures = 0
        #: While Redis is left alone, after it did not answer.
        self._pause: asyncio.TimerHandle | None = None
        self._changed = asyncio.Event()
        #: How many tasks went how.
        self.counts = dict.fromkeys(Outcome, 0)

    # -- from the server --

    def start(self) -> None:
        """Begins to take tasks."""
        self._is_taking = True
        self._turn()

    def stop(self) -> None:
        """Takes no more; what was taken is handled."""
        self._is_taking = False
        if self._poll is not None:
            self._poll.cancel()

    async def finish(self, timeout_s: float) -> None:
        """Waits for the handlers; then asks those that are left to stop, and gives their tasks
        back. Returns when everything is handed in, or cannot be."""
        self.stop()
        deadline = self._loop.time() + timeout_s
        while (self._busy or self._turns) and self._loop.time() < deadline:
            await self._wait(deadline)
        # The oldest last: it is the next to run then.
        for job in sorted(self.jobs, key=lambda job: job.started_ns, reverse=True):
            if not job.is_decided:
                self._log.warning('"%s" of "%s" goes back to its queue', job.task_id, job.queue)
                self._ask_to_stop(job, Why.SHUTDOWN)
                self._decide(job, Finished(job.queue, job.task_id, Outcome.REQUEUE))
        deadline = self._loop.time() + LONGEST_PAUSE_S
        while (self.jobs or self._beside) and self._loop.time() < deadline:
            await self._wait(deadline)
        self._threads.close()
        self._hook_threads.close()
        if self._processes is not None:
            await self._processes.close()

    async def _wait(self, deadline: float) -> None:
        self._changed.clear()
        left_s = max(0.0, deadline - self._loop.time())
        with suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), left_s)

    def cancel(self, task_id: str) -> None:
        """Asks the handlers of tasks with this ID to stop."""
        for job in list(self.jobs):
            if job.task_id == task_id and job.why is None and not job.is_decided:
                self._ask_to_stop(job, Why.CANCEL)

    def lose(self, job: Job) -> None:
        """The lease of a task has ended: it is not ours any more."""
        if not job.is_decided:
            self._ask_to_stop(job, Why.LEASE)

    # -- turns --

    def _turn_soon(self) -> None:
        if not self._is_turn_due:
            self._is_turn_due = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        self._is_turn_due = False
        if self._turns >= TURNS or self._pause is not None:
            return  # what ends that begins another
        finished, self._finished = self._finished, []
        now = time.monotonic()
        if finished:
            finished = self._still_ours(finished, now)
        free = self._slots - self._busy - self._reserved if self._is_taking else 0
        if free == 0 and not finished:
            return
        self._reserved += free
        self._turns += 1
        op = take_turn(
            [each for _, each in finished],
            self._order.queues,
            free,
            self._order.share,
            self._clock.now_ns(),
        )
        self._connection.start(op, partial(self._turned, finished, free, now + LEASE_S))

    def _turned(
        self,
        finished: list[tuple[Job, Finished]],
        free: int,
        lease_until: float,
        turn: Turn | None,
        error: Exception | None,
    ) -> None:
        self._turns -= 1
        self._reserved -= free
        self._changed.set()
        if turn is None:
            if not isinstance(error, RejectedError):
                for job, _ in finished:
                    job.is_in_doubt = True
            self._finished += finished
            self._rest(error or RuntimeError("a turn without an end"))
            return
        self._recovered()
        for each, result in zip(finished, turn.handed_in, strict=True):
            self._handed_in(*each, result)
        for queue, count in turn.ghosts.items():
            self._quiet.warning(f"{count} IDs without a message thrown away from queue {queue!r}")
        for taken in turn.taken:
            self._begin(taken, lease_until)
        for refusal in turn.refused:
            self._quiet.warning(f"tasks cannot be taken: {refusal}")
        if self._finished:
            self._turn_soon()
        if free:
            self._after_taking(len(turn.taken), free)

    def _after_taking(self, taken: int, free: int) -> None:
        now = self._loop.time()
        if taken:
            self._taken_at = now
        if taken == free:
            self._turn_soon()  # there may be more slots by now
            return
        # As long as there was no task, however many turns have seen that.
        wait_s = min(max(SOON_S, now - self._taken_at), self._longest_wait_s)
        # Not all servers at once, and as often as Asynq in the long run.
        self._poll_in(wait_s / 2 + random.random() * wait_s)

    def _poll_in(self, seconds: float) -> None:
        if self._poll is not None:
            self._poll.cancel()
        self._poll = self._loop.call_later(seconds, self._poll_now) if self._is_taking else None

    def _poll_now(self) -> None:
        self._poll = None
        self._turn()

    def _rest(self, error: Exception) -> None:
        """Redis did not answer: nothing is asked of it for a while, whoever wants to."""
        self._failures += 1
        if isinstance(error, BrokerError):
            self._quiet.warning(f"tasks are neither taken nor handed in: {error}")
        else:
            self._log.error("a fault of asynq_py", exc_info=error)
        if self._pause is None:
            self._pause = self._loop.call_later(_pause_s(self._failures), self._go_on)

    def _go_on(self) -> None:
        self._pause = None
        self._turn()

    def _recovered(self) -> None:
        if self._failures:
            self._failures = 0
            self._log.info("Redis answers again")

    def _still_ours(
        self, finished: list[tuple[Job, Finished]], now: float
    ) -> list[tuple[Job, Finished]]:
        ours = []
        for job, each in finished:
            if job.lease_until >= now:
                ours.append((job, each))
            else:
                self._quiet.warning(
                    f"the lease of {job.task_id!r} of queue {job.queue!r} ended before it could be"
                    " handed in: it will be handled again"
                )
                self.jobs.discard(job)
        return ours

    def _handed_in(self, job: Job, finished: Finished, result: bool | BrokerError) -> None:
        if isinstance(result, BrokerError):
            self._quiet.warning(f"{job.task_id!r} of queue {job.queue!r}: {result}")
            self._loop.call_later(_pause_s(job.refusals), self._hand_in_alone, job, finished)
            job.refusals += 1
            return
        self.jobs.discard(job)
        self._changed.set()
        if not result and not job.is_in_doubt:
            return  # somebody deleted it; otherwise it was an attempt whose answer was lost
        self.counts[finished.outcome] += 1
        if finished.outcome is Outcome.ARCHIVE:
            self._trim(job.queue)
            if job.archived is not None:
                self._start_beside(job.archived())

    def _hand_in_alone(self, job: Job, finished: Finished) -> None:
        """Tries again what was refused, by itself: it must not keep others back."""

        def told(results: list[bool | BrokerError] | None, error: Exception | None) -> None:
            if results is not None:
                self._handed_in(job, finished, results[0])
            elif isinstance(error, BrokerError):
                job.is_in_doubt = job.is_in_doubt or not isinstance(error, RejectedError)
                self._handed_in(job, finished, error)

        if self._still_ours([(job, finished)], time.monotonic()):
            self._connection.start(finish([finished], self._clock.now_ns()), told)

    def _trim(self, queue: str) -> None:
        """Deletes what is too much in an archive that has grown."""
        if queue not in self._trimming:
            self._trimming.add(queue)
            self._start_beside(self._trim_now(queue))

    async def _trim_now(self, queue: str) -> None:
        self._trimming.discard(queue)
        try:
            now_s = self._clock.now_ns() // NANOSECONDS
            await self._connection.run(trim_archive(queue, now_s))
        except AsynqError as error:
            self._quiet.warning(f"the archive of queue {queue!r} cannot be trimmed: {error}")

    async def _quarantine(self, taken: Taken) -> None:
        """Puts a task aside that nobody can read, lest it keep Go's recoverer from all others."""
        queue, task_id, data = taken
        self._quiet.error(
            f"a task of queue {queue!r} cannot be read; it is in quarantine: {task_id!r}"
        )
        now_s = self._clock.now_ns() // NANOSECONDS
        try:
            await self._connection.run(quarantine(queue, task_id, data, now_s, is_ours=True))
        except AsynqError as error:
            self._quiet.warning(f"it could not be put into quarantine: {error}")
        self._turn_soon()

    def _start_beside(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(coroutine)
        self._beside.add(task)
        task.add_done_callback(self._ended_beside)

    def _ended_beside(self, task: asyncio.Task[None]) -> None:
        self._beside.discard(task)
        self._changed.set()

    # -- handling --

    def _begin(self, taken: Taken, lease_until: float) -> None:
        queue, raw_id, data = taken
        try:
            message = decode(data)
            task_id = raw_id.decode()
        except (WireError, UnicodeDecodeError):
            self._start_beside(self._quarantine(taken))
            return
        now_ns = self._clock.now_ns()
        until_ns = deadline_ns(message, now_ns)
        job = Job(queue, task_id, message, lease_until, now_ns, until_ns)
        self._busy += 1
        self.jobs.add(job)
        left_s = (until_ns - now_ns) / NANOSECONDS
        if left_s > 0:
            job.timer = self._loop.call_later(left_s, self._ask_to_stop, job, Why.TIMEOUT)
        else:
            job.why = Why.TIMEOUT
        # Until it begins, which the loop sees to, there is nothing to cancel.
        self._loop.create_task(self._work(job))

    async def _work(self, job: Job) -> None:
        message = job.message
        task = task_of(message)
        context = Context(job, self)
        error: BaseException | None = None
        job.work = asyncio.current_task()
        try:
            if job.why is not None:
                raise asyncio.CancelledError
            _, call = self._resolve(message.type)
            await call(context, task)
            if job.writes:
                await asyncio.gather(*job.writes)
        except BaseException as raised:  # a handler may raise anything
            error = raised
            if job.writes:
                await asyncio.gather(*job.writes, return_exceptions=True)
        if job.timer is not None:
            job.timer.cancel()
        try:
            if not job.is_decided:
                if error is None and job.why is None:
                    finished = success(job.queue, job.task_id, message, self._clock.now_ns())
                    self._decide(job, finished)
                else:
                    await self._fail(job, context, task, reason(job.why, error))
        finally:
            error = job.work = None  # no circles
            job.running = False
            self._release(job)

    async def _fail(self, job: Job, context: Context, task: Task, error: BaseException) -> None:
        job.is_decided = True
        await self._tell(self._config.error_handler, "error_handler", context, task, error)
        if job.why is Why.LEASE:
            self.jobs.discard(job)  # whoever recovers it says what becomes of it
            return
        finished = self._judge.failure(
            job.queue, job.task_id, job.message, error, self._clock.now_ns()
        )
        if finished.outcome is Outcome.ARCHIVE and self._config.on_archived is not None:
            hook = self._config.on_archived
            job.archived = partial(self._tell, hook, "on_archived", context, task, error)
        self._decide(job, finished)

    def _decide(self, job: Job, finished: Finished) -> None:
        job.is_decided = True
        self._finished.append((job, finished))
        self._turn_soon()

    def _release(self, job: Job) -> None:
        """Frees a slot, once nothing of the handler runs any more."""
        if job.running or job.threads:
            return
        self._busy -= 1
        self._changed.set()
        if len(self._finished) >= self._batch:
            self._turn()
        else:
            self._turn_soon()

    def _ask_to_stop(self, job: Job, why: Why) -> None:
        if job.why is not None:
            return
        job.why = why
        # One that has not begun sees it when it does.
        if job.work is not None:
            job.work.cancel()
        if why is not Why.SHUTDOWN:
            self._loop.call_later(LENIENCY_S, self._settle_without, job)

    def _settle_without(self, job: Job) -> None:
        if job.is_decided or not job.running:
            return
        self._quiet.warning(f"{job.task_id!r} of queue {job.queue!r} does not stop")
        failing = self._fail(job, Context(job, self), task_of(job.message), reason(job.why, None))
        self._start_beside(failing)

    async def _tell(
        self,
        hook: ErrorHandler | None,
        name: str,
        context: Context,
        task: Task,
        error: BaseException,
    ) -> None:
        if hook is None:
            return
        try:
            async with asyncio.timeout(HOOK_S):
                if is_async(hook):
                    answer = hook(context, task, error)
                else:
                    # Not the handlers' threads: those may all hang.
                    answer = await self._in_thread(self._hook_threads, hook, context, task, error)
                if answer is not None:
                    await answer
        except BaseException as fault:  # whatever it raises, the task is settled
            self._log.error("%s raised, or took more than %s s", name, HOOK_S, exc_info=fault)

    # -- what handlers ask for --

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
            self._release(job)

        job.threads += 1
        return await self._in_thread(self._threads, function, *arguments, ended=ended)

    async def _in_thread(
        self,
        threads: Threads,
        function: Callable[..., T],
        *arguments: object,
        ended: Callable[[], None] | None = None,
    ) -> T:
        future: asyncio.Future[T] = self._loop.create_future()
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
                self._loop.call_soon_threadsafe(tell, result, error)

        threads.submit(run)
        return await future

    async def in_process(self, job: Job, function: Callable[..., object], argument: object) -> None:
        """See Hands.in_process."""
        if self._processes is None:
            from asynq_py.server.processes import Processes

            self._processes = Processes(min(self._config.concurrency, os.cpu_count() or 1))
        result, error = await self._processes.run(pack(function, job, argument))
        if result is not None:
            await self._write(job, result)
        if error is not None:
            raise error


def _pause_s(failures: int) -> float:
    """Full jitter, lest all servers come back at once."""
    return random.uniform(0.01, min(LONGEST_PAUSE_S, 0.1 * 2.0 ** min(failures, 8)))


def _not_written(job: Job, why: str) -> LeaseLostError:
    return LeaseLostError(f'the result of "{job.task_id}" of "{job.queue}" was not written: {why}')
