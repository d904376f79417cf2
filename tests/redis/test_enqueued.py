"""Assertions on what is enqueued, and what they say when they fail."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from asynq_py import MSGPACK, Client, ConfigError, Inspector, Task
from asynq_py.testing import (
    RedisServer,
    VirtualClock,
    assert_enqueued,
    assert_not_enqueued,
    drain,
    enqueued,
)

START = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.fixture
def client(server: RedisServer) -> Iterator[Client]:
    with Client(server.url, clock=VirtualClock(START)) as client:
        yield client


@pytest.fixture
def mails(server: RedisServer, client: Client) -> RedisServer:
    """A server with some mails."""
    for number in (1, 2):
        task = Task("email:welcome", {"user_id": number}, headers={"lang": "de", "n": "1"})
        client.enqueue(task, task_id=f"w{number}", max_retry=5)
    client.enqueue(Task("email:bill", b"\xff"), queue="low", process_in=3600, task_id="b")
    return server


def test_all_that_waits_is_shown_in_its_order(server: RedisServer, client: Client) -> None:
    assert enqueued(server) == []
    clock = VirtualClock(START)

    def fail(context: object, task: Task) -> None:
        raise ValueError

    client.enqueue(Task("kept"), retention=60)
    drain(lambda context, task: None, server, clock=clock)
    client.enqueue(Task("fails"))
    drain(fail, server, clock=clock)
    client.enqueue(Task("grouped"), group="g")
    client.enqueue(Task("later"), process_in=20)
    client.enqueue(Task("soon"), process_in=10)
    client.enqueue(Task("first"))
    client.enqueue(Task("second"))
    client.enqueue(Task("other"), queue="another")

    found = [task.type for task in enqueued(server)]

    assert found == ["other", "first", "second", "soon", "later", "fails", "grouped"]
    assert [task.type for task in enqueued(server, "*er")] == ["other", "later"]
    assert [task.type for task in enqueued(server.url, queue="another")] == ["other"]
    assert enqueued(server, queue="unknown") == []


@dataclass
class Welcome:
    user_id: int


@pytest.mark.parametrize(
    "expected",
    [
        {"count": 2},
        {"payload": {"user_id": 2}, "count": 1},
        {"payload": Welcome(1), "count": 1},
        {"payload": b'{"user_id":1}', "count": 1},
        {"payload": len, "count": 2},
        {"payload": {"user_id": 1}, "queue": "default", "state": "pending", "max_retry": 5},
        {"task_id": "w2", "headers": {"lang": "de"}, "count": 1},
        {"payload": {"user_id": 3}, "count": 0},
        {"process_at": START, "clock": VirtualClock(START)},
        {"queue": None, "headers": None, "process_in": None},
    ],
    ids=str,
)
def test_what_fits(mails: RedisServer, expected: dict[str, object]) -> None:
    assert_enqueued(mails, "email:welcome", **expected)  # type: ignore[arg-type]


def test_those_that_fit_are_returned(mails: RedisServer) -> None:
    (task,) = assert_enqueued(mails, "email:welcome", payload={"user_id": 2})

    assert task.id == "w2"


def test_when_it_is_due(mails: RedisServer) -> None:
    clock = VirtualClock(START)
    hour = timedelta(hours=1)

    assert_enqueued(mails, "email:bill", process_in=hour, clock=clock)
    assert_enqueued(mails, "email:bill", process_in=3595, clock=clock)
    assert_enqueued(mails, "email:bill", process_at=START + hour, tolerance=0)
    assert_not_enqueued(mails, "email:bill", process_in=3594, clock=clock)
    assert_not_enqueued(mails, "email:bill", process_at=START + hour, tolerance=0, queue="x")


def test_other_codecs(server: RedisServer, client: Client) -> None:
    client.enqueue(Task("t", {"a": [1, b"x"]}, codec=MSGPACK))

    assert_enqueued(server, "t", payload={"a": (1, b"x")}, codec=MSGPACK)
    assert_not_enqueued(server, "t", payload={"a": 1})  # nor can it be read as JSON


def test_a_failure_shows_what_there_is_instead(mails: RedisServer) -> None:
    with pytest.raises(AssertionError) as raised:
        assert_enqueued(mails, "email:welcome", payload={"user_id": 3}, queue="low")

    assert str(raised.value).splitlines() == [
        "a task \"email:welcome\" with queue low, payload {'user_id': 3} must be enqueued,"
        " but there are 0. What is enqueued:",
        "  'email:welcome' {\"user_id\":1} queue=default pending   <- other queue, payload",
        "  'email:welcome' {\"user_id\":2} queue=default pending   <- other queue, payload",
        "  'email:bill' b'\\xff' queue=low scheduled due at 2030-01-01 01:00:00 UTC"
        "   <- other type",
    ]


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        ({"count": 3}, '3 tasks "email:welcome" must be enqueued, but there are 2. .*<- fits'),
        ({"headers": {"lang": "en"}}, "headers {'lang': 'en'} .*<- other headers"),
        ({"process_at": START + timedelta(days=1)}, "due at 2030-01-02 .*<- other when it is due"),
        ({"payload": bool, "count": 0}, "0 tasks .* with a payload that fits bool .*there are 2"),
    ],
    ids=str,
)
def test_failures(mails: RedisServer, expected: dict[str, object], text: str) -> None:
    with pytest.raises(AssertionError) as raised:
        assert_enqueued(mails, "email:welcome", **expected)  # type: ignore[arg-type]

    assert re.search(text, str(raised.value), re.S)


def test_a_failure_where_there_is_nothing_or_very_much(server: RedisServer, client: Client) -> None:
    with pytest.raises(AssertionError, match="there are 0; nothing at all is enqueued"):
        assert_enqueued(server, "t")

    client.enqueue_many([Task("other", "x" * 200)] * 25)
    client.enqueue(Task("t", b"y"), group="g")
    with pytest.raises(AssertionError) as raised:
        assert_enqueued(server, "t", payload=b"z")

    lines = str(raised.value).splitlines()
    assert lines[1] == "  't' y queue=default aggregating in group 'g'   <- other payload"
    assert lines[2].startswith("  'other' \"xxxx")
    assert "xxx... queue=default" in lines[2]
    assert len(lines[2]) < 160
    assert lines[-1] == "  and 6 more"


def test_a_misspelt_word_is_refused(server: RedisServer) -> None:
    with pytest.raises(ConfigError, match="unknown: paylaod"):
        assert_enqueued(server, "t", paylaod=1)  # type: ignore[call-arg]


def test_looking_changes_nothing(mails: RedisServer) -> None:
    assert_enqueued(mails, "email:welcome")
    with Inspector(mails.url) as inspector:
        assert inspector.queue_info("default").pending == 2
