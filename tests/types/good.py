"""What type checkers must understand. Checked by test_typing.py, never run."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, assert_type

import redis
import redis.asyncio

from asynq_py import (
    JSON,
    JSON_SORTED,
    MSGPACK,
    RAW,
    AsyncClient,
    AsynqError,
    Client,
    Codec,
    EnqueueOptions,
    EnqueueResult,
    Entry,
    RedisConfig,
    RejectedError,
    Run,
    Schedule,
    Scheduler,
    SchedulerConfig,
    Task,
    TaskInfo,
    TaskState,
    parse_schedule,
)


def producing(client: Client, task: Task) -> None:
    info = client.enqueue(task, queue="q", process_in=30, unique=timedelta(hours=1))
    assert_type(info, TaskInfo)
    assert_type(info.id, str)
    assert_type(info.payload, bytes)
    assert_type(info.state, TaskState)
    assert_type(info.deadline, datetime | None)
    assert_type(info.timeout, timedelta | None)
    results = client.enqueue_many((Task(name) for name in "ab"), group=None)
    assert_type(results, list[EnqueueResult])
    for result in results:
        assert_type(result.ok, bool)
        assert_type(result.error, AsynqError | None)
    with client as same:
        assert_type(same, Client)


async def producing_async(client: AsyncClient, task: Task) -> None:
    assert_type(await client.enqueue(task, deadline=datetime.now(UTC)), TaskInfo)
    assert_type(await client.enqueue_many([task]), list[EnqueueResult])
    async with client as same:
        assert_type(same, AsyncClient)


def places() -> None:
    Client("redis://localhost")
    Client(RedisConfig.from_url("unix:///redis.sock"))
    Client(redis.Redis())
    AsyncClient(redis.asyncio.Redis(), max_payload_size=10)


def tasks(options: EnqueueOptions) -> None:
    task = Task("t", {"a": 1}, headers={"k": "v"}, codec=MSGPACK, **options)
    assert_type(task.payload, bytes | None)
    assert_type(task.headers, Mapping[str, str])


class Reversed:
    """A codec of a user's own."""

    def encode(self, value: object, /) -> bytes:
        return repr(value).encode()[::-1]

    def decode(self, data: bytes, /) -> Any:  # noqa: ANN401
        return data[::-1].decode()


def codecs() -> None:
    every: list[Codec] = [RAW, JSON, JSON_SORTED, MSGPACK, Reversed()]
    Task("t", 1, codec=every[0])


def scheduling(scheduler: Scheduler) -> None:
    assert_type(scheduler.register("@every 5s", Task("t"), name="n", timeout=5), str)
    assert_type(scheduler.entries(), list[Entry])
    assert_type(scheduler.entry("n").runs, tuple[Run, ...])
    assert_type(scheduler.is_running, bool)
    schedule = parse_schedule("@daily", "Europe/Berlin")
    assert_type(schedule, Schedule)
    assert_type(schedule.next(datetime.now(UTC)), datetime | None)
    assert_type(schedule.upcoming(datetime.now(UTC), 3), list[datetime])


def hooks() -> SchedulerConfig:
    def failed(task: Task, options: Mapping[str, object], error: Exception) -> None: ...

    def after(info: TaskInfo | None, error: Exception | None) -> None: ...

    return SchedulerConfig(
        error_handler=failed, post_enqueue=after, shutdown_timeout=timedelta(seconds=1)
    )


def errors(error: RejectedError) -> None:
    assert_type(error.written, bool | None)
    assert_type(error.code, str)
