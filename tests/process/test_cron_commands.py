"""asynq-py cron: explaining schedules, listing and steering what schedulers run."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
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
from tests.support.commands import Command, Ran, columns


@pytest.fixture
def cron(command: Command, server: RedisServer) -> Command:
    """Runs ``cron`` commands on the shared, emptied server."""
    return lambda *arguments: command("cron", *arguments, "--redis", server.url)


@pytest.fixture
def connection(server: RedisServer) -> Any:  # noqa: ANN401
    connection = Connection(server.url)
    yield connection
    connection.close()


# -- explain --


def explain(command: Command, *arguments: str) -> Ran:
    ran = command("cron", "explain", *arguments)
    assert (ran.code, ran.err) == (0, "")
    return ran


def test_the_next_runs_are_shown_in_local_time_and_utc(command: Command) -> None:
    ran = explain(
        command, "0 9 * * mon-fri", "--tz", "Asia/Tokyo", "-n", "2", "--from", "2026-07-03T12:00"
    )

    assert ran.lines == [
        "Zone   Asia/Tokyo (by --tz), JST, UTC+09:00",
        "",
        "   Local                        UTC                  In      Remarks",
        "1  2026-07-06 09:00:00 Mon JST  2026-07-06 00:00:00  2d 21h",
        "2  2026-07-07 09:00:00 Tue JST  2026-07-07 00:00:00  3d 21h",
    ]


def test_five_runs_in_utc_from_now_are_the_default(command: Command) -> None:
    ran = explain(command, "@every 1h")

    assert ran.lines[0] == "Zone   UTC (the default; see --tz), UTC+00:00"
    assert [columns(line)[3] for line in ran.lines[3:]] == ["1h", "2h", "3h", "4h", "5h"]


def test_a_prefix_of_the_spec_is_the_zone(command: Command) -> None:
    ran = explain(command, "CRON_TZ=Asia/Tokyo 0 9 * * *", "--tz", "Europe/Berlin")

    assert ran.lines[0] == "Zone   Asia/Tokyo (the spec says so), JST, UTC+09:00"


def test_a_moment_with_its_own_offset_is_taken_by_it(command: Command) -> None:
    ran = explain(
        command, "0 * * * *", "--tz", "Asia/Tokyo", "-n", "1", "--from", "2026-07-03T23:30:00Z"
    )

    assert columns(ran.lines[-1])[2:4] == ["2026-07-04 00:00:00", "30m"]


BERLIN = ("--tz", "Europe/Berlin")
SPRING = (*BERLIN, "--from", "2026-03-28T12:00")
AUTUMN = (*BERLIN, "--from", "2026-10-25")


def remarks(ran: Ran) -> list[tuple[str, str, str]]:
    """Number, local time and remarks of each line of the table."""
    start = ran.lines[2].index("Remarks") if ran.lines[2] else ran.lines[3].index("Remarks")
    table = [line for line in ran.lines if line[:1].isdigit() or line[:1] == "-"]
    return [(line[:1], line[3:22], line[start:]) for line in table]


def test_a_time_that_does_not_exist_is_shown_as_skipped(command: Command) -> None:
    ran = explain(command, "30 2 * * *", "-n", "1", *SPRING)

    assert remarks(ran) == [
        (
            "-",
            "2026-03-29 02:30:00",
            "02:30 does not exist on 2026-03-29, skipped: clocks go forward from 02:00 to 03:00",
        ),
        ("1", "2026-03-30 02:30:00", "from here on UTC+02:00"),
    ]


def test_with_once_a_time_that_does_not_exist_runs_after_the_gap(command: Command) -> None:
    ran = explain(command, "30 2 * * *", "-n", "1", "--dst", "once", *SPRING)

    assert "Rules  each local time once" in ran.lines
    assert remarks(ran) == [
        (
            "1",
            "2026-03-29 03:00:00",
            "clocks go forward from 02:00 to 03:00: in place of 02:30, which does not exist; from"
            " here on UTC+02:00",
        )
    ]


@pytest.mark.parametrize("start", ["2026-03-28", "2026-03-28T02:29:59"])
def test_what_is_skipped_after_the_last_run_is_not_shown(start: str, command: Command) -> None:
    ran = explain(command, "30 2 * * *", "-n", "1", *BERLIN, "--from", start)

    assert remarks(ran) == [("1", "2026-03-28 02:30:00", "")]


def test_several_times_that_do_not_exist_are_counted(command: Command) -> None:
    ran = explain(command, "*/15 * * * *", "-n", "1", *BERLIN, "--from", "2026-03-29T01:46")

    assert [remark for _, _, remark in remarks(ran)] == [
        "4 times from 02:00 to 02:45 do not exist on 2026-03-29, skipped: clocks go forward from"
        " 02:00 to 03:00",
        "from here on UTC+02:00",
    ]


def test_a_repeated_time_runs_twice(command: Command) -> None:
    ran = explain(command, "30 2 * * *", "-n", "3", *AUTUMN)

    again = "clocks go back from 03:00 to 02:00, 02:30 is repeated: this is the"
    assert remarks(explain(command, "30 2 * * *", "-n", "1", *AUTUMN)) == [
        ("1", "2026-10-25 02:30:00", f"{again} first time")
    ]
    assert remarks(ran) == [
        ("1", "2026-10-25 02:30:00", f"{again} first time"),
        ("2", "2026-10-25 02:30:00", f"{again} second time; from here on UTC+01:00"),
        ("3", "2026-10-26 02:30:00", ""),
    ]


def test_with_once_a_repeated_time_runs_once(command: Command) -> None:
    ran = explain(command, "30 2 * * *", "-n", "2", "--dst", "once", *AUTUMN)

    assert [(local, remark) for _, local, remark in remarks(ran)] == [
        (
            "2026-10-25 02:30:00",
            "clocks go back from 03:00 to 02:00, 02:30 is repeated: it runs only the first time",
        ),
        ("2026-10-26 02:30:00", "from here on UTC+01:00"),
    ]


def test_what_counts_seconds_is_only_told_the_new_offset(command: Command) -> None:
    ran = explain(command, "@every 40m", "-n", "2", *BERLIN, "--from", "2026-03-29T01:30")

    assert [remark for _, _, remark in remarks(ran)] == ["from here on UTC+02:00", ""]


def test_a_day_that_does_not_exist_is_told_with_both_dates(command: Command) -> None:
    ran = explain(command, "0 0 * * *", "-n", "1", "--tz", "Pacific/Apia", "--from", "2011-12-29")

    assert "from 2011-12-30 00:00 to 2011-12-31 00:00" in remarks(ran)[0][2]


def test_what_asynq_alone_makes_of_a_change_is_said(command: Command) -> None:
    ran = explain(
        command, "30 5 3 11 *", "--tz", "America/Sao_Paulo", "-n", "1", "--from", "2018-11-03T06"
    )

    assert remarks(ran)[0][1] == "2018-11-04 05:30:00"
    assert "not a time of the spec" in remarks(ran)[0][2]


@pytest.mark.parametrize(
    ("spec", "said"),
    [("0 0 30 2 *", "It never runs."), ("0 0 29 2 *", "It does not run again after that.")],
)
def test_that_it_ends_is_said(spec: str, said: str, command: Command) -> None:
    ran = explain(command, spec, "--from", "2094-01-01")

    assert ran.lines[-1] == said


def test_the_extended_dialect_can_be_chosen(command: Command) -> None:
    ran = explain(command, "0 0 L * *", "--dialect", "extended", "-n", "1", "--from", "2026-02-01")

    assert "Rules  the extended dialect" in ran.lines
    assert remarks(ran)[0][1] == "2026-02-28 00:00:00"


def test_runs_and_skipped_times_are_there_for_programs(command: Command) -> None:
    ran = explain(command, "30 2 * * *", "-n", "1", *SPRING, "--output", "json")

    assert ran.json == {
        "spec": "30 2 * * *",
        "location": "Europe/Berlin",
        "dialect": "asynq",
        "dst": "asynq",
        "from": "2026-03-28T12:00:00+01:00",
        "runs": [
            {
                "local": "2026-03-30T02:30:00+02:00",
                "utc": "2026-03-30T00:30:00Z",
                "remarks": ["from here on UTC+02:00"],
            }
        ],
        "skipped": [
            {
                "local": "2026-03-29T02:30:00",
                "times": 1,
                "remarks": [
                    "02:30 does not exist on 2026-03-29, skipped: clocks go forward from 02:00 to"
                    " 03:00"
                ],
            }
        ],
    }


@pytest.mark.parametrize(
    ("spec", "error", "caret"),
    [
        ("60 * * * *", "end of range (60) above maximum (59): 60 (minute, position 0)", 0),
        ("0 9 * * mon-fry", "failed to parse int from fry: strconv.Atoi", 12),
        ("TZ=Nowhere @daily", "unknown time zone Nowhere (time zone, position 3)", 3),
    ],
)
def test_a_wrong_spec_is_pointed_at(spec: str, error: str, caret: int, command: Command) -> None:
    ran = command("cron", "explain", spec)

    first, shown, pointer = ran.err.splitlines()
    assert (ran.code, ran.out) == (1, "")
    assert first.startswith("asynq-py: ")
    assert error in first
    assert shown == "  " + spec
    assert pointer == " " * (2 + caret) + "^"


@pytest.mark.parametrize(
    "arguments",
    [
        ["explain"],
        ["explain", "@daily", "--tz", "Mars/Phobos"],
        ["explain", "@daily", "--from", "yesterday"],
        ["explain", "@daily", "-n", "0"],
        ["explain", "@daily", "--dst", "twice"],
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


# -- ls and history --


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
        ["Entry ID", "Spec", "Type", "Payload", "Options", "Next", "Prev"],
        ["now", "@every 1h", "type:now", "non-printable bytes", options, "Now", "0s ago"],
        ["soon", "@every 1h", "type:soon", "non-printable bytes", options, "In 30s", "1m1s ago"],
        ["later", "@every 1h", "type:later", '{"a":" :x: [red]"}', options, "In 1h2m4s", "3s ago"],
        ["never", "@every 1h", "type:never", options, "never", "N/A"],
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

    assert found == ["paused", "In 31s (paused in billing)", "In 32s"]
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

    assert columns(table[0]) == ["Task ID", "Enqueued At"]
    assert columns(table[1])[0] == "task-4"
    assert columns(table[1])[1].startswith("2023-11-14 22:13:24 UTC (")
    assert [columns(line)[0] for line in table[1:]] == ["task-4", "task-3"]
    assert second == [
        {"task_id": "task-2", "enqueued_at": "2023-11-14T22:13:22Z"},
        {"task_id": "task-1", "enqueued_at": "2023-11-14T22:13:21Z"},
    ]
    assert cron("history", "e", "--page", "2").out == "Entry 'e' has no page 2 of runs\n"
    assert cron("history", "x").out == "No runs of entry 'x' are known\n"


# -- pause, resume, trigger --


def test_an_entry_is_paused_and_resumed(
    cron: Command, connection: Connection, publish: Callable[..., None]
) -> None:
    publish(entry("daily", b"", 1, 1))

    assert cron("pause", "daily").out == "Paused 'daily'\n"
    assert cron("pause", "daily").out == "Already paused: 'daily'\n"
    ran = cron("pause", "daily", "--group", "g")
    assert (ran.out, ran.err, ran.code) == ("Paused 'daily' in group 'g'\n", "", 0)
    assert connection.run(read_paused()) == {"daily", "g/daily"}

    ran = cron("resume", "daily")
    assert ran.out == "Resumed 'daily'\n"
    assert ran.err == "asynq-py: 'daily' in group 'g' is still paused: resume with --group g\n"
    assert connection.run(read_paused()) == {"g/daily"}
    assert cron("resume", "daily", "--group", "g").out == "Resumed 'daily' in group 'g'\n"
    assert cron("resume", "daily").out == "Not paused: 'daily'\n"
    assert connection.run(read_paused()) == set()


def test_that_an_entry_is_still_paused_everywhere_is_said(cron: Command) -> None:
    cron("pause", "daily")

    ran = cron("resume", "daily", "--group", "g")

    assert ran.out == "Not paused: 'daily' in group 'g'\n"
    assert ran.err == ("asynq-py: 'daily' is still paused in all groups: resume without --group\n")


def test_a_run_is_asked_for(
    cron: Command, connection: Connection, publish: Callable[..., None]
) -> None:
    publish(entry("daily", b"", 1, 1))

    ran = cron("trigger", "daily", "--group", "g")

    (request,) = connection.run(read_requests("0-0", None))
    assert request[1:] == ("trigger", "daily", "g")
    assert ran.out == f"Triggered 'daily' in group 'g' (request {request.id})\n"
    assert (ran.code, ran.err) == (0, "")


@pytest.mark.parametrize("action", ["pause", "trigger"])
def test_an_entry_that_nobody_shows_is_pointed_out(action: str, cron: Command) -> None:
    ran = cron(action, "dayly")

    assert ran.code == 0
    assert ran.err == "asynq-py: no running scheduler shows an entry 'dayly' now\n"


# -- where Redis is --


def test_the_environment_and_a_file_say_where_redis_is(
    command: Command, server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "asynq.toml"
    config.write_text(f'redis = "{server.url}"\n')
    nowhere = "redis://localhost:1"

    assert command("cron", "ls", "--config", str(config)).code == 0
    monkeypatch.setenv("ASYNQ_CONFIG", str(config))
    assert command("cron", "ls").code == 0
    monkeypatch.setenv("ASYNQ_REDIS_URL", nowhere)
    assert command("cron", "ls").code == 1
    assert command("cron", "ls", "--redis", server.url).code == 0
    monkeypatch.setenv("ASYNQ_REDIS_URL", server.url)
    assert command("cron", "ls").code == 0
    assert command("cron", "ls", "--redis", nowhere).code == 1


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (None, "it cannot be read: No such file or directory"),
        ("redis = ", "Invalid value (at end of document)"),
        ("redis = 1", "redis must be a URL in quotes or a table, not int"),
    ],
)
def test_a_configuration_that_cannot_be_read_is_an_error(
    text: str | None, error: str, command: Command, tmp_path: Path
) -> None:
    config = tmp_path / "asynq.toml"
    if text is not None:
        config.write_text(text)

    ran = command("cron", "ls", "--config", str(config))

    assert (ran.code, ran.out) == (1, "")
    assert ran.err == f"asynq-py: {config}: {error}\n"


@pytest.mark.parametrize("what", ["redis://localhost:1", "http://localhost"])
@pytest.mark.parametrize(
    "arguments", [["ls"], ["history", "e"], ["pause", "e"], ["resume", "e"], ["trigger", "e"]]
)
def test_without_redis_every_command_fails_in_one_line(
    arguments: list[str], what: str, command: Command
) -> None:
    ran = command("cron", *arguments, "--redis", what)

    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("asynq-py: ")
    assert ran.err.count("\n") == 1


@pytest.mark.parametrize("output", ["table", "json"])
@pytest.mark.parametrize("n", ["1", "999"])
def test_a_reader_that_leaves_early_sees_no_traceback(n: str, output: str) -> None:
    command = ["cron", "explain", "@daily", "-n", n, "--output", output]
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "asynq_py", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONUNBUFFERED": ""},
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    errors = process.stderr.read()

    assert process.wait(30) == 1
    assert errors == b""
    process.stderr.close()
