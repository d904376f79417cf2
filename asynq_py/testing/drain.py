"""A server for tests: runs what is due, here and now, in the order in which it is due."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from inspect import isawaitable
from math import inf
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypedDict, TypeVar, Unpack

from asynq_py.broker.aggregation import (
    AGGREGATION_S,
    delete_aggregation_set,
    gather_group,
    groups_of,
    next_gathering,
    reclaim_stale_sets,
)
from asynq_py.broker.due import delete_expired, forward, next_due
from asynq_py.broker.enqueue import Announced
from asynq_py.broker.finish import Finished, Outcome, finish, write_result
from asynq_py.broker.reading import queue_names
from asynq_py.broker.steering import trim_archive
from asynq_py.broker.take import Taken, take_turn
from asynq_py.clock import NANOSECONDS, ceil_s, from_unix_ns
from asynq_py.errors import BrokerError, LeaseLostError
from asynq_py.options import Duration, check_text, duration_ns, moment_ns
from asynq_py.server.aggregator import as_task, put, read_set
from asynq_py.server.config import ErrorHandler, ServerConfig
from asynq_py.server.context import Context, Written
from asynq_py.server.handlers import Handler, is_async
from asynq_py.server.job import Job, Why
from asynq_py.server.mux import ServeMux, resolver
from asynq_py.server.order import Order
from asynq_py.server.verdict import Judge, deadline_ns, reason, success, task_of
from asynq_py.task import Task
from asynq_py.testing.clock import VirtualClock
from asynq_py.testing.outside import Outside
from asynq_py.testing.where import Where, redis_argument
from asynq_py.wire.message import decode

if TYPE_CHECKING:
    from asynq_py.connection.sync import Connection

T = TypeVar("T")
#: What became of a task that a handler ran.
Fate: TypeAlias = Literal["done", "completed", "retried", "archived", "revoked"]
#: Calls a plain function for a coroutine.
CallPlain: TypeAlias = Callable[..., Awaitable[Any]]

_FATES: dict[Outcome, Fate] = {
    Outcome.DONE: "done",
    Outcome.COMPLETE: "completed",
    Outcome.RETRY: "retried",
    Outcome.POSTPONE: "retried",
    Outcome.ARCHIVE: "archived",
}
logger = logging.getLogger("asynq_py.testing")


class DrainLimitError(AssertionError):
    """More tasks ran than ``limit``: probably they enqueue each other for ever."""


@dataclass(frozen=True, kw_only=True)
class Handled:
    """One run of a task. A task that is tried again is there once for each run."""

    #: "done", "completed" (kept for its retention), "retried" (it will be), "archived" or
    #: "revoked".
    outcome: Fate
    #: The task, as its handler was given it.
    task: Task
    task_id: str
    queue: str
    #: How often it had been tried again: 0 for the first run.
    retry_count: int
    max_retry: int
    #: When it ran, by the clock of ``drain``; aware, UTC.
    at: datetime
    #: What the handler raised, or why it was stopped.
    error: BaseException | None = None
    #: What it wrote as its result.
    result: bytes | None = None
    #: When it is tried again, if it is.
    retry_at: datetime | None = None

    @property
    def type(self) -> str:
        """The task's type."""
        return self.task.type

    @property
    def ok(self) -> bool:
        """Whether the handler succeeded."""
        return self.error is None


class DrainOptions(TypedDict, total=False):
    """How :func:`drain` runs tasks."""

    #: Moves the clock on to this moment (or by this duration), and stops on the way whenever
    #: something is due: scheduled tasks, retries, groups. Without it, what is due later stays
    #: where it is.
    until: datetime | Duration | None
    #: Says what is due. Keep it if you ``advance`` it; a new one otherwise.
    clock: VirtualClock | None
    #: Which, the most urgent first; by default those of the config, in the order of their
    #: priorities, or without a config all that there are.
    queues: Iterable[str] | None
    #: How a server behaves: ``retry_delay``, ``is_failure``, ``error_handler``,
    #: ``group_aggregator`` and so on; what a hook raises is raised by ``drain``.
    config: ServerConfig | None
    #: Whether to raise what the first failing handler raised, once its task is settled.
    raise_errors: bool
    #: How many runs there may be: 1000.
    limit: int


