"""Looking at queues and their tasks. That it agrees with Go is proven in interop/."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
import redis

from asynq_py import AsynqError, ConfigError, Inspector, QueueNotFoundError, Task, TaskState
from asynq_py.clock import NANOSECONDS, FixedClock
from asynq_py.testing.redis_server import RedisServer
from tests.support.database import times_called
from tests.support.tasks import NOW, NOW_S, PREFIX, QUEUE, group_of, ids, put, states


@states
def test_pages_follow_one_another(
    inspector: Inspector, database: redis.Redis, state: TaskState
) -> None:
    names = ids(10)
    put(database, state, *names)
    group = group_of(state)

    pages = [
        [task.id for task in inspector.list_tasks(QUEUE, state, group=group, page=page, size=4)]
        for page in (1, 2, 3, 4)
    ]

    assert pages == [names[:4], names[4:8], names[8:], []]
    assert len(inspector.list_tasks(QUEUE, str(state), group=group)) == 10


NAIVE = datetime(2030, 1, 1)  # noqa: DTZ001 - it is what is refused

WRONG: list[tuple[str, Callable[[Inspector], object]]] = [
    ("state must be one of", lambda i: i.list_tasks(QUEUE, "dancing")),
    ("state must be one of", lambda i: i.run_all(QUEUE, "")),
    ("state must be one of", lambda i: i.iter_tasks(QUEUE, "Pending")),
    ("state must be one of", lambda i: i.delete_all(QUEUE, None)),  # type: ignore[arg-type]
    ("page must be 1 or more", lambda i: i.list_tasks(QUEUE, "pending", page=0)),
    ("page must be 1 or more", lambda i: i.scheduler_history("e", page=-1)),
    ("page must be 1 or more", lambda i: i.list_tasks(QUEUE, "pending", page=True)),
    ("size must be 1 or more", lambda i: i.list_tasks(QUEUE, "pending", size=0)),
    ("size must be 1 or more", lambda i: i.list_tasks(QUEUE, "pending", size=1.5)),  # type: ignore[arg-type]
    ("group must be named", lambda i: i.list_tasks(QUEUE, "aggregating")),
    ("group must be named", lambda i: i.iter_tasks(QUEUE, "aggregating")),
    ("group must be named", lambda i: i.list_tasks(QUEUE, "pending", group="g")),
    ("group must be named", lambda i: i.delete_all(QUEUE, "aggregating")),
    ("group must", lambda i: i.archive_all(QUEUE, "aggregating", group=" ")),
    ("days must be 1 or more", lambda i: i.history(QUEUE, 0)),
    ("older_than must be an aware", lambda i: i.iter_tasks(QUEUE, "retry", older_than=NAIVE)),
    ("older_than must be an aware", lambda i: i.iter_tasks(QUEUE, "retry", older_than=9)),  # type: ignore[arg-type]
    ("type must be a str", lambda i: i.iter_tasks(QUEUE, "retry", type=Task("t"))),  # type: ignore[arg-type]
    ("error must be a str", lambda i: i.iter_tasks(QUEUE, "retry", error=b"x")),  # type: ignore[arg-type]
    ("queue must", lambda i: i.iter_tasks("", "retry")),
    ("payload must be bytes", lambda i: i.update_payload(QUEUE, "a", 3)),  # type: ignore[arg-type]
    ("payload must be bytes", lambda i: i.update_payload(QUEUE, "a", "x")),  # type: ignore[arg-type]
    ("queue must", lambda i: i.queue_info("")),
    ("queue must", lambda i: i.groups(" ")),
    ("queue is no valid Unicode", lambda i: i.list_tasks("\ud800", "pending")),
    ("queue must", lambda i: i.delete_queue("")),
    ("queue must", lambda i: i.pause_queue("")),
    ("queue must", lambda i: i.unpause_queue("")),
    ("queue must", lambda i: i.queue_keyslot("")),
    ("task_id must", lambda i: i.get_task(QUEUE, "")),
    ("task_id must", lambda i: i.run_task(QUEUE, "")),
    ("task_id must", lambda i: i.cancel_task(" ")),
    ("entry_id must", lambda i: i.scheduler_history("")),
]


@pytest.mark.parametrize(("told", "ask"), WRONG)
def test_what_can_never_work_is_refused_before_anything_is_sent(
    inspector: Inspector, database: redis.Redis, told: str, ask: Callable[[Inspector], object]
) -> None:
    database.config_resetstat()

    with pytest.raises(ConfigError, match=told):
        ask(inspector)

    assert sum(times_called(database, name) for name in ("sismember", "evalsha", "get")) == 0


def test_only_queues_that_exist_are_looked_at(inspector: Inspector) -> None:
    looks: list[Callable[[], object]] = [
        lambda: inspector.queue_info("nowhere"),
        lambda: inspector.history("nowhere"),
        lambda: inspector.list_tasks("nowhere", "pending"),
        lambda: list(inspector.iter_tasks("nowhere", "pending")),
        lambda: inspector.get_task("nowhere", "a"),
        lambda: inspector.run_all("nowhere", "retry"),
        lambda: inspector.update_payload("nowhere", "a", b""),
    ]
    for look in looks:
        with pytest.raises(QueueNotFoundError) as caught:
            look()
        assert caught.value.queue == "nowhere"
    assert inspector.queues() == []
    assert inspector.groups("nowhere") == []
    assert inspector.queue_sizes() == []
    assert inspector.queue_sizes(["nowhere"])[0].size == 0


def test_an_active_task_whose_lease_is_over_is_orphaned(
    inspect: Callable[..., Inspector], server: RedisServer, database: redis.Redis
) -> None:
    put(database, "active", "a", "b", "c")
    database.zadd(f"{PREFIX}lease", {"a": NOW_S - 1, "b": NOW_S + 1})
    inspector = inspect(server.url, clock=FixedClock(NOW_S * NANOSECONDS))

    tasks = inspector.list_tasks(QUEUE, "active")

    assert {task.id: task.is_orphaned for task in tasks} == {"a": True, "b": False, "c": False}


def test_history_and_latency_go_by_the_clock(
    inspect: Callable[..., Inspector], server: RedisServer, database: redis.Redis
) -> None:
    put(database, "pending", "a", "b")
    database.hset(f"{PREFIX}t:a", "pending_since", (NOW_S - 90) * NANOSECONDS)
    for days, processed, failed in ((0, 5, 1), (2, 7, 0)):
        day = (NOW - timedelta(days)).date()
        database.set(f"{PREFIX}processed:{day}", processed)
        database.set(f"{PREFIX}failed:{day}", failed)
    inspector = inspect(server.url, clock=FixedClock(NOW_S * NANOSECONDS))

    info = inspector.queue_info(QUEUE, memory=False)

    assert (info.latency, info.timestamp) == (timedelta(seconds=90), NOW)
    assert (info.processed, info.failed, info.memory_usage) == (5, 1, 0)
    assert [(day.processed, day.failed) for day in inspector.history(QUEUE, 3)] == [
        (5, 1),
        (0, 0),
        (7, 0),
    ]


def test_a_closed_inspector_says_so(inspect: Callable[..., Inspector], server: RedisServer) -> None:
    inspector = inspect(server.url)
    inspector.close()

    with pytest.raises(AsynqError):
        inspector.queues()
