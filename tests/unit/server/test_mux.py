"""Which handler a task goes to."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from asynq_py import ConfigError, Context, HandlerNotFoundError, ServeMux, Task
from asynq_py.server.handlers import Call


def handler(name: str) -> Any:  # noqa: ANN401
    async def handle(context: Context, task: Task) -> object:
        return name

    return handle


def mux_of(*patterns: str) -> ServeMux:
    mux = ServeMux()
    for pattern in patterns:
        mux.handle(pattern, handler(pattern))
    return mux


def serve(mux: ServeMux, task_type: str) -> object:
    async def inside() -> object:
        _, call = mux.resolve(task_type)
        return await call(cast(Context, None), Task(task_type))

    return asyncio.run(inside())


@pytest.mark.parametrize(
    ("task_type", "pattern"),
    [
        ("email:", "email:"),
        ("email:welcome", "email:"),
        ("email:bill", "email:bill"),
        ("email:bills", "email:bill"),
        ("email:bil", "email:"),
        ("image:resize", "image:resize"),
        ("image:resize:small", "image:resize"),
        ("ünï", "ü"),
    ],
)
def test_the_longest_beginning_counts(task_type: str, pattern: str) -> None:
    mux = mux_of("email:", "email:bill", "image:resize", "ü")

    assert mux.pattern_for(task_type) == pattern
    assert serve(mux, task_type) == pattern


@pytest.mark.parametrize("task_type", ["", "email", "Email:x", "video:x"])
def test_a_type_that_no_pattern_begins_has_no_handler(task_type: str) -> None:
    mux = mux_of("email:")

    assert mux.pattern_for(task_type) == ""
    with pytest.raises(HandlerNotFoundError) as caught:
        asyncio.run(
            cast(
                Any,
                mux.resolve(task_type)[1](cast(Context, None), Task.received(task_type, b"", {})),
            )
        )
    assert str(caught.value) == f'handler not found for task "{task_type}"'


def test_handlers_may_be_added_after_a_type_was_looked_up() -> None:
    mux = mux_of("email:")
    assert serve(mux, "email:bill") == "email:"

    mux.handle("email:bill", handler("new"))

    assert serve(mux, "email:bill") == "new"
    assert mux.patterns == ["email:", "email:bill"]


def test_many_types_do_not_grow_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asynq_py.server.mux._REMEMBERED", 3)
    mux = mux_of("t")

    for number in range(10):
        assert mux.pattern_for(f"t{number}") == "t"

    assert len(mux._known) <= 3


def test_as_a_decorator_it_gives_the_function_back() -> None:
    mux = ServeMux()

    async def handle(context: Context, task: Task) -> object:
        return 1

    assert mux.handle("t")(handle) is handle
    assert mux.handle("u", handle) is handle
    assert serve(mux, "t") == 1


def test_a_mux_may_hold_another() -> None:
    outer, inner = ServeMux(), mux_of("email:bill")
    order: list[str] = []
    outer.use(tells(order, "outer"))
    inner.use(tells(order, "inner"))
    outer.handle("email:", inner)

    assert serve(outer, "email:bill:1") == "email:bill"
    assert order == ["outer before", "inner before", "inner after", "outer after"]
    with pytest.raises(HandlerNotFoundError):
        serve(outer, "email:welcome")


def tells(order: list[str], name: str) -> Any:  # noqa: ANN401
    def middleware(following: Call) -> Call:
        async def around(context: Context, task: Task) -> object:
            order.append(f"{name} before")
            try:
                return await following(context, task)
            finally:
                order.append(f"{name} after")

        return around

    return middleware


def test_the_first_middleware_is_the_outermost() -> None:
    mux = mux_of("t")
    order: list[str] = []
    mux.use(tells(order, "a"), tells(order, "b"))
    mux.use(tells(order, "c"))

    serve(mux, "t")

    assert order == [
        *("a before", "b before", "c before"),
        *("c after", "b after", "a after"),
    ]


def test_middleware_is_around_a_handler_that_is_not_there_too() -> None:
    mux = ServeMux()
    order: list[str] = []
    mux.use(tells(order, "a"))

    with pytest.raises(HandlerNotFoundError):
        serve(mux, "t")

    assert order == ["a before", "a after"]


def test_middleware_added_later_counts_for_types_that_were_looked_up() -> None:
    mux = mux_of("t")
    order: list[str] = []
    serve(mux, "t")

    mux.use(tells(order, "a"))
    serve(mux, "t")

    assert order == ["a before", "a after"]


def test_middleware_may_answer_for_the_handler() -> None:
    mux = mux_of("t")

    def instead(following: Call) -> Call:
        return cast(Call, handler("instead"))

    mux.use(instead)

    assert serve(mux, "t") == "instead"


def test_middleware_must_return_a_coroutine_function() -> None:
    mux = mux_of("t")
    mux.use(lambda following: lambda context, task: None)  # type: ignore[arg-type,return-value]

    with pytest.raises(ConfigError, match="middleware must return a coroutine function, not <func"):
        mux.resolve("t")


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("", "pattern must contain one or more characters that are not blank"),
        (" ", "pattern must contain one or more characters that are not blank"),
        (5, "pattern must be a str, not int"),
        ("\udcff", "pattern is no valid Unicode"),
        ("t", "there is a handler for 't' already"),
    ],
)
def test_bad_patterns_are_refused(pattern: Any, reason: str) -> None:  # noqa: ANN401
    mux = mux_of("t")

    with pytest.raises(ConfigError, match=reason):
        mux.handle(pattern, handler("x"))
    with pytest.raises(ConfigError, match=reason):
        mux.handle(pattern)


def test_middleware_must_be_callable() -> None:
    with pytest.raises(ConfigError, match="middleware must be callable, not int"):
        ServeMux().use(5)  # type: ignore[arg-type]
