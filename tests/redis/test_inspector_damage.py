"""Lenient reading: what is damaged is shown as damaged, and breaks nothing else."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
import redis

from asynq_py import Inspector, TaskNotFoundError, TaskState
from tests.support.tasks import (
    GROUP,
    LISTS,
    NOW_S,
    PREFIX,
    QUEUE,
    STATES,
    garbage,
    group_of,
    message,
    no_hash,
    no_message,
    place,
    put,
    states,
    unchanged,
    wrong_type,
)

#: How a task is damaged, and what is said of it in a listing.
DAMAGES: list[tuple[Callable[[redis.Redis, str], None], str]] = [
    (no_hash, "it has no hash"),
    (no_message, "its hash has no message"),
    (garbage, "no task message: "),
    (wrong_type, "it has no hash"),
]
damages = pytest.mark.parametrize(("damage", "told"), DAMAGES)


@states
@damages
def test_a_damaged_task_is_listed_as_damaged_between_the_others(
    inspector: Inspector,
    database: redis.Redis,
    state: TaskState,
    damage: Callable[[redis.Redis, str], None],
    told: str,
) -> None:
    put(database, state, "a", "b", "c")
    damage(database, f"{PREFIX}t:b")

    with unchanged(database):
        found = inspector.list_tasks(QUEUE, state, group=group_of(state))
        again = list(inspector.iter_tasks(QUEUE, state, group=group_of(state)))

    assert [(task.id, task.state, task.queue) for task in found] == [
        (task_id, state, QUEUE) for task_id in "abc"
    ]
    assert [task.damage == "" for task in found] == [True, False, True]
    assert found[1].damage.startswith(told)
    assert (found[0].type, found[2].payload) == ("t", b"p")
    assert [task.id for task in again] == ["a", "b", "c"]
    assert again[1].damage == found[1].damage


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (no_message, "its hash has no message"),
        (garbage, "no task message: "),
        (wrong_type, "it has no hash"),
        (lambda database, key: database.hset(key, "state", "dancing"), "its state is b'dancing'"),
        (lambda database, key: database.hset(key, "state", b"\xff"), "its state is b'\\xff'"),
        (lambda database, key: database.hdel(key, "state"), "it has no hash with a state"),
    ],
)
def test_a_damaged_task_is_shown_as_damaged(
    inspector: Inspector,
    database: redis.Redis,
    damage: Callable[[redis.Redis, str], None],
    told: str,
) -> None:
    put(database, "scheduled", "a", "b")
    damage(database, f"{PREFIX}t:b")

    with unchanged(database):
        assert inspector.get_task(QUEUE, "a").damage == ""
        shown = inspector.get_task(QUEUE, "b")

    assert (shown.id, shown.queue) == ("b", QUEUE)
    assert shown.damage.startswith(told)


def test_a_task_without_a_hash_is_not_there(inspector: Inspector, database: redis.Redis) -> None:
    put(database, "scheduled", "a")
    database.delete(f"{PREFIX}t:a")

    with pytest.raises(TaskNotFoundError) as caught:
        inspector.get_task(QUEUE, "a")

    assert (caught.value.queue, caught.value.task_id) == (QUEUE, "a")


@states
def test_an_id_that_is_no_text_breaks_no_listing(
    inspector: Inspector, database: redis.Redis, state: TaskState
) -> None:
    put(database, state, "a")
    if state in LISTS:
        database.lpush(place(state), b"\xff\xfe")
    else:
        database.zadd(place(state), {b"\xff\xfe": NOW_S + 1})

    found = inspector.list_tasks(QUEUE, state, group=group_of(state))

    assert [(task.id, task.damage) for task in found] == [
        ("a", ""),
        ("\\xff\\xfe", "it has no hash"),
    ]


@pytest.mark.parametrize("score", ["+inf", "-inf", "1e300"])
def test_a_moment_beyond_all_calendars_breaks_no_listing(
    inspector: Inspector, database: redis.Redis, score: str
) -> None:
    put(database, "scheduled", "a")
    database.execute_command("ZADD", place("scheduled"), score, "a")
    database.hset(f"{PREFIX}t:a", "msg", message("a", deadline=2**62, last_failed_at=2**62))

    (listed,) = inspector.list_tasks(QUEUE, "scheduled")

    for task in (listed, inspector.get_task(QUEUE, "a")):
        assert task.damage == ""
        assert task.next_process_at is None or task.next_process_at.year == 9999
        assert task.deadline is not None
        assert task.deadline.year == 9999


def test_a_group_whose_name_is_no_text_breaks_no_listing(
    inspector: Inspector, database: redis.Redis
) -> None:
    put(database, "aggregating", "a")
    database.sadd(f"{PREFIX}groups", b"\xff")
    database.zadd(f"{PREFIX}g:".encode() + b"\xff", {"b": 1})

    assert [(group.group, group.size) for group in inspector.groups(QUEUE)] == [
        (GROUP, 1),
        ("\\xff", 1),
    ]


@pytest.mark.parametrize("damage", [no_hash, wrong_type])
def test_damage_breaks_no_look_at_a_queue(
    inspector: Inspector, database: redis.Redis, damage: Callable[[redis.Redis, str], None]
) -> None:
    for state in STATES:
        put(database, state, f"{state}-1", f"{state}-2")
        damage(database, f"{PREFIX}t:{state}-1")
    database.set(f"{PREFIX}processed", "many")

    info = inspector.queue_info(QUEUE)

    assert {state: getattr(info, state) for state in STATES} == dict.fromkeys(STATES, 2)
    assert (info.size, info.groups, info.latency) == (14, 1, timedelta())
    assert info.memory_usage > 0
    (sizes,) = inspector.queue_sizes()
    assert (sizes.size, sizes.groups, sizes.processed_total) == (12, 1, 0)


def test_since_when_a_task_waits_may_be_no_number(
    inspector: Inspector, database: redis.Redis
) -> None:
    put(database, "pending", "a")
    database.hset(f"{PREFIX}t:a", "pending_since", "long")

    assert inspector.queue_info(QUEUE).latency == timedelta()


def test_servers_and_schedulers_that_cannot_be_read_are_left_out(
    inspector: Inspector, database: redis.Redis
) -> None:
    forever = {"asynq:x": 2**40, b"asynq:\xff": 2**40, "asynq:gone": 2**40}
    for listed in ("asynq:servers", "asynq:workers", "asynq:schedulers"):
        database.zadd(listed, forever if listed != "asynq:schedulers" else {"asynq:y": 2**40})
    database.set("asynq:x", b"\xff\xff")
    database.rpush("asynq:y", b"\xff\xff")
    database.zadd("asynq:workers", {"asynq:z": 2**40})
    database.zrem("asynq:workers", "asynq:x")
    database.hset("asynq:z", "t", b"\xff\xff")

    assert inspector.servers() == []
    assert inspector.scheduler_entries() == []
