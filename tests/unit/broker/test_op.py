"""The drivers: what an operation yields is sent, what comes back arrives at the yield."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from asynq_py import RejectedError, UnavailableError
from asynq_py.broker.op import Answered, Exchange, Op, Reply, call, checked, run, run_async, start

Send = Callable[[Exchange], list[Reply]]


def drive_sync(op: Op[Any], send: Send) -> Any:  # noqa: ANN401
    return run(op, send)


def drive_async(op: Op[Any], send: Send) -> Any:  # noqa: ANN401
    async def send_async(exchange: Exchange) -> list[Reply]:
        await asyncio.sleep(0)
        return send(exchange)

    return asyncio.run(run_async(op, send_async))


def drive_by_callbacks(op: Op[Any], send: Send) -> Any:  # noqa: ANN401
    ends: list[tuple[Any, Exception | None]] = []

    def send_and_tell(request: Exchange, answered: Answered) -> None:
        try:
            replies = send(request)
        except Exception as error:
            answered([], error)
        else:
            answered(replies, None)

    start(op, send_and_tell, lambda result, error: ends.append((result, error)))  # type: ignore[arg-type]
    ((result, error),) = ends
    if error is not None:
        raise error
    return result


drivers = pytest.mark.parametrize(
    "drive", [drive_sync, drive_async, drive_by_callbacks], ids=["sync", "asyncio", "callbacks"]
)


@drivers
def test_replies_arrive_at_the_yield_and_the_result_at_the_caller(drive: Any) -> None:  # noqa: ANN401
    sent: list[object] = []

    def op() -> Op[str]:
        first = yield Exchange([("A",)])
        second = yield Exchange([("B", 1), ("C",)])
        return f"{first}{second}"

    def send(exchange: Exchange) -> list[Reply]:
        sent.append(exchange.commands)
        return [len(sent)] * len(exchange.commands)

    assert drive(op(), send) == "[1][2, 2]"
    assert sent == [[("A",)], [("B", 1), ("C",)]]


@drivers
def test_an_operation_without_a_yield_sends_nothing(drive: Any) -> None:  # noqa: ANN401
    def op() -> Op[int]:
        return 7
        yield

    assert drive(op(), lambda exchange: pytest.fail("sent")) == 7


@drivers
def test_a_failing_send_is_raised_at_the_yield_and_can_be_caught_there(drive: Any) -> None:  # noqa: ANN401
    replies: list[Any] = [UnavailableError("gone"), ["fine"]]

    def send(exchange: Exchange) -> list[Reply]:
        reply = replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return list(reply)

    def op() -> Op[Reply]:
        try:
            yield Exchange([("A",)])
        except UnavailableError:
            (reply,) = yield Exchange([("B",)])
            return reply
        raise AssertionError("nothing was raised")

    assert drive(op(), send) == "fine"


@drivers
def test_a_failing_send_that_nobody_catches_ends_the_operation(drive: Any) -> None:  # noqa: ANN401
    error = UnavailableError("gone")

    def send(exchange: Exchange) -> list[Reply]:
        raise error

    with pytest.raises(UnavailableError) as caught:
        drive(call("PING"), send)

    assert caught.value is error


@pytest.mark.parametrize("drive", [drive_sync, drive_async], ids=["sync", "asyncio"])
def test_an_interrupt_closes_the_operation_and_goes_on(drive: Any) -> None:  # noqa: ANN401
    closed: list[str] = []

    def op() -> Op[None]:
        try:
            yield Exchange([("A",)])
        except GeneratorExit:
            closed.append("closed")
            raise
        except BaseException:
            closed.append("raised")
            raise

    def send(exchange: Exchange) -> list[Reply]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        drive(op(), send)

    assert closed == ["closed"]


def test_a_cancelled_operation_is_closed() -> None:
    closed: list[str] = []

    def op() -> Op[None]:
        try:
            yield Exchange([("A",)])
        finally:
            closed.append("closed")

    async def main() -> None:
        reached = asyncio.Event()

        async def send(exchange: Exchange) -> list[Reply]:
            reached.set()
            await asyncio.Event().wait()
            raise AssertionError("unreachable")

        task = asyncio.create_task(run_async(op(), send))
        await reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())

    assert closed == ["closed"]


def test_a_request_names_three_commands_at_most() -> None:
    assert Exchange([("SADD", "k", "v"), ("EVALSHA", "sha")]).name == "SADD, EVALSHA"
    assert Exchange([("A",), ("B",), ("C",), ("D",)]).name == "A, B, C, ..."


@drivers
def test_call_gives_the_reply_of_one_command(drive: Any) -> None:  # noqa: ANN401
    assert drive(call("GET", "k"), lambda exchange: [b"v"]) == b"v"


@drivers
def test_call_raises_what_redis_refused_with(drive: Any) -> None:  # noqa: ANN401
    with pytest.raises(RejectedError, match="OOM"):
        drive(call("SET", "k", "v"), lambda exchange: [RejectedError("OOM full", code="OOM")])


@pytest.mark.parametrize("reply", [0, b"x", None, [RejectedError("inner")]])
def test_a_reply_that_is_no_error_passes_the_check(reply: Reply) -> None:
    assert checked(reply) is reply


@pytest.mark.parametrize("reply", [RejectedError("no"), UnavailableError("LOADING")])
def test_a_reply_that_is_an_error_is_raised_by_the_check(reply: Exception) -> None:
    with pytest.raises(type(reply)) as caught:
        checked(reply)

    assert caught.value is reply
