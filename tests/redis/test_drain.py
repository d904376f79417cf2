"""drain: what is due is run here and now, and becomes what a server would make of it."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
import redis

from asynq_py import (
    Client,
    ConfigError,
    Context,
    HandlerNotFoundError,
    Inspector,
    LeaseLostError,
    PayloadError,
    RevokeTask,
    ServeMux,
    ServerConfig,
    SkipRetry,
    Task,
    TaskTimeoutError,
    WireError,
    fixed_delay,
)
from asynq_py.testing import (
    DrainLimitError,
    Handled,
    RedisServer,
    VirtualClock,
    drain,
    drain_async,
    enqueued,
)
from tests.support.database import dump

START = datetime(2030, 1, 1, tzinfo=UTC)
HANDLERS: list[str] = []


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(START)


@pytest.fixture
def client(server: RedisServer, clock: VirtualClock) -> Iterator[Client]:
    with Client(server.url, clock=clock) as client:
        yield client


def nothing(context: Context, task: Task) -> None:
    pass


def outcomes(runs: Sequence[Handled]) -> list[tuple[str, str]]:
    return [(run.type, run.outcome) for run in runs]


# -- how handlers are called --


async def _async(context: Context, task: Task) -> None:
    await asyncio.sleep(0)
    HANDLERS.append(f"{task.type} {threading.current_thread() is threading.main_thread()}")


def _plain(context: Context, task: Task) -> None:
    # Neither is a loop in the way of one that the handler runs itself, nor is it another thread.
    asyncio.run(_async(context, task))


def test_handlers_of_all_kinds_run_in_this_thread(server: RedisServer, client: Client) -> None:
    mux = ServeMux()
    mux.handle("async", _async)
    mux.handle("plain", _plain)
    mux.handle("process", _plain, process=True)
    for name in ("async", "plain", "process"):
        client.enqueue(Task(name))
    HANDLERS.clear()

    runs = drain(mux, server, raise_errors=True)

    assert HANDLERS == ["async True", "plain True", "process True"]
    assert outcomes(runs) == [("async", "done"), ("plain", "done"), ("process", "done")]


@pytest.mark.parametrize("kind", ["plain", "async"])
def test_a_handler_is_told_what_a_server_tells_it(
    server: RedisServer, client: Client, clock: VirtualClock, kind: str
) -> None:
    seen: list[tuple[object, ...]] = []

    def look(context: Context, task: Task) -> None:
        facts = (context.task_id, context.queue, context.retry_count, context.max_retry)
        seen.append((*facts, context.deadline, dict(context.headers), context.cancelled))
        seen.append((task.type, task.payload))

    async def look_async(context: Context, task: Task) -> None:
        look(context, task)

    client.enqueue(
        Task("t:1", b"p", headers={"h": "v"}), queue="low", task_id="a", max_retry=3, timeout=60
    )

    (run,) = drain(look if kind == "plain" else look_async, server, clock=clock)

    until = START + timedelta(seconds=60)
    assert seen == [("a", "low", 0, 3, until, {"h": "v"}, False), ("t:1", b"p")]
    assert (run.task_id, run.queue, run.retry_count, run.max_retry) == ("a", "low", 0, 3)
    assert (run.at, run.error, run.ok, run.result) == (START, None, True, None)
    assert (run.task.payload, run.task.headers) == (b"p", {"h": "v"})


@dataclass
class Welcome:
    user_id: int


def test_payloads_are_typed_and_middleware_is_around(server: RedisServer, client: Client) -> None:
    told: list[object] = []
    mux = ServeMux()
    word: contextvars.ContextVar[str] = contextvars.ContextVar("word")

    def middleware(
        call: Callable[[Context, Task], Awaitable[object]],
    ) -> Callable[[Context, Task], Awaitable[object]]:
        async def around(context: Context, task: Task) -> object:
            word.set("from the middleware")
            try:
                return await call(context, task)
            finally:
                told.append("after")

        return around

    mux.use(middleware)

    @mux.handle("welcome")
    def welcome(context: Context, payload: Welcome) -> None:
        told.append((payload, word.get()))

    client.enqueue(Task("welcome", {"user_id": 1}))
    client.enqueue(Task("welcome", {"user_id": "x"}))

    good, bad = drain(mux, server)

    assert told == [(Welcome(1), "from the middleware"), "after", "after"]
    assert good.ok
    assert bad.outcome == "archived"
    assert isinstance(bad.error, PayloadError)


def test_a_handler_that_is_missing_is_an_error(server: RedisServer, client: Client) -> None:
    client.enqueue(Task("other"))

    (run,) = drain(ServeMux(), server)

    assert run.outcome == "retried"
    assert isinstance(run.error, HandlerNotFoundError)


def test_it_does_not_run_where_a_loop_runs(server: RedisServer) -> None:
    async def test() -> None:
        drain(nothing, server)

    with pytest.raises(RuntimeError, match="await drain_async"):
        asyncio.run(test())


def test_a_loop_of_ones_own(server: RedisServer, client: Client) -> None:
    client.enqueue(Task("async"))
    client.enqueue(Task("plain"))
    loops: list[asyncio.AbstractEventLoop] = []
    threads: list[threading.Thread] = []
    mux = ServeMux()

    @mux.handle("async")
    async def on_loop(context: Context, task: Task) -> None:
        loops.append(asyncio.get_running_loop())

    @mux.handle("plain")
    def in_thread(context: Context, task: Task) -> None:
        threads.append(threading.current_thread())

    async def test() -> list[Handled]:
        runs = await drain_async(mux, server)
        assert loops == [asyncio.get_running_loop()]
        return runs

    assert outcomes(asyncio.run(test())) == [("async", "done"), ("plain", "done")]
    assert threads[0] is not threading.main_thread()


# -- what becomes of tasks --


def _end(context: Context, task: Task) -> None:
    kinds = {"skip": SkipRetry, "revoke": RevokeTask, "exit": SystemExit, "fail": ValueError}
    if task.type in kinds:
        raise kinds[task.type]("because")


def test_every_outcome_is_what_a_server_makes_of_it(
    server: RedisServer, client: Client, clock: VirtualClock
) -> None:
    client.enqueue(Task("good"))
    client.enqueue(Task("kept"), retention=60)
    client.enqueue(Task("fail"), task_id="again")
    client.enqueue(Task("fail"), task_id="last", max_retry=0)
    for name in ("skip", "revoke", "exit"):
        client.enqueue(Task(name), task_id=name)

    runs = drain(_end, server, clock=clock, config=ServerConfig(retry_delay=fixed_delay(30)))

    assert outcomes(runs) == [
        ("good", "done"),
        ("kept", "completed"),
        ("fail", "retried"),
        ("fail", "archived"),
        ("skip", "archived"),
        ("revoke", "revoked"),
        ("exit", "retried"),
    ]
    assert [str(run.error) for run in runs[2:]] == ["because"] * 5
    assert runs[2].retry_at == START + timedelta(seconds=30)
    with Inspector(server.url) as inspector:
        info = inspector.queue_info("default")
        assert (info.retry, info.archived, info.completed, info.active) == (2, 2, 1, 0)
        assert (info.processed, info.failed) == (0, 0)  # of today, which is another day
        again = inspector.get_task("default", "again")
        assert (again.retried, again.last_error) == (1, "because")
        assert again.next_process_at == START + timedelta(seconds=30)


def test_what_does_not_count_as_a_failure_uses_up_no_retry(
    server: RedisServer, client: Client, clock: VirtualClock
) -> None:
    client.enqueue(Task("fail"), max_retry=1)
    config = ServerConfig(retry_delay=fixed_delay(10), is_failure=lambda error: False)

    runs = drain(_end, server, clock=clock, config=config, until=35)

    assert [(run.outcome, run.retry_count) for run in runs] == [("retried", 0)] * 4


def test_a_result_is_written(server: RedisServer, client: Client) -> None:
    mux = ServeMux()

    @mux.handle("plain")
    def plain(context: Context, task: Task) -> None:
        context.write_result(b"one")

    @mux.handle("async")
    async def on_loop(context: Context, task: Task) -> None:
        await context.write_result(b"two")

    for name in ("plain", "async"):
        client.enqueue(Task(name), task_id=name, retention=60)

    assert [run.result for run in drain(mux, server)] == [b"one", b"two"]
    with Inspector(server.url) as inspector:
        assert inspector.get_task("default", "plain").result == b"one"


def test_a_result_of_a_deleted_task_is_refused(
    server: RedisServer, client: Client, database: redis.Redis
) -> None:
    client.enqueue(Task("t"), task_id="a")

    def handler(context: Context, task: Task) -> None:
        database.delete("asynq:{default}:t:a")
        context.write_result(b"lost")

    (run,) = drain(handler, server)

    assert isinstance(run.error, LeaseLostError)


def test_a_lock_is_let_go(server: RedisServer, client: Client) -> None:
    client.enqueue(Task("t"), unique=600)
    drain(nothing, server)

    client.enqueue(Task("t"), unique=600)


def test_timeouts_and_deadlines(server: RedisServer, client: Client, clock: VirtualClock) -> None:
    ran: list[str] = []

    async def endless(context: Context, task: Task) -> None:
        ran.append(context.task_id)
        await asyncio.Event().wait()

    client.enqueue(Task("t"), task_id="late", deadline=START - timedelta(seconds=1), max_retry=0)
    client.enqueue(Task("t"), task_id="long", timeout=1, max_retry=0)

    late, long = drain(endless, server, clock=clock)

    assert ran == ["long"]
    for run in (late, long):
        assert (run.outcome, type(run.error)) == ("archived", TaskTimeoutError)


# -- what is due, and when --


def test_what_is_due_later_stays_until_the_clock_has_moved(
    server: RedisServer, client: Client, clock: VirtualClock
) -> None:
    client.enqueue(Task("t"), process_in=timedelta(hours=1))

    assert drain(nothing, server, clock=clock) == []
    clock.advance(minutes=59, seconds=59)
    assert drain(nothing, server, clock=clock) == []
    clock.advance(1)
    assert len(drain(nothing, server, clock=clock)) == 1


def test_a_clock_that_goes_along_with_the_machines(server: RedisServer) -> None:
    clock = VirtualClock()
    with Client(server.url) as client:  # which knows nothing of it
        client.enqueue(Task("now"))
        client.enqueue(Task("later"), process_in=3600)
        assert outcomes(drain(nothing, server, clock=clock)) == [("now", "done")]
        clock.advance(hours=1)
        assert outcomes(drain(nothing, server, clock=clock)) == [("later", "done")]
        client.enqueue(Task("t"), process_in=7201)
        assert outcomes(drain(nothing, server, until=7201, clock=clock)) == [("t", "done")]


def test_until_runs_everything_in_its_order(
    server: RedisServer, client: Client, clock: VirtualClock
) -> None:
    config = ServerConfig(retry_delay=fixed_delay(60))
    client.enqueue(Task("late"), process_in=150)
    client.enqueue(Task("fail"), max_retry=2)
    client.enqueue(Task("soon"), process_in=90)
    client.enqueue(Task("never"), process_in=301)

    runs = drain(_end, server, clock=clock, config=config, until=timedelta(minutes=5))

    assert [(run.type, run.outcome, (run.at - START).seconds) for run in runs] == [
        ("fail", "retried", 0),
        ("fail", "retried", 60),
        ("soon", "done", 90),
        ("fail", "archived", 120),
        ("late", "done", 150),
    ]
    assert clock.now == START + timedelta(minutes=5)
    assert [task.type for task in enqueued(server)] == ["never"]


def test_until_may_be_a_moment(server: RedisServer, client: Client, clock: VirtualClock) -> None:
    client.enqueue(Task("t"), process_at=START + timedelta(days=1))

    assert len(drain(nothing, server, clock=clock, until=START + timedelta(days=1))) == 1


def test_what_was_kept_long_enough_is_gone(
    server: RedisServer, client: Client, clock: VirtualClock
) -> None:
    client.enqueue(Task("t"), task_id="a", retention=60)
    drain(nothing, server, clock=clock)
    clock.advance(seconds=61)
    drain(nothing, server, clock=clock)

    client.enqueue(Task("t"), task_id="a")


def test_tasks_that_handlers_enqueue_are_run_too(server: RedisServer, client: Client) -> None:
    def handler(context: Context, task: Task) -> None:
        if task.type == "parent":
            client.enqueue(Task("child"), queue="new")

    client.enqueue(Task("parent"))

    assert [run.queue for run in drain(handler, server)] == ["default", "new"]


def test_tasks_without_end_are_an_error(server: RedisServer, client: Client) -> None:
    def handler(context: Context, task: Task) -> None:
        client.enqueue(task)

    client.enqueue(Task("tick"))

    with pytest.raises(DrainLimitError, match=r"50 runs.*'tick' 50 times"):
        drain(handler, server, limit=50)
    assert len(enqueued(server, "tick")) == 1


def test_queues(server: RedisServer, client: Client) -> None:
    names = ["a", "b", "c", "paused"]

    def enqueue() -> None:
        for name in names:
            client.enqueue(Task("t"), queue=name)

    def ran(**options: object) -> list[str]:
        return [run.queue for run in drain(nothing, server, **options)]  # type: ignore[arg-type]

    with Inspector(server.url) as inspector:
        enqueue()
        inspector.pause_queue("paused")
    assert ran() == ["a", "b", "c"]
    enqueue()
    assert ran(queues=["c", "a"]) == ["c", "a"]
    enqueue()
    assert ran(config=ServerConfig(queues={"a": 1, "b": 9})) == ["b", "b", "a"]
    with pytest.raises(ConfigError):
        ran(queues=[""])


# -- groups --


def test_groups_are_aggregated_when_it_is_time(
    server: RedisServer, client: Client, clock: VirtualClock
) -> None:
    async def merge(group: str, tasks: Sequence[Task]) -> Task:
        return Task("digest", b",".join(sorted(task.payload or b"" for task in tasks)))

    config = ServerConfig(
        group_aggregator=merge, group_grace_period=60, group_max_delay=90, group_max_size=3
    )

    def add(payload: bytes) -> None:
        client.enqueue(Task("event", payload), group="g")

    def run(until: float | None = None) -> list[tuple[bytes | None, float]]:
        runs = drain(nothing, server, clock=clock, config=config, until=until)
        return [(run.task.payload, (run.at - START).seconds) for run in runs]

    add(b"1")
    assert run() == []
    assert run(until=59) == []
    add(b"2")
    assert run(until=60) == [(b"1,2", 90)]  # its oldest has waited long enough
    add(b"3")
    assert run(until=100) == [(b"3", 179)]  # there came no other
    for payload in (b"4", b"5", b"6"):
        add(payload)
    assert run() == [(b"4,5,6", 219)]  # it is full


def test_without_an_aggregator_groups_are_left(
    server: RedisServer, client: Client, clock: VirtualClock
) -> None:
    client.enqueue(Task("event"), group="g")

    assert drain(nothing, server, clock=clock, until=3600) == []


def test_what_an_aggregator_raises_is_raised_and_its_tasks_go_back(
    server: RedisServer, client: Client, clock: VirtualClock
) -> None:
    def merge(group: str, tasks: Sequence[Task]) -> Task:
        raise ZeroDivisionError

    client.enqueue(Task("event"), group="g")
    config = ServerConfig(group_aggregator=merge)

    with pytest.raises(ZeroDivisionError):
        drain(nothing, server, clock=clock, config=config, until=3600)
    assert [task.group for task in enqueued(server)] == ["g"]


# -- errors --


def test_errors_may_be_raised_once_their_task_is_settled(
    server: RedisServer, client: Client
) -> None:
    for name in ("revoke", "fail", "good"):
        client.enqueue(Task(name))

    with pytest.raises(ValueError, match="because") as raised:
        drain(_end, server, raise_errors=True)

    assert '(task "fail"' in raised.value.__notes__[0]
    assert [(task.type, task.state) for task in enqueued(server)] == [
        ("good", "pending"),
        ("fail", "retry"),
    ]


@pytest.mark.parametrize("kind", [KeyboardInterrupt, pytest.fail.Exception])
@pytest.mark.parametrize("place", ["plain", "async"])
def test_what_ends_the_test_ends_it_and_the_task_is_given_back(
    server: RedisServer, client: Client, kind: type[BaseException], place: str
) -> None:
    def handler(context: Context, task: Task) -> None:
        raise kind

    async def handler_async(context: Context, task: Task) -> None:
        raise kind

    client.enqueue(Task("t"))

    with pytest.raises(kind):
        drain(handler if place == "plain" else handler_async, server)

    (task,) = enqueued(server)
    assert (task.state, task.retried) == ("pending", 0)
    assert outcomes(drain(nothing, server)) == [("t", "done")]


def test_hooks_are_told_and_their_own_faults_are_raised(
    server: RedisServer, client: Client
) -> None:
    told: list[tuple[str, str, str]] = []

    def on_error(context: Context, task: Task, error: BaseException) -> None:
        told.append(("error", context.task_id, str(error)))
        if context.task_id == "b":
            raise ZeroDivisionError

    async def on_archived(context: Context, task: Task, error: BaseException) -> None:
        told.append(("archived", context.task_id, str(error)))

    config = ServerConfig(error_handler=on_error, on_archived=on_archived)
    for name in ("a", "b"):
        client.enqueue(Task("fail"), task_id=name, max_retry=0)

    with pytest.raises(ZeroDivisionError):
        drain(_end, server, config=config)

    assert told == [(what, name, "because") for name in "ab" for what in ("error", "archived")]
    assert enqueued(server) == []


def test_a_fault_of_the_last_hook_is_raised_too(server: RedisServer, client: Client) -> None:
    def on_archived(context: Context, task: Task, error: BaseException) -> None:
        raise ZeroDivisionError

    client.enqueue(Task("fail"), max_retry=0)

    with pytest.raises(ZeroDivisionError):
        drain(_end, server, config=ServerConfig(on_archived=on_archived))


def test_a_task_that_nobody_can_read_is_given_back(
    server: RedisServer, client: Client, database: redis.Redis
) -> None:
    client.enqueue(Task("t"), task_id="a")
    database.hset("asynq:{default}:t:a", "msg", b"\xff")

    with pytest.raises(WireError):
        drain(nothing, server)

    assert database.lrange("asynq:{default}:pending", 0, -1) == [b"a"]


def test_nothing_stays_behind(
    server: RedisServer, client: Client, clock: VirtualClock, database: redis.Redis
) -> None:
    for number in range(3):
        client.enqueue(Task("t", str(number)), unique=600)

    drain(nothing, server, clock=clock)

    left = {key for key in dump(database) if "processed" not in key}
    assert left == {"asynq:queues"}
