"""Pausing, resuming and triggering through Redis: what is written, and how it is read."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

import pytest
import redis

from asynq_py import RejectedError, WireError
from asynq_py.broker.control import (
    FIRST_ID,
    RESIGNED,
    STREAM_SIZE,
    UNKNOWN,
    Request,
    announce,
    pause,
    read_paused,
    read_requests,
    resume,
    server_ms,
    trigger,
)
from asynq_py.broker.op import Op
from asynq_py.connection.sync import Connection
from asynq_py.testing.redis_server import RedisServer
from tests.conftest import Cluster
from tests.support.scripted import replay

T = TypeVar("T")
Run = Callable[[Op[T]], T]
NOW_NS = 1_700_000_000_900_000_000
PAUSED = "asynq:py:paused"
CONTROL = "asynq:py:control"


@pytest.fixture(params=["server", "cluster"])
def run(
    request: pytest.FixtureRequest, server: RedisServer, cluster: Cluster
) -> Iterator[Run[object]]:
    """Runs operations on an emptied server, or on a cluster."""
    connection = Connection((server if request.param == "server" else cluster).url)
    yield connection.run
    connection.close()


def requests(run: Run[list[Request]]) -> list[tuple[str, str, str | None]]:
    """All requests there are, without their IDs."""
    return [request[1:] for request in run(read_requests(FIRST_ID, None))]


def test_a_paused_entry_stands_in_the_hash_and_is_told_in_the_stream(
    server: RedisServer, database: redis.Redis
) -> None:
    connection = Connection(server.url)
    connection.run(pause("daily", None, NOW_NS))
    connection.run(pause("daily", "billing", NOW_NS))
    connection.close()

    assert database.hgetall(PAUSED) == {b"daily": b"1700000000", b"billing/daily": b"1700000000"}
    assert [fields for _, fields in database.xrange(CONTROL)] == [
        {b"action": b"pause", b"entry": b"daily", b"group": b""},
        {b"action": b"pause", b"entry": b"daily", b"group": b"billing"},
    ]


def test_the_hash_is_written_before_the_message() -> None:
    for op in (pause("e", None, NOW_NS), resume("e", None)):
        assert replay(op, [[1, b"1-0"]]).words[0][0] in ("HSET", "HDEL")
        assert len(replay(pause("e", None, NOW_NS), [[1, b"1-0"]]).words) == 1


def test_what_is_paused_is_read_until_it_is_resumed(run: Run[object]) -> None:
    assert run(read_paused()) == set()

    assert run(pause("daily", None, NOW_NS)) is True
    assert run(pause("täglich", "g", NOW_NS)) is True
    assert run(pause("daily", None, NOW_NS + 1)) is False
    assert run(read_paused()) == {"daily", "g/täglich"}

    assert run(resume("täglich", None)) is False
    assert run(resume("täglich", "g")) is True
    assert run(read_paused()) == {"daily"}


def test_requests_are_read_in_order_and_from_where_one_left_off(run: Run[object]) -> None:
    assert run(read_requests(FIRST_ID, None)) == []

    run(pause("a", None, NOW_NS))
    before = run(server_ms())
    first = run(trigger("b", "g"))
    assert before <= int(str(first).split("-")[0]) <= run(server_ms())
    run(resume("a", None))
    run(announce(RESIGNED, "", "g"))

    assert requests(run) == [  # type: ignore[arg-type]
        ("pause", "a", None),
        ("trigger", "b", "g"),
        ("resume", "a", None),
        ("resigned", "", "g"),
    ]
    assert isinstance(first, str)
    later = run(read_requests(first, None))
    assert isinstance(later, list)
    assert [request.action for request in later] == ["resume", "resigned"]
    assert run(read_requests(later[-1].id, None)) == []


def test_nothing_new_within_the_wait_is_an_empty_list(run: Run[object]) -> None:
    assert run(read_requests(FIRST_ID, 20)) == []


def test_who_waits_is_woken_by_a_request(run: Run[object]) -> None:
    heard: list[object] = []
    waiter = threading.Thread(target=lambda: heard.append(run(read_requests(FIRST_ID, 4_000))))
    waiter.start()
    made = run(trigger("a", None))
    waiter.join(10)

    assert heard == [[Request(str(made), "trigger", "a", None)]]


@pytest.mark.parametrize(
    "fields",
    [
        {"action": "dance", "entry": "a"},
        {"action": "pause"},
        {"entry": "a"},
        {"action": b"\xff", "entry": "a"},
        {"action": "pause", "entry": b"\xff"},
    ],
)
def test_a_message_that_is_not_understood_is_unknown_and_can_be_passed(
    fields: dict[str, str | bytes], database: redis.Redis, server: RedisServer
) -> None:
    connection = Connection(server.url)
    strange = database.xadd(CONTROL, fields)  # type: ignore[arg-type]
    known = connection.run(trigger("a", None))

    found = connection.run(read_requests(FIRST_ID, None))

    assert found == [
        Request(strange.decode(), UNKNOWN, "", None),
        Request(known, "trigger", "a", None),
    ]
    connection.close()


def test_the_stream_stays_short(server: RedisServer, database: redis.Redis) -> None:
    connection = Connection(server.url)
    for _ in range(STREAM_SIZE + 500):
        connection.run(trigger("a", None))
    connection.close()

    # "~" lets Redis keep up to one node of its tree more: 100 messages by default.
    assert STREAM_SIZE <= database.xlen(CONTROL) <= STREAM_SIZE + 100


def test_a_refusal_is_raised(server: RedisServer, database: redis.Redis) -> None:
    connection = Connection(server.url)
    database.set(PAUSED, "not a hash")

    for op in (pause("a", None, NOW_NS), resume("a", None), read_paused()):
        with pytest.raises(RejectedError, match="WRONGTYPE"):
            connection.run(op)
    connection.close()


def test_a_message_that_is_refused_is_told_though_the_hash_was_written(
    server: RedisServer, database: redis.Redis
) -> None:
    connection = Connection(server.url)
    database.set(CONTROL, "not a stream")

    for op in (pause("a", None, NOW_NS), resume("a", None), trigger("a", None)):
        with pytest.raises(RejectedError, match="WRONGTYPE"):
            connection.run(op)
    connection.close()


@pytest.mark.parametrize("op", [trigger("a", None), server_ms(), read_requests("0", None)])
def test_a_reply_that_makes_no_sense_is_an_error_of_ours(op: Op[object]) -> None:
    assert isinstance(replay(op, [[7]]).error, WireError)
