"""How a server calls handlers, and what it tells them."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
import redis

from asynq_py import Client, ConfigError, Context, LeaseLostError, ServeMux, Server, Task
from asynq_py.clock import FixedClock
from asynq_py.server.handlers import Call
from asynq_py.wire.message import decode
from tests.support.database import task_hash
from tests.support.serving import Messages, Seen, until
from tests.support.tasks import NOW_S

Serve = Callable[..., Server]


@dataclass
class Mail:
    to: str
    at: datetime
    copies: list[str] | None = None


AT = datetime(2030, 1, 2, tzinfo=UTC)


def test_a_coroutine_is_told_all_of_its_task(make: Client, serve: Serve) -> None:
    seen = Seen()

    async def handler(context: Context, task: Task) -> None:
        seen(context, task, context.cancelled, threading.current_thread().name)

    make.enqueue(
        Task("t", b"payload", headers={"trace": "ü"}, max_retry=3),
        task_id="a",
        queue="q",
        timeout=60,
    )
    serve(handler, queues={"q": 1}, clock=FixedClock(NOW_S * 10**9))
    ((context, task, cancelled, thread),) = seen.wait()

    assert (context.task_id, context.queue) == ("a", "q")
    assert (context.retry_count, context.max_retry) == (0, 3)
    assert context.deadline == datetime.fromtimestamp(NOW_S + 60, UTC)
    assert context.headers == {"trace": "ü"}
    assert (task.type, task.payload, task.headers) == ("t", b"payload", {"trace": "ü"})
    assert task.options == {}
    assert not cancelled
    assert thread == "asynq-server"
    assert repr(context) == "Context(queue='q', task_id='a')"


def test_a_plain_function_runs_in_a_thread_of_its_own(make: Client, serve: Serve) -> None:
    seen = Seen()
    both = threading.Barrier(2, timeout=20)

    def handler(context: Context, task: Task) -> None:
        both.wait()  # they run at the same time
        seen(threading.current_thread().name)

    for _ in range(2):
        make.enqueue(Task("t"))
    serve(handler)

    assert sorted(seen.wait(2)) == ["asynq-handler-1", "asynq-handler-2"]


def test_as_many_threads_run_as_tasks_may(make: Client, serve: Serve) -> None:
    everyone = threading.Barrier(40, timeout=20)
    seen = Seen()

    def handler(context: Context, task: Task) -> None:
        seen(everyone.wait())

    make.enqueue_many([Task("t")] * 40)
    serve(handler, concurrency=40)

    assert sorted(seen.wait(40)) == list(range(40))


_NAME: contextvars.ContextVar[str] = contextvars.ContextVar("name", default="")


def test_what_middleware_puts_into_the_context_is_there_in_a_thread(
    make: Client, serve: Serve
) -> None:
    seen = Seen()
    mux = ServeMux()

    def named(following: Call) -> Call:
        async def around(context: Context, task: Task) -> object:
            _NAME.set(f"for {context.task_id}")
            return await following(context, task)

        return around

    def handler(context: Context, task: Task) -> None:
        seen(_NAME.get())

    mux.handle("t", handler)
    mux.use(named)
    for task_id in ("a", "b"):
        make.enqueue(Task("t"), task_id=task_id)
    serve(mux)

    assert sorted(seen.wait(2)) == ["for a", "for b"]


class Plain:
    def __init__(self, seen: Seen) -> None:
        self.seen = seen

    def __call__(self, context: Context, task: Task) -> None:
        self.seen("plain", context.task_id)

    def method(self, context: Context, task: Task) -> None:
        self.seen("method", context.task_id)

    def with_more(self, more: str, context: Context, task: Task) -> None:
        self.seen(more, context.task_id)


@pytest.mark.parametrize("kind", ["plain", "method", "partial", "hands on"])
def test_all_kinds_of_callables_are_called(kind: str, make: Client, serve: Serve) -> None:
    seen = Seen()
    plain = Plain(seen)

    async def coroutine(context: Context, task: Task) -> None:
        seen("hands on", context.task_id)

    handlers: dict[str, Any] = {
        "plain": plain,
        "method": plain.method,
        "partial": functools.partial(plain.with_more, "partial"),
        # A plain function that gives a coroutine, which must not be forgotten.
        "hands on": lambda context, task: coroutine(context, task),
    }
    make.enqueue(Task("t"), task_id="a")
    serve(handlers[kind])

    assert seen.wait() == [(kind, "a")]


@pytest.mark.parametrize("is_async", [True, False])
def test_a_payload_is_given_as_it_is_annotated(is_async: bool, make: Client, serve: Serve) -> None:
    seen = Seen()

    async def coroutine(context: Context, mail: Mail) -> None:
        seen(mail)

    def plain(context: Context, mail: Mail) -> None:
        seen(mail)

    make.enqueue(Task("t", Mail("x@y", AT)))
    make.enqueue(Task("t", {"to": "z", "at": "2030-01-02T00:00:00Z", "copies": ["b"]}))
    serve(coroutine if is_async else plain, concurrency=1)

    assert seen.wait(2) == [Mail("x@y", AT), Mail("z", AT, ["b"])]


def test_a_payload_that_cannot_be_read_is_archived_and_says_why(
    make: Client, serve: Serve, database: redis.Redis
) -> None:
    seen, archived = Seen(), Seen()

    async def handler(context: Context, mail: Mail) -> None:
        seen(mail)

    make.enqueue(Task("mail:send", {"to": 5, "at": AT}), task_id="a")
    worker = serve(handler, on_archived=archived)
    archived.wait()
    worker.shutdown()

    fields = task_hash(database, "default", "a")
    assert seen.items == []
    assert fields["state"] == b"archived"
    assert decode(fields["msg"]).error_msg == (
        "payload of 'mail:send': payload.to must be str, not 5"
    )


@pytest.mark.parametrize("handler", [None, 5, lambda context: None])
def test_what_is_no_handler_cannot_be_started(handler: Any, serve: Serve) -> None:  # noqa: ANN401
    with pytest.raises(ConfigError, match="a handler"):
        serve(handler)


# -- results --


def write(*results: bytes, awaits: bool = True, plain: bool = False) -> Callable[..., Any]:
    """A handler that writes results."""

    async def handler(context: Context, task: Task) -> None:
        for result in results:
            writing = context.write_result(result)
            if awaits:
                await writing

    def in_thread(context: Context, task: Task) -> None:
        for result in results:
            context.write_result(result)

    return in_thread if plain else handler


@pytest.mark.parametrize("options", [{}, {"awaits": False}, {"plain": True}], ids=str)
def test_the_last_result_is_kept_with_the_task(
    options: dict[str, Any], make: Client, serve: Serve, database: redis.Redis
) -> None:
    make.enqueue(Task("t", retention=60), task_id="a")
    worker = serve(write(b"half", b"\x00done", **options))
    until(lambda: worker.counts()["complete"])

    assert task_hash(database, "default", "a")["result"] == b"\x00done"


@pytest.mark.parametrize("plain", [True, False])
def test_a_result_is_kept_with_a_task_that_fails(
    plain: bool, make: Client, serve: Serve, database: redis.Redis
) -> None:
    async def handler(context: Context, task: Task) -> None:
        context.write_result(b"so far")  # not awaited
        raise ValueError

    def in_thread(context: Context, task: Task) -> None:
        context.write_result(b"so far")
        raise ValueError

    for number in range(20):
        make.enqueue(Task("t"), task_id=f"a{number}")
    worker = serve(in_thread if plain else handler, concurrency=1)
    until(lambda: worker.counts()["retry"] == 20)

    results = {task_hash(database, "default", f"a{number}")["result"] for number in range(20)}
    assert results == {b"so far"}


@pytest.mark.parametrize("result", ["text", None, 5, [b"x"]])
def test_a_result_must_be_bytes(result: Any, make: Client, serve: Serve) -> None:  # noqa: ANN401
    told = Seen()

    async def handler(context: Context, task: Task) -> None:
        await context.write_result(result)

    make.enqueue(Task("t"))
    serve(handler, error_handler=told)

    assert str(told.wait()[0][2]) == f"a result must be bytes, not {type(result).__name__}"


def test_a_result_may_be_any_bytes(make: Client, serve: Serve, database: redis.Redis) -> None:
    async def handler(context: Context, task: Task) -> None:
        await context.write_result(bytearray(b"array"))
        await context.write_result(memoryview(b"view"))  # type: ignore[arg-type]

    make.enqueue(Task("t", retention=60), task_id="a")
    worker = serve(handler)
    until(lambda: worker.counts()["complete"])

    assert task_hash(database, "default", "a")["result"] == b"view"


@pytest.mark.parametrize("copes", [True, False])
def test_a_result_that_cannot_be_written_fails_the_task_unless_the_handler_copes(
    copes: bool, make: Client, serve: Serve, database: redis.Redis
) -> None:
    told, caught = Seen(), Seen()

    async def handler(context: Context, task: Task) -> None:
        await asyncio.to_thread(database.hset, "asynq:{default}:t:a", "state", "other")
        if not copes:
            context.write_result(b"x")
            return
        try:
            await context.write_result(b"x")
        except LeaseLostError as error:
            caught(str(error))

    make.enqueue(Task("t", retention=60), task_id="a")
    worker = serve(handler, error_handler=told)
    until(lambda: worker.counts()["complete" if copes else "retry"])

    text = 'the result of "a" of "default" was not written: the task is gone'
    assert caught.items == ([text] if copes else [])
    assert [str(each[2]) for each in told.items] == ([] if copes else [text])


def test_a_handler_that_was_asked_to_stop_cannot_write(
    make: Client, serve: Serve, database: redis.Redis
) -> None:
    caught, begun, go_on = Seen(), Seen(), threading.Event()

    def handler(context: Context, task: Task) -> None:
        begun()
        go_on.wait(20)
        try:
            context.write_result(b"late")
        except LeaseLostError as error:
            caught(str(error))

    make.enqueue(Task("t"), task_id="a")
    worker = serve(handler, shutdown_timeout=0)
    begun.wait()
    worker.shutdown()
    go_on.set()

    assert caught.wait() == [
        'the result of "a" of "default" was not written: the server shuts down'
    ]
    assert "result" not in task_hash(database, "default", "a")


def test_a_result_written_after_the_handler_has_ended_makes_no_orphan(
    make: Client, serve: Serve, database: redis.Redis
) -> None:
    contexts, caught = Seen(), Seen()

    async def handler(context: Context, task: Task) -> None:
        contexts(context)

    make.enqueue(Task("t"), task_id="a")
    worker = serve(handler)
    (context,) = contexts.wait()
    until(lambda: worker.counts()["done"])

    with pytest.raises(LeaseLostError, match="the task is gone"):
        context.write_result(b"late")
    assert not database.exists("asynq:{default}:t:a")
    assert caught.items == []


# -- hooks --


@pytest.fixture
def failing(make: Client, serve: Serve) -> Iterator[Callable[..., tuple[Server, Messages]]]:
    """Has one task fail on a server with hooks."""

    def fail(**config: Any) -> tuple[Server, Messages]:  # noqa: ANN401
        messages = Messages()

        async def handler(context: Context, task: Task) -> None:
            raise ValueError("bad")

        make.enqueue(Task("t", b"p", max_retry=0), task_id="a")
        return serve(handler, logger=messages.logger, **config), messages

    return fail  # type: ignore[return-value]


@pytest.mark.parametrize("hook", ["error_handler", "on_archived"])
@pytest.mark.parametrize("kind", ["coroutine", "plain", "hands on"])
def test_hooks_are_told_of_the_context_the_task_and_the_error(
    hook: str, kind: str, failing: Callable[..., tuple[Server, Messages]], database: redis.Redis
) -> None:
    seen = Seen()

    async def coroutine(context: Context, task: Task, error: BaseException) -> None:
        state = await asyncio.to_thread(database.hget, "asynq:{default}:t:a", "state")
        seen(context, task, error, state)

    def plain(context: Context, task: Task, error: BaseException) -> None:
        seen(context, task, error, database.hget("asynq:{default}:t:a", "state"))

    kinds = {
        "coroutine": coroutine,
        "plain": plain,
        "hands on": lambda *arguments: coroutine(*arguments),
    }
    worker, _ = failing(**{hook: kinds[kind]})
    ((context, task, error, state),) = seen.wait()
    worker.shutdown()

    assert (context.task_id, context.queue, context.max_retry) == ("a", "default", 0)
    assert (task.type, task.payload) == ("t", b"p")
    assert repr(error) == "ValueError('bad')"
    # One is told before it is written, the other after.
    assert state == (b"active" if hook == "error_handler" else b"archived")
    assert len(seen.items) == 1


@pytest.mark.parametrize("hook", ["error_handler", "on_archived"])
@pytest.mark.parametrize("fault", [ZeroDivisionError(), SystemExit(1), TimeoutError()], ids=repr)
@pytest.mark.parametrize("is_async", [True, False])
def test_a_hook_that_raises_stops_nothing(
    hook: str,
    fault: BaseException,
    is_async: bool,
    failing: Callable[..., tuple[Server, Messages]],
    database: redis.Redis,
) -> None:
    async def coroutine(*_: object) -> None:
        raise fault

    def plain(*_: object) -> None:
        raise fault

    worker, messages = failing(**{hook: coroutine if is_async else plain})
    messages.wait(f"{hook} raised")
    worker.shutdown()

    assert task_hash(database, "default", "a")["state"] == b"archived"


@pytest.mark.parametrize("hook", ["error_handler", "on_archived"])
@pytest.mark.parametrize("is_async", [True, False])
def test_a_hook_that_hangs_is_waited_for_for_a_while(
    hook: str,
    is_async: bool,
    failing: Callable[..., tuple[Server, Messages]],
    database: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("asynq_py.server.processor.HOOK_S", 0.1)
    go_on = threading.Event()

    async def coroutine(*_: object) -> None:
        await asyncio.Event().wait()

    def plain(*_: object) -> None:
        go_on.wait(30)

    worker, messages = failing(**{hook: coroutine if is_async else plain})
    messages.wait(f"{hook} raised, or took more than 0.1 s")
    until(lambda: worker.counts()["archive"])
    worker.shutdown()
    go_on.set()

    assert task_hash(database, "default", "a")["state"] == b"archived"


def test_middleware_that_gives_a_plain_function_fails_the_task_with_a_reason(
    make: Client, serve: Serve
) -> None:
    told = Seen()
    mux = ServeMux()
    mux.handle("t", Seen().handler)
    mux.use(lambda following: lambda context, task: None)  # type: ignore[arg-type,return-value]
    make.enqueue(Task("t"))
    serve(mux, error_handler=told)

    ((_, _, error),) = told.wait()
    assert str(error).startswith("middleware must return a coroutine function, not <function")
