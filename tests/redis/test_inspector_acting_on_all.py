"""Acting on all tasks of a state: in pieces, so that Redis serves others in between."""

from __future__ import annotations

import pytest
import redis

from asynq_py import ConfigError, Inspector
from asynq_py.broker.steering import CHUNK_TASKS
from tests.support.database import pending, task_hash, times_called
from tests.support.tasks import (
    BULK,
    MANY,
    PREFIX,
    QUEUE,
    TARGETS,
    bulk,
    group_of,
    hashes,
    ids,
    left_of,
    no_message,
    place,
    put,
    unchanged,
)


@bulk
def test_many_are_moved_in_chunks(
    inspector: Inspector, database: redis.Redis, call: str, state: str
) -> None:
    names = ids(MANY)
    put(database, state, *names)
    database.config_resetstat()
    told: list[int] = []

    moved = getattr(inspector, call)(QUEUE, state, group=group_of(state), progress=told.append)

    assert moved == MANY
    assert told == [CHUNK_TASKS, 2 * CHUNK_TASKS, MANY]
    # One script call for each chunk (and one that Redis did not know), one to trim the archive.
    calls = times_called(database, "evalsha") + times_called(database, "eval")
    assert calls <= (2 if call == "archive_all" else 1) * (len(told) + 1)
    target = TARGETS[call.removesuffix("_all")]
    assert left_of(database, state) == []
    assert hashes(database) == (set(names) if target else set())
    if target:
        assert left_of(database, target) == names
        assert {task_hash(database, QUEUE, name)["state"] for name in names[::97]} == {
            target.encode()
        }
    assert database.exists(f"{PREFIX}groups") == 0


def test_a_chunk_holds_redis_for_so_many_tasks_and_no_more(
    inspector: Inspector, database: redis.Redis
) -> None:
    put(database, "scheduled", *ids(MANY))
    sizes: list[int] = []

    inspector.delete_all(
        QUEUE,
        "scheduled",
        progress=lambda _: sizes.append(database.zcard(place("scheduled"))),
    )

    assert sizes == [MANY - CHUNK_TASKS, MANY - 2 * CHUNK_TASKS, 0]
    assert CHUNK_TASKS <= 500


@bulk
def test_what_is_gone_is_dropped_and_not_made_anew(
    inspector: Inspector, database: redis.Redis, call: str, state: str
) -> None:
    put(database, state, *ids(CHUNK_TASKS + 3))
    gone = ids(CHUNK_TASKS + 3)[::10]
    database.delete(*(f"{PREFIX}t:{name}" for name in gone))
    database.delete(f"{PREFIX}t:t00001")
    database.rpush(f"{PREFIX}t:t00001", "of another kind")

    moved = getattr(inspector, call)(QUEUE, state, group=group_of(state))

    whole = set(ids(CHUNK_TASKS + 3)) - {*gone, "t00001"}
    target = TARGETS[call.removesuffix("_all")]
    assert moved == len(whole) + (0 if target else 1)
    assert left_of(database, state) == []
    if target:
        assert set(left_of(database, target)) == whole
        assert hashes(database) == whole | {"t00001"}
    else:
        assert hashes(database) == set()


@pytest.mark.parametrize("state", BULK["run_all"])
def test_what_has_no_message_is_archived_where_all_are_run(
    inspector: Inspector, database: redis.Redis, state: str
) -> None:
    put(database, state, "a", "b", "c")
    no_message(database, f"{PREFIX}t:b")

    assert inspector.run_all(QUEUE, state, group=group_of(state)) == 2

    assert pending(database, QUEUE) == ["a", "c"]
    assert left_of(database, "archived") == ["b"]
    assert inspector.get_task(QUEUE, "b").damage == "its hash has no message"


@pytest.mark.parametrize(
    ("call", "state"),
    [
        ("run_all", "active"),
        ("run_all", "pending"),
        ("archive_all", "active"),
        ("archive_all", "archived"),
        ("delete_all", "active"),
    ],
)
def test_not_every_state_can_be_moved(
    inspector: Inspector, database: redis.Redis, call: str, state: str
) -> None:
    put(database, state, "a")

    with unchanged(database), pytest.raises(ConfigError, match=f"^{state} tasks cannot be"):
        getattr(inspector, call)(QUEUE, state)


def test_what_comes_meanwhile_is_not_waited_for(
    inspector: Inspector, database: redis.Redis
) -> None:
    put(database, "retry", *ids(CHUNK_TASKS + 1))

    def add(_: int) -> None:
        put(database, "retry", "late", start=10**6)

    assert inspector.delete_all(QUEUE, "retry", progress=add) == CHUNK_TASKS + 1
    assert left_of(database, "retry") == ["late"]
