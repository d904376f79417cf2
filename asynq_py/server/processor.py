"""Has tasks handled that were taken, and says what becomes of them; on its event loop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any

from asynq_py.broker.finish import Finished, Outcome
from asynq_py.broker.quarantine import quarantine
from asynq_py.broker.steering import trim_archive
from asynq_py.broker.take import Taken
from asynq_py.clock import NANOSECONDS, Clock
from asynq_py.connection.aio import AsyncConnection
from asynq_py.errors import AsynqError, WireError
from asynq_py.server.config import ErrorHandler, ServerConfig
from asynq_py.server.context import Context
from asynq_py.server.handlers import Call, is_async
from asynq_py.server.helpers import Helpers, call_in_thread
from asynq_py.server.job import Job, Why
from asynq_py.server.quiet import Quiet
from asynq_py.server.threads import Threads
from asynq_py.server.turns import LONGEST_PAUSE_S, Turns
from asynq_py.server.verdict import Judge, deadline_ns, reason, success, task_of
from asynq_py.task import Task
from asynq_py.wire.message import TaskMessage, decode

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
        self._judge = Judge(config, log)
        self._changed = asyncio.Event()
        self._turns = Turns(
            connection, config, clock, self._quiet, self._begin, self._settled, self._changed.set
        )
        self._helpers = Helpers(connection, config.concurrency, self._release)
        self._hook_threads = Threads("asynq-hook", HOOK_THREADS)
        #: What goes on beside the handlers; the loop itself holds tasks only weakly.
        self._beside: set[asyncio.Task[None]] = set()
        self._trimming: set[str] = set()
        #: Tasks at work, until they are handed in. Copied by the heartbeat's thread.
        self.jobs: set[Job] = set()
        #: How many tasks went how.
        self.counts = dict.fromkeys(Outcome, 0)

    # -- from the server --

    def start(self) -> None:
        """Begins to take tasks."""
        self._turns.start()

    def stop(self) -> None:
        """Takes no more; what was taken is handled."""
        self._turns.stop()

    async def finish(self, timeout_s: float) -> None:
        """Waits for the handlers; then asks those that are left to stop, and gives their tasks
        back. Returns when everything is handed in, or cannot be."""
        self.stop()
        deadline = self._loop.time() + timeout_s
        while not self._turns.is_idle and self._loop.time() < deadline:
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
        self._hook_threads.close()
        await self._helpers.close()

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

    def tell_archived(
        self, queue: str, task_id: str, message: TaskMessage, error: Exception
    ) -> None:
        """A task was archived whose worker died once too often."""
        if self._config.on_archived is None:
            return
        job = Job(queue, task_id, message, 0.0, self._clock.now_ns(), 0)
        job.why = Why.LEASE
        context = Context(job, self._helpers)
        hook = self._config.on_archived
        self._start_beside(self._tell(hook, "on_archived", context, task_of(message), error))

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
        self._turns.take_slot()
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
        context = Context(job, self._helpers)
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
        self._turns.hand_in(job, finished)

    def _release(self, job: Job) -> None:
        """Frees a slot, once nothing of the handler runs any more."""
        if job.running or job.threads:
            return
        self._changed.set()
        self._turns.free_slot()

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
        failing = self._fail(
            job, Context(job, self._helpers), task_of(job.message), reason(job.why, None)
        )
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
                    answer = await call_in_thread(self._hook_threads, hook, context, task, error)
                if answer is not None:
                    await answer
        except BaseException as fault:  # whatever it raises, the task is settled
            self._log.error("%s raised, or took more than %s s", name, HOOK_S, exc_info=fault)

    # -- afterwards, and beside --

    def _settled(self, job: Job, finished: Finished | None) -> None:
        self.jobs.discard(job)
        if finished is None:
            return
        self.counts[finished.outcome] += 1
        if finished.outcome is Outcome.ARCHIVE:
            self._trim(job.queue)
            if job.archived is not None:
                self._start_beside(job.archived())

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
        self._turns.turn_soon()

    def _start_beside(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(coroutine)
        self._beside.add(task)
        task.add_done_callback(self._ended_beside)

    def _ended_beside(self, task: asyncio.Task[None]) -> None:
        self._beside.discard(task)
        self._changed.set()
