"""Acting on one task: strict, and all or nothing. That it agrees with Go is proven in interop/."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import redis

from asynq_py import (
    Inspector,
    QueueNotFoundError,
    RejectedError,
    TaskNotFoundError,
    TaskState,
    TaskStateError,
)
from asynq_py.broker.scripts import MOVE_TASKS
from asynq_py.broker.steering import ARCHIVE, DELETE, move_task
from asynq_py.testing.redis_server import RedisServer
from tests.support.database import content, task_hash
from tests.support.tasks import (
    NOW_S,
    PREFIX,
    QUEUE,
    TARGETS,
    group_of,
    hashes,
    interrupted,
    left_of,
    no_message,
    place,
    put,
    states,
    unchanged,
    wrong_type,
)


@pytest.mark.parametrize("call", ["run", "archive", "delete"])
@states
def test_a_task_is_moved_from_where_it_may_be(
    inspector: Inspector, database: redis.Redis, call: str, state: TaskState
) -> None:
    put(database, state, "a")
    act = getattr(inspector, f"{call}_task")
    if state == "active" or state == TARGETS[call]:
        with unchanged(database), pytest.raises(TaskStateError) as caught:
            act(QUEUE, "a")
        assert (caught.value.queue, caught.value.task_id) == (QUEUE, "a")
        assert caught.value.written is False
        return

    act(QUEUE, "a")

    target = TARGETS[call]
    assert hashes(database) == ({"a"} if target else set())
    assert left_of(database, state) == []
    if target:
        assert left_of(database, target) == ["a"]
        assert task_hash(database, QUEUE, "a")["state"] == target.encode()
        assert inspector.get_task(QUEUE, "a").state == target
    assert database.smembers(f"{PREFIX}groups") == set()


ACTS = ("run_task", "archive_task", "delete_task")


@pytest.mark.parametrize("call", ACTS)
def test_acting_on_nothing_changes_nothing(
    inspector: Inspector, database: redis.Redis, call: str
) -> None:
    put(database, "scheduled", "a", "gone")
    database.delete(f"{PREFIX}t:gone")

    with unchanged(database):
        for task_id in ("nobody", "gone"):
            with pytest.raises(TaskNotFoundError):
                getattr(inspector, call)(QUEUE, task_id)
            with pytest.raises(TaskNotFoundError):
                inspector.update_payload(QUEUE, task_id, b"")
        with pytest.raises(QueueNotFoundError):
            getattr(inspector, call)("nowhere", "a")


@pytest.mark.parametrize("call", ACTS)
@pytest.mark.parametrize(
    "damage",
    [
        lambda database: database.hset(f"{PREFIX}t:b", "state", "dancing"),
        lambda database: database.hdel(f"{PREFIX}t:b", "state"),
        lambda database: database.hset(f"{PREFIX}t:b", "state", "retry"),
        lambda database: database.hset(f"{PREFIX}t:b", "state", "aggregating"),
        lambda database: database.hset(
            f"{PREFIX}t:b", mapping={"state": "aggregating", "group": "h"}
        ),
        lambda database: wrong_type(database, f"{PREFIX}t:b"),
        lambda database: database.zrem(place("scheduled"), "b"),
    ],
)
def test_acting_on_damage_changes_nothing(
    inspector: Inspector,
    database: redis.Redis,
    call: str,
    damage: Callable[[redis.Redis], object],
) -> None:
    put(database, "scheduled", "a", "b")
    damage(database)

    with unchanged(database), pytest.raises(TaskStateError, match="doctor"):
        getattr(inspector, call)(QUEUE, "b")


def test_a_task_without_a_message_is_not_run_but_can_be_archived_and_deleted(
    inspector: Inspector, database: redis.Redis
) -> None:
    put(database, "scheduled", "a")
    no_message(database, f"{PREFIX}t:a")

    with unchanged(database), pytest.raises(TaskStateError, match="no message"):
        inspector.run_task(QUEUE, "a")

    inspector.archive_task(QUEUE, "a")
    assert left_of(database, "archived") == ["a"]
    inspector.delete_task(QUEUE, "a")
    assert content(database) == {"asynq:queues": {QUEUE.encode()}}


@pytest.mark.parametrize(
    ("call", "state", "key"),
    [
        ("run", "scheduled", "pending"),
        ("archive", "scheduled", "archived"),
        ("archive", "pending", "archived"),
        ("run", "aggregating", "groups"),
        ("run", "aggregating", "pending"),
    ],
)
def test_a_key_of_a_wrong_type_loses_no_task(
    inspector: Inspector, database: redis.Redis, call: str, state: str, key: str
) -> None:
    put(database, state, "a", "b")
    database.delete(PREFIX + key)
    database.set(PREFIX + key, "x")

    with unchanged(database):
        with pytest.raises(RejectedError):
            getattr(inspector, f"{call}_task")(QUEUE, "a")
        with pytest.raises(RejectedError):
            getattr(inspector, f"{call}_all")(QUEUE, state, group=group_of(state))


def test_cancelling_tells_all_workers(inspector: Inspector, database: redis.Redis) -> None:
    with database.pubsub(ignore_subscribe_messages=True) as heard:
        heard.subscribe("asynq:cancel")
        heard.get_message(timeout=10)

        inspector.cancel_task("some-id")

        told = heard.get_message(timeout=10)
    assert told is not None
    assert told["data"] == b"some-id"


def test_a_task_that_moved_on_meanwhile_is_looked_for_again(
    server: RedisServer, database: redis.Redis
) -> None:
    put(database, "scheduled", "a")

    def move_on() -> None:
        if database.zrem(place("scheduled"), "a"):
            put(database, "aggregating", "a")

    interrupted(server.url, move_task(QUEUE, "a", ARCHIVE, NOW_S), MOVE_TASKS, move_on)

    assert left_of(database, "archived") == ["a"]
    assert database.exists(place("aggregating"), f"{PREFIX}groups") == 0


def test_a_task_that_a_worker_takes_meanwhile_is_left_to_it(
    server: RedisServer, database: redis.Redis
) -> None:
    put(database, "pending", "a")

    def take() -> None:
        database.rpoplpush(place("pending"), place("active"))
        database.hset(f"{PREFIX}t:a", "state", "active")

    with pytest.raises(TaskStateError, match="it is active"):
        interrupted(server.url, move_task(QUEUE, "a", DELETE, NOW_S), MOVE_TASKS, take)

    assert left_of(database, "active") == ["a"]
    assert hashes(database) == {"a"}
