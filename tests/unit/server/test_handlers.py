"""What may be registered as a handler, and what is made of it."""

from __future__ import annotations

import asyncio
import functools
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import pytest

from asynq_py import ConfigError, Context, PayloadError, ServeMux, Task
from asynq_py.codec import MSGPACK
from asynq_py.server.handlers import Call, as_call, is_async

if TYPE_CHECKING:
    from somewhere_else import Known  # type: ignore[import-not-found]

#: Handlers that run on the loop do not look at it here.
CONTEXT = cast(Context, None)


@dataclass
class Point:
    x: int
    y: int = 0


def run(call: Call, task: Task) -> object:
    async def inside() -> object:
        return await call(CONTEXT, task)

    return asyncio.run(inside())


async def plain(context: Context, task: Task) -> object:
    return task


async def typed(context: Context, point: Point) -> None:
    raise LookupError(point)


class Callable_:
    async def __call__(self, context: Context, point: Point) -> None:
        raise LookupError(point)

    async def method(self, context: Context, point: Point) -> None:
        raise LookupError(point)

    @staticmethod
    async def static(context: Context, point: Point) -> None:
        raise LookupError(point)

    @classmethod
    async def of_class(cls, context: Context, point: Point) -> None:
        raise LookupError(point)


async def scaled(factor: int, context: Context, point: Point, *, more: int = 0) -> None:
    raise LookupError(Point(point.x * factor + more))


def told(function: Any) -> Any:  # noqa: ANN401
    @functools.wraps(function)
    async def around(*arguments: object) -> object:
        return await function(*arguments)

    return around


async def half_known(context: Known, point: Point) -> None:
    raise LookupError(point)


@pytest.mark.parametrize(
    "handler",
    [
        typed,
        Callable_(),
        Callable_().method,
        Callable_.static,
        Callable_.of_class,
        functools.partial(scaled, 1),
        functools.partial(functools.partial(scaled, 1), more=0),
        told(typed),
        half_known,
    ],
)
def test_the_second_parameter_may_ask_for_the_payload(handler: Any) -> None:  # noqa: ANN401
    assert is_async(handler)
    with pytest.raises(LookupError) as caught:
        run(as_call(handler), Task("t", {"x": 3}))

    assert caught.value.args == (Point(3),)


@pytest.mark.parametrize("annotation", ["Task", "Any", "object", None])
def test_the_task_itself_is_given_where_nothing_else_is_asked_for(annotation: str | None) -> None:
    async def handler(context, task):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
        return task

    if annotation:
        handler.__annotations__ = {"task": annotation}
    task = Task("t", b"not JSON")

    assert run(as_call(handler), task) is task


def test_a_handler_may_take_whatever_it_is_given() -> None:
    async def handler(*arguments: object, **named: object) -> object:
        return arguments

    task = Task("t")

    assert run(as_call(handler), task) == (CONTEXT, task)


def test_further_parameters_may_have_defaults() -> None:
    async def handler(context: Context, task: Task, retries: int = 3) -> object:
        return retries

    assert run(as_call(handler), Task("t")) == 3


def test_the_payload_may_be_in_another_codec() -> None:
    with pytest.raises(LookupError) as caught:
        run(as_call(typed, codec=MSGPACK), Task("t", {"x": 3}, codec=MSGPACK))

    assert caught.value.args == (Point(3),)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"{", "payload is not JSON"),
        (None, "payload is not JSON"),
        (b"5", "payload must be an object (Point), not 5"),
        (b'{"x":"3"}', "payload.x must be int, not '3'"),
        (b"[" * 100_000, "payload is not JSON"),
    ],
)
def test_a_payload_that_cannot_be_read_is_told_with_its_type(
    payload: bytes | None, reason: str
) -> None:
    with pytest.raises(PayloadError, match=re.escape(f"payload of 'point:add': {reason}")):
        run(as_call(typed), Task("point:add", payload))


class NoCall:
    pass


class NoArguments:
    def __init__(self) -> None:
        pass

    async def __call__(self, context: Context, task: Task) -> None:
        pass


async def one(context: Context) -> None: ...
async def three(context: Context, task: Task, more: int) -> None: ...
async def asks_int(context: Context, number: int) -> None: ...
async def asks_maybe(context: Context, point: Point | None) -> None: ...
async def asks_unknown(context: Context, known: Known) -> None: ...
async def asks_text(context: Context, task: Task, *, needed: int) -> None: ...
def generator(context: Context, task: Task) -> Iterator[int]:
    yield 1


async def async_generator(context: Context, task: Task) -> AsyncIterator[int]:
    yield 1


@pytest.mark.parametrize(
    ("handler", "reason"),
    [
        (None, "a handler must be callable, not NoneType"),
        ("f", "a handler must be callable, not str"),
        (NoCall(), "a handler must be callable, not NoCall"),
        (NoArguments, "a handler takes two arguments, the context and the task; NoArguments does"),
        (one, "a handler takes two arguments, the context and the task; one does not"),
        (three, "a handler takes two arguments, the context and the task; three does not"),
        (asks_text, "a handler takes two arguments, the context and the task; asks_text does not"),
        (functools.partial(typed, None), "a handler takes two arguments"),
        (asks_int, '"number" of asks_int must be a Task, or a dataclass or a pydantic model'),
        (asks_maybe, '"point" of asks_maybe must be a Task, or a dataclass'),
        (asks_unknown, "the annotation 'Known' of asks_unknown cannot be read: name 'Known' is"),
        (generator, "a handler must not yield, as generator does: nothing would run"),
        (async_generator, "a handler must not yield, as async_generator does"),
    ],
)
def test_what_is_no_handler_is_refused_at_once(handler: Any, reason: str) -> None:  # noqa: ANN401
    with pytest.raises(ConfigError, match=re.escape(reason)):
        as_call(handler)


def test_a_coroutine_function_has_no_process_of_its_own() -> None:
    with pytest.raises(ConfigError, match="process=True is for plain functions"):
        ServeMux().handle("t", plain, process=True)


def test_what_is_called_like_a_coroutine_function() -> None:
    def wrapped(*arguments: object) -> object:
        return typed(*arguments)  # type: ignore[arg-type]

    class Holder:
        func = staticmethod(typed)

        def __call__(self, context: Context, task: Task) -> None: ...

    assert is_async(plain)
    assert is_async(functools.partial(scaled, 1))
    assert not is_async(functools.wraps(typed)(wrapped))
    assert not is_async(Holder())
    assert not is_async(print)
    assert not is_async(NoArguments)
