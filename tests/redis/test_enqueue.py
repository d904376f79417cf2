"""What each producing operation leaves in Redis, key by key (asynq's operations A1 to A6)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis

from asynq_py import ConfigError, DuplicateTaskError, RejectedError, Task, TaskIDConflictError
from asynq_py.clock import NANOSECONDS, FixedClock
from asynq_py.testing.redis_server import RedisServer
from asynq_py.wire.message import decode
from tests.support.database import content, dump, pending, task_hash
from tests.support.worlds import Producer

NOW_S = 1_900_000_000
NOW = NOW_S * NANOSECONDS + 500_000_000
LOCK = "asynq:{default}:unique:t:d41d8cd98f00b204e9800998ecf8427e"


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(NOW)


@pytest.fixture
def client(server: RedisServer, connect: Callable[..., Producer], clock: FixedClock) -> Producer:
    """A client whose clock stands still."""
    return connect(server.url, clock=clock)


def test_a_pending_task_is_a_hash_and_a_place_in_the_list(
    client: Producer, database: redis.Redis
) -> None:
    info = client.enqueue(Task("email", b"p", headers={"h": "v"}), task_id="a", queue="q")

    stored = content(database)
    data = stored["asynq:{q}:t:a"].pop(b"msg")
    assert stored == {
        "asynq:queues": {b"q"},
        "asynq:{q}:pending": [b"a"],
        "asynq:{q}:t:a": {b"state": b"pending", b"pending_since": str(NOW).encode()},
    }
    message = decode(data)
    assert (message.id, message.type, message.payload, message.queue) == ("a", "email", b"p", "q")
    assert (message.retry, message.timeout, dict(message.headers)) == (25, 1800, {"h": "v"})
    assert info.next_process_at == datetime.fromtimestamp(NOW_S, UTC) + timedelta(seconds=0.5)


def test_the_newest_task_stands_on_the_left(client: Producer, database: redis.Redis) -> None:
    for task_id in "abc":
        client.enqueue(Task("t"), task_id=task_id)

    assert database.lrange("asynq:{default}:pending", 0, -1) == [b"c", b"b", b"a"]


def test_a_unique_task_holds_a_lock_for_its_time(client: Producer, database: redis.Redis) -> None:
    client.enqueue(Task("t"), task_id="a", unique=1000)

    assert dump(database)[LOCK] == {"type": "string", "value": b"a", "ttl": 1000}
    fields = task_hash(database, "default", "a")
    assert fields["unique_key"] == LOCK.encode()
    assert decode(fields["msg"]).unique_key == LOCK
    assert fields["state"] == b"pending"


def test_a_scheduled_task_waits_by_its_second(client: Producer, database: redis.Redis) -> None:
    info = client.enqueue(Task("t"), task_id="a", process_in=60)

    stored = content(database)
    assert stored["asynq:{default}:t:a"].keys() == {b"msg", b"state"}
    assert stored["asynq:{default}:t:a"][b"state"] == b"scheduled"
    assert stored["asynq:{default}:scheduled"] == [(b"a", NOW_S + 61)]
    assert stored.keys() == {"asynq:queues", "asynq:{default}:scheduled", "asynq:{default}:t:a"}
    assert info.next_process_at == datetime.fromtimestamp(NOW_S + 61, UTC)


def test_a_scheduled_unique_task_holds_its_lock_until_after_it_is_due(
    client: Producer, database: redis.Redis
) -> None:
    client.enqueue(Task("t"), task_id="a", process_in=1000, unique=500)

    assert dump(database)[LOCK] == {"type": "string", "value": b"a", "ttl": 1500}
    assert task_hash(database, "default", "a")["unique_key"] == LOCK.encode()


def test_a_grouped_task_waits_in_its_group(client: Producer, database: redis.Redis) -> None:
    info = client.enqueue(Task("t"), task_id="a", group="g:1")

    stored = content(database)
    fields = stored["asynq:{default}:t:a"]
    assert fields.keys() == {b"msg", b"state", b"group"}
    assert (fields[b"state"], fields[b"group"]) == (b"aggregating", b"g:1")
    assert stored["asynq:{default}:groups"] == {b"g:1"}
    assert stored["asynq:{default}:g:g:1"] == [(b"a", NOW_S)]
    assert "asynq:{default}:pending" not in stored
    assert info.next_process_at is None


def test_a_grouped_unique_task_holds_a_lock_that_its_hash_does_not_name(
    client: Producer, database: redis.Redis
) -> None:
    client.enqueue(Task("t"), task_id="a", group="g", unique=1000)

    assert dump(database)[LOCK] == {"type": "string", "value": b"a", "ttl": 1000}
    assert task_hash(database, "default", "a").keys() == {"msg", "state", "group"}
    assert decode(task_hash(database, "default", "a")["msg"]).unique_key == LOCK


def test_a_grouped_task_of_the_future_is_scheduled_without_its_group(
    client: Producer, database: redis.Redis
) -> None:
    client.enqueue(Task("t"), task_id="a", group="g", process_in=60)

    stored = content(database)
    assert stored["asynq:{default}:scheduled"] == [(b"a", NOW_S + 61)]
    assert stored["asynq:{default}:t:a"].keys() == {b"msg", b"state"}
    assert decode(stored["asynq:{default}:t:a"][b"msg"]).group_key == "g"
    assert "asynq:{default}:groups" not in stored


@pytest.mark.parametrize(
    "first", [{}, {"process_in": 60}, {"group": "g"}], ids=["pending", "scheduled", "group"]
)
@pytest.mark.parametrize(
    "second",
    [
        {"unique": 1000},
        {"unique": 1000, "process_in": 60},
        {"unique": 1000, "group": "h"},
        {},
        {"process_in": 60},
        {"group": "h"},
    ],
    ids=lambda options: "+".join(options) or "plain",
)
def test_a_taken_id_leaves_nothing_behind_and_no_lock_either(
    client: Producer, database: redis.Redis, first: dict[str, Any], second: dict[str, Any]
) -> None:
    client.enqueue(Task("t", b"1"), task_id="a", **first)
    before = dump(database)

    with pytest.raises(TaskIDConflictError) as caught:
        client.enqueue(Task("t"), task_id="a", **second)

    assert (caught.value.task_id, caught.value.written) == ("a", False)
    assert dump(database) == before


@pytest.mark.parametrize("state", ["active", "retry", "archived", "completed"])
def test_an_id_is_taken_by_a_task_in_any_state(
    client: Producer, database: redis.Redis, state: str
) -> None:
    database.hset("asynq:{default}:t:a", mapping={"msg": b"", "state": state})

    with pytest.raises(TaskIDConflictError):
        client.enqueue(Task("t"), task_id="a")


def test_one_id_may_be_used_in_two_queues(client: Producer, database: redis.Redis) -> None:
    client.enqueue(Task("t"), task_id="a", queue="q1")
    client.enqueue(Task("t"), task_id="a", queue="q2")

    assert (pending(database, "q1"), pending(database, "q2")) == (["a"], ["a"])


@pytest.mark.parametrize(
    "second", [{}, {"process_in": 60}, {"group": "g"}], ids=["pending", "scheduled", "group"]
)
def test_a_duplicate_leaves_nothing_behind_and_the_lock_as_it_was(
    client: Producer, database: redis.Redis, second: dict[str, Any]
) -> None:
    client.enqueue(Task("t"), task_id="a", unique=1000)
    before = dump(database)

    with pytest.raises(DuplicateTaskError) as caught:
        client.enqueue(Task("t"), task_id="b", unique=9000, **second)

    assert (caught.value.task_id, caught.value.queue) == ("b", "default")
    assert dump(database) == before


@pytest.mark.parametrize(
    "other",
    [
        {"task": Task("u")},
        {"task": Task("t", b"x")},
        {"task": Task("t", None)},
        {"task": Task("t"), "queue": "other"},
    ],
    ids=["type", "payload", "no-payload", "queue"],
)
def test_a_lock_is_only_for_the_same_queue_type_and_payload(
    client: Producer, other: dict[str, Any]
) -> None:
    client.enqueue(Task("t"), unique=1000)

    client.enqueue(unique=1000, **other)


def test_a_task_without_a_lock_does_not_mind_one(client: Producer, database: redis.Redis) -> None:
    client.enqueue(Task("t"), task_id="a", unique=1000)
    client.enqueue(Task("t"), task_id="b")

    assert pending(database) == ["a", "b"]
    assert database.get(LOCK) == b"a"


def test_a_lock_taken_and_an_id_taken_is_a_duplicate(client: Producer) -> None:
    client.enqueue(Task("t"), task_id="a", unique=1000)

    with pytest.raises(DuplicateTaskError):
        client.enqueue(Task("t"), task_id="a", unique=1000)


@pytest.mark.parametrize(
    ("options", "broken"),
    [
        ({}, "asynq:{default}:pending"),
        ({"process_in": 60}, "asynq:{default}:scheduled"),
        ({"group": "g"}, "asynq:{default}:groups"),
        ({"group": "g"}, "asynq:{default}:g:g"),
    ],
)
def test_a_key_of_a_wrong_type_refuses_the_task_and_no_lock_or_hash_stays(
    client: Producer, database: redis.Redis, options: dict[str, Any], broken: str
) -> None:
    database.set(broken, "a string")

    with pytest.raises(RejectedError, match="WRONGTYPE") as caught:
        client.enqueue(Task("t"), task_id="a", unique=1000, **options)

    assert (caught.value.code, caught.value.written) == ("WRONGTYPE", False)
    assert content(database) == {"asynq:queues": {b"default"}, broken: b"a string"}


def test_a_group_that_refuses_is_not_listed(client: Producer, database: redis.Redis) -> None:
    database.set("asynq:{default}:g:g", "a string")

    with pytest.raises(RejectedError):
        client.enqueue(Task("t"), group="g")

    assert database.smembers("asynq:{default}:groups") == set()


def test_a_removed_queue_is_listed_again_after_the_refresh(
    client: Producer, database: redis.Redis, clock: FixedClock
) -> None:
    client.enqueue(Task("t"))
    database.delete("asynq:queues")

    client.enqueue(Task("t"))
    assert database.smembers("asynq:queues") == set()
    clock.advance(30)
    client.enqueue(Task("t"))

    assert database.smembers("asynq:queues") == {b"default"}


def test_a_queue_is_listed_even_if_its_first_task_is_refused(
    client: Producer, database: redis.Redis
) -> None:
    database.hset("asynq:{q}:t:a", "state", "archived")

    with pytest.raises(TaskIDConflictError):
        client.enqueue(Task("t"), task_id="a", queue="q")

    assert database.smembers("asynq:queues") == {b"q"}


@pytest.mark.parametrize("text", ["a b", "ü:日本", "{x}", "a}b", "\0\n\r", "}", "*", "'\"\\"])
def test_names_are_stored_verbatim(client: Producer, database: redis.Redis, text: str) -> None:
    client.enqueue(Task(text), queue=text, task_id=text)
    client.enqueue(Task(text), queue=text, group=text)

    assert database.smembers("asynq:queues") == {text.encode()}
    assert pending(database, text) == [text]
    assert decode(task_hash(database, text, text)["msg"]).type == text
    assert database.smembers(f"asynq:{{{text}}}:groups") == {text.encode()}


def test_a_payload_of_more_than_a_megabyte_is_stored_whole(
    client: Producer, database: redis.Redis
) -> None:
    payload = bytes(range(256)) * 8192

    client.enqueue(Task("t", payload), task_id="a")

    assert decode(task_hash(database, "default", "a")["msg"]).payload == payload


def test_a_payload_beyond_the_limit_is_refused_before_anything_is_sent(
    server: RedisServer, connect: Callable[..., Producer], database: redis.Redis
) -> None:
    client = connect(server.url, max_payload_size=10)

    with pytest.raises(ConfigError, match="11 bytes"):
        client.enqueue(Task("t", bytes(11)))
    results = client.enqueue_many([Task("t", bytes(11)), Task("t", bytes(10))])

    assert [result.ok for result in results] == [False, True]
    assert isinstance(results[0].error, ConfigError)
    assert database.llen("asynq:{default}:pending") == 1


def test_a_bad_option_is_refused_before_anything_is_sent(
    client: Producer, database: redis.Redis
) -> None:
    with pytest.raises(ConfigError):
        client.enqueue(Task("t"), max_retry=-1)
    with pytest.raises(ConfigError):
        client.enqueue_many([Task("t")], unique=0)

    assert content(database) == {}


def test_ping_answers_and_a_closed_client_refuses(client: Producer) -> None:
    client.ping()
    client.close()

    for use in (client.ping, lambda: client.enqueue(Task("t"))):
        with pytest.raises(ConfigError, match="closed"):
            use()
