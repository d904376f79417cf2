"""Giving a scheduled task another payload."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import redis

from asynq_py import Client, Inspector, Task, TaskState, TaskStateError, WireError
from asynq_py.broker.scripts import UPDATE_PAYLOAD
from asynq_py.broker.steering import update_payload
from asynq_py.testing.redis_server import RedisServer
from asynq_py.wire.message import decode
from tests.support.database import content, task_hash
from tests.support.tasks import (
    PREFIX,
    QUEUE,
    garbage,
    interrupted,
    message,
    no_message,
    put,
    states,
    unchanged,
    wrong_type,
)


def test_a_payload_is_replaced_and_nothing_else(
    inspector: Inspector, database: redis.Redis, server: RedisServer
) -> None:
    with Client(server.url) as client:
        client.enqueue(
            Task("t", b"old", headers={"h": "v"}),
            queue=QUEUE,
            task_id="a",
            process_in=3600,
            unique=60,
        )
    before = content(database)
    old = decode(before[f"{PREFIX}t:a"].pop(b"msg"))

    inspector.update_payload(QUEUE, "a", bytearray(b"new"))

    after = content(database)
    new = decode(after[f"{PREFIX}t:a"].pop(b"msg"))
    assert after == before
    assert new.payload == b"new"
    new.payload = old.payload
    assert new == old


@states
def test_only_a_scheduled_task_gets_another_payload(
    inspector: Inspector, database: redis.Redis, state: TaskState
) -> None:
    put(database, state, "a")
    if state == "scheduled":
        inspector.update_payload(QUEUE, "a", b"")
        assert inspector.get_task(QUEUE, "a").payload == b""
        return

    with unchanged(database), pytest.raises(TaskStateError, match="not scheduled"):
        inspector.update_payload(QUEUE, "a", b"")


@pytest.mark.parametrize(
    ("told", "change"),
    [
        ("somebody else", {"msg": message("a", payload=b"theirs")}),
        ("not scheduled", {"state": "pending"}),
    ],
)
def test_what_somebody_else_changed_meanwhile_stays(
    server: RedisServer, database: redis.Redis, told: str, change: dict[str, str | bytes]
) -> None:
    put(database, "scheduled", "a")

    def change_it() -> None:
        database.hset(f"{PREFIX}t:a", mapping=change)  # type: ignore[arg-type]

    op = update_payload(QUEUE, "a", b"mine")
    with pytest.raises(TaskStateError, match=told):
        interrupted(server.url, op, UPDATE_PAYLOAD, change_it)

    found = task_hash(database, QUEUE, "a")
    assert found["msg"] == change.get("msg", message("a"))
    assert found["state"].decode() == change.get("state", "scheduled")


@pytest.mark.parametrize("damage", [no_message, garbage, wrong_type])
def test_a_damaged_task_gets_no_other_payload(
    inspector: Inspector, database: redis.Redis, damage: Callable[[redis.Redis, str], None]
) -> None:
    put(database, "scheduled", "a")
    damage(database, f"{PREFIX}t:a")

    with unchanged(database), pytest.raises((TaskStateError, WireError)):
        inspector.update_payload(QUEUE, "a", b"new")
