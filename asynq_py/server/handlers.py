"""From the functions that users register to what a server calls.

A coroutine function runs on the event loop, a plain function in a thread, or in a process of its
own. The second parameter may ask for the payload, decoded.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeAlias, TypeVar, get_type_hints

from asynq_py.codec import JSON, Codec
from asynq_py.codec.typed import Wanted, can_read, read_as
from asynq_py.errors import ConfigError, PayloadError, WireError
from asynq_py.server.context import Context
from asynq_py.task import Task

#: What users give: takes a context, and the task or its payload.
Handler: TypeAlias = Callable[..., Any]
#: What a server calls, on the event loop.
Call: TypeAlias = Callable[[Context, Task], Awaitable[object]]

H = TypeVar("H", bound=Handler)


def as_call(handler: Handler, *, process: bool = False, codec: Codec = JSON) -> Call:
    """What a server calls for a handler.

    Args:
        handler: ``async def``, or a plain function.
        process: Whether a plain function runs in another process.
        codec: What reads the payload, if the second parameter asks for it.

    Raises:
        ConfigError: It is no handler.
    """
    if not callable(handler):
        raise ConfigError(f"a handler must be callable, not {type(handler).__name__}")
    awaited = is_async(handler)
    if _is_generator(handler):
        raise ConfigError(f"a handler must not yield, as {_name(handler)} does: nothing would run")
    if process and awaited:
        raise ConfigError("process=True is for plain functions: a coroutine cannot leave its loop")
    if process and {"<locals>", "<lambda>"} & set(_name(handler).split(".")):
        raise ConfigError(
            f"{_name(handler)} cannot be imported in another process: process=True is for functions"
            " at the top of a module"
        )
    wanted = _payload_type(handler)
    if wanted is None and awaited:
        return handler

    def argument(task: Task) -> object:
        return task if wanted is None else _read(task, wanted, codec)

    if awaited:

        async def on_loop(context: Context, task: Task) -> None:
            await handler(context, argument(task))

        return on_loop
    if process:

        async def in_process(context: Context, task: Task) -> None:
            await context._hands.in_process(context._job, handler, argument(task))

        return in_process

    async def in_thread(context: Context, task: Task) -> None:
        answer = await context._hands.in_thread(context._job, handler, context, argument(task))
        if inspect.isawaitable(answer):  # of a function that only hands on to a coroutine function
            await answer

    return in_thread


def is_async(handler: Handler) -> bool:
    """Whether it is a coroutine function, or an object that is called like one."""
    return inspect.iscoroutinefunction(_function_of(handler))


def _is_generator(handler: Handler) -> bool:
    function = _function_of(handler)
    return inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)


def _function_of(handler: Handler) -> Callable[..., Any]:
    """What runs when it is called."""
    while isinstance(handler, partial):
        handler = handler.func
    if inspect.isroutine(handler) or isinstance(handler, type):
        return handler
    call: Callable[..., Any] = type(handler).__call__
    return call


def _payload_type(handler: Handler) -> Wanted | None:
    """What the second parameter asks for; None for the task itself."""
    try:
        parameters = list(inspect.signature(handler).parameters.values())
    except (ValueError, TypeError):  # not written in Python
        return None
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    named = [each for each in parameters if each.kind in positional]
    is_open = any(each.kind is inspect.Parameter.VAR_POSITIONAL for each in parameters)
    needed = [each for each in parameters if each.default is inspect.Parameter.empty]
    named_needed = [each for each in needed if each.kind in positional]
    by_name = any(each.kind is inspect.Parameter.KEYWORD_ONLY for each in needed)
    if (len(named) < 2 and not is_open) or len(named_needed) > 2 or by_name:
        raise ConfigError(
            f"a handler takes two arguments, the context and the task; {_name(handler)} does not"
        )
    if len(named) < 2:
        return None
    name = named[1].name
    annotation = named[1].annotation
    if isinstance(annotation, str):
        annotation = _resolved(annotation, handler)
    if annotation in (inspect.Parameter.empty, Any, object, Task):
        return None
    if isinstance(annotation, type) and issubclass(annotation, Task):
        return None
    if not can_read(annotation):
        raise ConfigError(
            f'"{name}" of {_name(handler)} must be a Task, or a dataclass or a pydantic model for'
            f" the decoded payload, not {annotation!r}"
        )
    return annotation


def _resolved(annotation: str, handler: Handler) -> Wanted:
    """What an annotation means that is kept as text. Others of the same function may mean nothing
    while it runs: those of names that are imported for type checkers only."""

    def alone() -> None: ...

    alone.__annotations__ = {"it": annotation}
    function = inspect.unwrap(_function_of(handler))
    try:
        return get_type_hints(alone, getattr(function, "__globals__", None))["it"]
    except Exception as error:
        raise ConfigError(
            f"the annotation {annotation!r} of {_name(handler)} cannot be read: {error}"
        ) from error


def _read(task: Task, wanted: Wanted, codec: Codec) -> object:
    try:
        return read_as(wanted, codec.decode(task.payload or b""))
    except (WireError, RecursionError) as error:
        raise PayloadError(f"payload of {task.type!r}: {error}") from error


def _name(handler: Handler) -> str:
    return getattr(handler, "__qualname__", None) or repr(handler)