def drain(
    handler: ServeMux | Handler, redis: Where, **options: Unpack[DrainOptions]
) -> list[Handled]:
    """Runs every task that is due, and those that handlers enqueue meanwhile, and returns when
    there is none left. What becomes of them is what a :class:`~asynq_py.Server` would make of
    them, through the same middleware and with the same typed payloads.

    All handlers run in this thread, one after the other; those of ``process=True`` too. Plain
    ones find no running event loop. A coroutine is stopped when its timeout is over, by the real
    clock; a plain function is not.

    Args:
        handler: A ServeMux, or one handler for all tasks.
        redis: A URL, a RedisConfig, a ready client, or a server of this package.
        **options: See :class:`DrainOptions`.

    Returns:
        The runs, in their order.

    Raises:
        ConfigError: A value can never work.
        DrainLimitError: There were more runs than ``limit``.
        RuntimeError: An event loop runs in this thread: await :func:`drain_async` instead.
        BrokerError: Redis failed.

    Example::

        client.enqueue(Task("email:welcome", {"user_id": 42}), process_in=60)
        assert drain(mux, redis) == []
        (run,) = drain(mux, redis, until=60)
        assert (run.type, run.outcome) == ("email:welcome", "done")
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        outside = Outside()
    else:
        raise RuntimeError("an event loop runs in this thread: await drain_async() instead")
    return outside.run(_drain(handler, redis, outside.call, **options))


async def drain_async(
    handler: ServeMux | Handler, redis: Where, **options: Unpack[DrainOptions]
) -> list[Handled]:
    """As :func:`drain`, on the event loop of the caller: coroutine handlers may use what belongs
    to it. Plain handlers run in a thread.

    Example::

        async def test_welcome(asynq_redis, pool):
            await enqueue_welcome(user_id=42)
            await drain_async(mux, asynq_redis, raise_errors=True)
            assert await pool.fetchval("select count(*) from mails") == 1
    """
    return await _drain(handler, redis, asyncio.to_thread, **options)


async def _drain(
    handler: ServeMux | Handler,
    redis: Where,
    call_plain: CallPlain,
    *,
    until: datetime | Duration | None = None,
    clock: VirtualClock | None = None,
    queues: Iterable[str] | None = None,
    config: ServerConfig | None = None,
    raise_errors: bool = False,
    limit: int = 1000,
) -> list[Handled]:
    from asynq_py.connection.sync import Connection

    clock = clock or VirtualClock()
    until_ns: int | None = None
    if isinstance(until, datetime):
        until_ns = moment_ns("until", until)
    elif until is not None:
        until_ns = clock.now_ns() + duration_ns("until", until)
    named = None if queues is None else [check_text("queue", each) for each in queues]
    if named is None and config is not None:
        named = Order(config.queues, strict=True).queues
    with closing(Connection(redis_argument(redis))) as connection:
        drainer = _Drainer(handler, connection, clock, named, config or ServerConfig(), call_plain)
        drainer.raises, drainer.limit = raise_errors, limit
        await drainer.run(None if until_ns is None else _whole(until_ns))
        return drainer.handled


class _Drainer:
    """Does it. It is what :class:`Context` asks of a server (``Hands``)."""

    raises = False
    limit = 1000

    def __init__(
        self,
        handler: ServeMux | Handler,
        connection: Connection,
        clock: VirtualClock,
        queues: Sequence[str] | None,
        config: ServerConfig,
        call_plain: CallPlain,
    ) -> None:
        self._resolve = resolver(handler)
        self._connection = connection
        self._clock = clock
        self._named = queues
        self._config = config
        self._judge = Judge(self._config, logger)
        self._call_plain = call_plain
        self._announced: Announced = {}
        self._results: dict[Job, bytes] = {}
        self.handled: list[Handled] = []

    async def run(self, until_ns: int | None) -> None:
        """Runs what is due, and what will be until a moment."""
        while True:
            while (taken := self._take()) is not None:
                await self._handle(taken)
            if await self._bring_forward():
                continue
            due_ns = self._next_ns()
            if until_ns is None or due_ns is None or not self._now_ns() < due_ns <= until_ns:
                break
            self._clock.advance_to_ns(due_ns)
        if until_ns is not None:
            self._clock.advance_to_ns(until_ns)

    def _now_ns(self) -> int:
        return _whole(self._clock.now_ns())

    def _queues(self) -> Sequence[str]:
        return self._named or self._connection.run(queue_names())

    # -- what is due --

    async def _bring_forward(self) -> int:
        """Makes pending what is due; returns how many tasks there were."""
        now_ns = self._now_ns()
        count = 0
        for queue in self._queues():
            self._connection.run(delete_expired(queue, now_ns))
            count += self._connection.run(forward(queue, now_ns))
            if self._config.group_aggregator is not None:
                count += await self._aggregate(queue, now_ns)
        return count

    def _next_ns(self) -> int | None:
        queues = self._queues()
        moments = [self._connection.run(next_due(queues))]
        if self._config.group_aggregator is not None:
            when = self._config.when_aggregated
            moments += [self._connection.run(next_gathering(queue, when)) for queue in queues]
        return min((each * NANOSECONDS for each in moments if each is not None), default=None)

    async def _aggregate(self, queue: str, now_ns: int) -> int:
        when = self._config.when_aggregated
        count = 0
        for group in self._connection.run(groups_of(queue)):
            while set_key := self._connection.run(gather_group(queue, group, when, now_ns)):
                tasks = read_set(self._connection, queue, set_key, now_ns // NANOSECONDS, logger)
                try:
                    name = group.decode("utf-8", "replace")
                    one = as_task(await self._call(self._config.group_aggregator, name, tasks))
                except BaseException:
                    late_ns = now_ns + (AGGREGATION_S + 1) * NANOSECONDS
                    self._connection.run(reclaim_stale_sets(queue, late_ns))
                    raise
                put(self._connection, queue, one, self._clock.now_ns(), self._announced)
                self._connection.run(delete_aggregation_set(queue, set_key))
                count += 1
        return count

    # -- handling --

    def _take(self) -> Taken | None:
        queues = self._queues()
        if not queues:
            return None
        turn = self._connection.run(
            take_turn([], queues, 1, lambda left, n: {left[0]: n}, self._clock.now_ns())
        )
        if turn.refused:
            raise turn.refused[0]
        return turn.taken[0] if turn.taken else None

    async def _handle(self, taken: Taken) -> None:
        queue, raw_id, data = taken
        task_id = raw_id.decode()
        finished = Finished(queue, task_id, Outcome.REQUEUE)
        fault: BaseException | None = None
        try:
            self._check_limit()
            message = decode(data)
            now_ns = self._clock.now_ns()
            job = Job(queue, task_id, message, inf, now_ns, deadline_ns(message, now_ns))
            task = task_of(message)
            context = Context(job, self)
            retried, max_retry = message.retried, message.retry
            error = await self._run(job, context, task)
            if error is None and job.why is None:
                finished = success(queue, task_id, message, self._clock.now_ns())
            else:
                error = reason(job.why, error)
                fault = await self._tell(self._config.error_handler, context, task, error)
                now_ns = self._clock.now_ns()
                finished = self._judge.failure(queue, task_id, message, error, now_ns)
        finally:
            self._hand_in(finished)
        if finished.outcome is Outcome.ARCHIVE and error is not None:
            another = await self._tell(self._config.on_archived, context, task, error)
            fault = fault or another
        fate = _FATES[finished.outcome]
        if fate == "done" and error is not None:
            fate = "revoked"
        self.handled.append(
            Handled(
                outcome=fate,
                task=task,
                task_id=task_id,
                queue=queue,
                retry_count=retried,
                max_retry=max_retry,
                at=from_unix_ns(job.started_ns),
                error=error,
                result=self._results.pop(job, None),
                retry_at=from_unix_ns(finished.score * NANOSECONDS) if fate == "retried" else None,
            )
        )
        if fault is not None:
            raise fault
        if self.raises and error is not None and fate != "revoked":
            error.add_note(f'(task "{task.type}" {task_id} of queue "{queue}": {fate})')
            raise error

    async def _run(self, job: Job, context: Context, task: Task) -> BaseException | None:
        """Calls the handler; returns what it raised."""
        if job.deadline_ns <= job.started_ns:
            job.why = Why.TIMEOUT
            return None

        async def work() -> BaseException | None:
            try:
                await self._resolve(task.type)[1](context, task)
            except BaseException as raised:  # a handler may raise anything
                return raised
            return None

        def stop() -> None:
            job.why = Why.TIMEOUT
            running.cancel()

        loop = asyncio.get_running_loop()
        running = loop.create_task(work())
        timer = loop.call_later((job.deadline_ns - job.started_ns) / NANOSECONDS, stop)
        try:
            error = await running
        finally:
            timer.cancel()
            running.cancel()
        if isinstance(error, Exception | asyncio.CancelledError | SystemExit | None):
            return error
        raise error  # somebody wants the test to end, not the task

    async def _tell(
        self, hook: ErrorHandler | None, context: Context, task: Task, error: BaseException
    ) -> BaseException | None:
        if hook is not None:
            try:
                await self._call(hook, context, task, error)
            except Exception as fault:
                return fault
        return None

    async def _call(self, function: Callable[..., Any] | None, *arguments: object) -> object:
        """Calls a function of the user's, of either kind."""
        assert function is not None
        if is_async(function):
            return await function(*arguments)
        answer = await self._call_plain(function, *arguments)
        return await answer if isawaitable(answer) else answer

    def _hand_in(self, finished: Finished) -> None:
        now_ns = self._clock.now_ns()
        for result in self._connection.run(finish([finished], now_ns)):
            if isinstance(result, BrokerError):
                raise result
        if finished.outcome is Outcome.ARCHIVE:
            self._connection.run(trim_archive(finished.queue, now_ns // NANOSECONDS))

    def _check_limit(self) -> None:
        if len(self.handled) < self.limit:
            return
        often = Counter(run.type for run in self.handled).most_common(5)
        shown = ", ".join(f"{name!r} {count} times" for name, count in often)
        raise DrainLimitError(
            f"{self.limit} runs, and there are more tasks: {shown}. They may enqueue each other"
            " for ever; if so many are meant, call drain(..., limit=...)"
        )

    # -- what handlers ask for --

    def write_result(self, job: Job, result: bytes) -> Awaitable[None]:
        """See Context.write_result."""
        if job.why is not None or not self._connection.run(
            write_result(job.queue, job.task_id, result)
        ):
            raise LeaseLostError(
                f'the result of "{job.task_id}" of "{job.queue}" was not written:'
                f" {job.why.value if job.why else 'the task is gone'}"
            )
        self._results[job] = result
        return Written()

    async def in_thread(self, job: Job, function: Callable[..., T], *arguments: object) -> T:
        """Calls a plain handler."""
        answer: T = await self._call_plain(function, *arguments)
        return answer

    async def in_process(self, job: Job, function: Callable[..., object], argument: object) -> None:
        """Calls a plain handler that a server would call in another process."""
        await self._call_plain(function, Context(job, self), argument)


def _whole(unix_ns: int) -> int:
    """Rounded up to the second, as are the moments of tasks when they are stored."""
    return ceil_s(unix_ns) * NANOSECONDS
