"""asynq-py cron ls, history, pause, resume and trigger: what schedulers run, and steering it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import redis

from asynq_py.broker.control import read_paused, read_requests
from asynq_py.broker.presence import (
    EnqueueEvent,
    record_enqueue_events,
    write_scheduler_entries,
)
from asynq_py.clock import NANOSECONDS, SYSTEM_CLOCK
from asynq_py.connection.sync import Connection
from asynq_py.testing.redis_server import RedisServer
from asynq_py.wire.presence import SchedulerEntry, scheduler_entry
from tests.support.commands import Command, columns


@pytest.fixture
def cron(command: Command, server: RedisServer) -> Command:
    """Runs ``cron`` commands on the shared, emptied server."""
    return lambda *arguments: command("cron", *arguments, "--redis", server.url)


@pytest.fixture
def connection(server: RedisServer) -> Any:  # noqa: ANN401
    connection = Connection(server.url)
    yield connection
    connection.close()


def entry(
    entry_id: str, payload: bytes, next_s: float | None, prev_s: float | None
) -> SchedulerEntry:
    """An entry that runs so many seconds from now, and ran so many ago."""
    now_ns = SYSTEM_CLOCK.now_ns()
    return scheduler_entry(
        entry_id,
        "@every 1h",
        f"type:{entry_id}",
        payload,
        ['Queue("q")', "Timeout(5m0s)"],
        next_ns=None if next_s is None else now_ns + int(next_s * NANOSECONDS),
        previous_ns=None if prev_s is None else now_ns - int(prev_s * NANOSECONDS),
    )


@pytest.fixture
def publish(connection: Connection) -> Callable[..., None]:
    """Shows entries as a scheduler does."""

    def publish_(*entries: SchedulerEntry, scheduler: str = "s", ttl_s: int = 60) -> None:
        now_ns = SYSTEM_CLOCK.now_ns() - 30 * NANOSECONDS
        connection.run(write_scheduler_entries(scheduler, entries, ttl_s=ttl_s, now_ns=now_ns))

    return publish_


# -- ls and history --


def test_the_entries_of_all_schedulers_are_listed_by_their_next_run(
    cron: Command, publish: Callable[..., None]
) -> None:
    publish(entry("never", b"", None, None), entry("later", b'{"a":" :x: [red]"}', 3724.4, 2.6))
    publish(entry("soon", b"\xff", 30.4, 60.6), entry("now", b"\x1b[2J", -1, -0.4), scheduler="t")
    publish(entry("gone", b"", 1, 1), scheduler="gone", ttl_s=20)

    ran = cron("ls")

    assert (ran.code, ran.err) == (0, "")
    options = 'Queue("q"), Timeout(5m0s)'
    assert [columns(line) for line in ran.lines] == [
        ["EntryID", "Spec", "Type", "Payload", "Options", "Next", "Prev"],
        ["now", "@every 1h", "type:now", "non-printable bytes", options, "Now", "0s ago"],
        ["soon", "@every 1h", "type:soon", "non-printable bytes", options, "In 30s", "1m1s ago"],
        ["later", "@every 1h", "type:later", '{"a":" :x: [red]"}', options, "In 1h2m4s", "3s ago"],
        ["never", "@every 1h", "type:never", options, "Never", "N/A"],
    ]


def test_a_long_payload_is_cut_in_a_table_only(cron: Command, publish: Callable[..., None]) -> None:
    publish(entry("e", b"x" * 1000, 1, 1))

    assert columns(cron("ls").lines[1])[3] == "x" * 79 + "…"
    assert cron("ls", "--output", "json").json[0]["payload"] == "x" * 1000


def test_what_is_paused_is_marked(cron: Command, publish: Callable[..., None]) -> None:
    publish(entry("a", b"-", 30.4, 1), entry("b", b"-", 31.4, 1), entry("c", b"-", 32.4, 1))
    cron("pause", "a")
    cron("pause", "b", "--group", "billing")

    found = [columns(line)[5] for line in cron("ls").lines[1:]]

    assert found == ["Paused", "In 31s (paused in billing)", "In 32s"]
    assert [e["paused"] for e in cron("ls", "--output", "json").json] == [["a"], ["billing/b"], []]


def test_entries_are_there_for_programs(cron: Command, publish: Callable[..., None]) -> None:
    publish(entry("text", '{"ä":1}'.encode(), 30, 30), entry("bytes", b"\xff\x00", None, None))

    text, raw = cron("ls", "--output", "json").json

    assert text["next"] > text["prev"]
    assert text | {"next": "", "prev": ""} == {
        "id": "text",
        "spec": "@every 1h",
        "type": "type:text",
        "payload": '{"ä":1}',
        "options": ['Queue("q")', "Timeout(5m0s)"],
        "next": "",
        "prev": "",
        "paused": [],
    }
    assert (raw["payload_base64"], raw["next"], raw["prev"]) == ("/wA=", None, None)
    assert "payload" not in raw


def test_no_entries_are_said_to_be_none(cron: Command) -> None:
    assert (cron("ls").out, cron("ls", "--output", "json").json) == ("No scheduler entries\n", [])


def test_what_cannot_be_read_is_counted(
    cron: Command, publish: Callable[..., None], database: redis.Redis
) -> None:
    publish(entry("a", b"", 1, 1))
    database.rpush("asynq:schedulers:{s}", b"\xff\xff")

    ran = cron("ls")

    assert (ran.code, len(ran.lines)) == (0, 2)
    assert ran.err == "asynq-py: 1 more could not be read\n"


def test_the_runs_of_an_entry_are_listed_newest_first(
    cron: Command, connection: Connection
) -> None:
    at_s = 1_700_000_000
    runs = [EnqueueEvent("e", f"task-{n}", (at_s + n) * NANOSECONDS) for n in range(5)]
    connection.run(record_enqueue_events(runs))

    table = cron("history", "e", "--size", "2").lines
    second = cron("history", "e", "--size", "2", "--page", "2", "--output", "json").json

    assert table[:2] == ["Entry: e", ""]
    assert columns(table[2]) == ["TaskID", "EnqueuedAt"]
    assert columns(table[3])[1].startswith("2023-11-14 22:13:24 UTC (")
    assert [columns(line)[0] for line in table[3:]] == ["task-4", "task-3"]
    assert second == [
        {"entry": "e", "task_id": "task-2", "enqueued_at": "2023-11-14T22:13:22Z"},
        {"entry": "e", "task_id": "task-1", "enqueued_at": "2023-11-14T22:13:21Z"},
    ]
    assert cron("history", "e", "--page", "2").lines[2:] == ["No runs are known on page 2"]
    assert cron("history", "e", "x", "--size", "2").lines[5:] == [
        *("", "=" * 49, ""),
        *("Entry: x", "", "No runs are known"),
    ]


# -- pause, resume, trigger --


def test_an_entry_is_paused_and_resumed(
    cron: Command, connection: Connection, publish: Callable[..., None]
) -> None:
    publish(entry("daily", b"", 1, 1))

    assert cron("pause", "daily").out == 'Paused "daily"\n'
    assert cron("pause", "daily").out == 'Already paused: "daily"\n'
    ran = cron("pause", "daily", "--group", "g")
    assert (ran.out, ran.err, ran.code) == ('Paused "daily" in group "g"\n', "", 0)
    assert connection.run(read_paused()) == {"daily", "g/daily"}

    ran = cron("resume", "daily")
    assert ran.out == 'Resumed "daily"\n'
    assert ran.err == 'asynq-py: "daily" in group "g" is still paused: resume with --group g\n'
    assert connection.run(read_paused()) == {"g/daily"}
    assert cron("resume", "daily", "--group", "g").out == 'Resumed "daily" in group "g"\n'
    assert cron("resume", "daily").out == 'Not paused: "daily"\n'
    assert connection.run(read_paused()) == set()


def test_that_an_entry_is_still_paused_everywhere_is_said(cron: Command) -> None:
    cron("pause", "daily")

    ran = cron("resume", "daily", "--group", "g")

    assert ran.out == 'Not paused: "daily" in group "g"\n'
    assert ran.err == ('asynq-py: "daily" is still paused in all groups: resume without --group\n')


def test_a_run_is_asked_for(
    cron: Command, connection: Connection, publish: Callable[..., None]
) -> None:
    publish(entry("daily", b"", 1, 1))

    ran = cron("trigger", "daily", "--group", "g")

    (request,) = connection.run(read_requests("0-0", None))
    assert request[1:] == ("trigger", "daily", "g")
    assert ran.out == f'Triggered "daily" in group "g" (request {request.id})\n'
    assert (ran.code, ran.err) == (0, "")


def test_what_was_done_to_an_entry_is_there_for_programs(
    cron: Command, connection: Connection
) -> None:
    def steer(action: str, *arguments: str) -> object:
        return cron(action, "daily", *arguments, "--output", "json").json

    daily = {"id": "daily", "group": None}
    assert steer("pause") == {**daily, "paused": True, "changed": True}
    assert steer("pause") == {**daily, "paused": True, "changed": False}
    assert steer("resume", "--group", "g") == {
        "id": "daily",
        "group": "g",
        "paused": False,
        "changed": False,
    }
    assert steer("resume") == {**daily, "paused": False, "changed": True}
    told = steer("trigger")
    *_, request = connection.run(read_requests("0-0", None))
    assert told == {**daily, "request": request.id}


@pytest.mark.parametrize("action", ["pause", "resume", "trigger"])
def test_an_entry_that_nobody_shows_is_pointed_out(action: str, cron: Command) -> None:
    ran = cron(action, "dayly")

    assert ran.code == 0
    assert ran.err == 'asynq-py: no running scheduler shows an entry "dayly" now\n'


@pytest.mark.parametrize(
    "arguments",
    [
        ["ls", "--output", "xml"],
        ["history"],
        ["history", "e", "--page", "0"],
        ["pause"],
    ],
)
def test_wrong_usage_exits_with_2(arguments: list[str], command: Command) -> None:
    ran = command("cron", *arguments)

    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("asynq-py: ")
    assert ran.err.count("\n") == 1
