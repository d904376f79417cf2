"""asynq-py task ls and task inspect."""

from __future__ import annotations

import json
import time

import pytest
import redis

from asynq_py import TaskInfo
from tests.support.commands import Command
from tests.support.states import put

HOUR = 3600


def test_tasks_are_listed_with_the_columns_of_gos_command(
    asynq: Command, database: redis.Redis
) -> None:
    now = int(time.time())
    failed = {"error_msg": "no\nluck", "last_failed_at": 1_700_000_000, "retried": 2}
    put(database, "active", "id-1", payload=b"p", score=now + 30)
    put(database, "pending", "id-2", payload=b'{"a":"[red]"}')
    put(database, "scheduled", "id-3", payload=b"\xff", score=now + HOUR)
    put(database, "retry", "id-4", payload=b"p", score=now - 1, **failed)
    put(database, "archived", "id-5", payload=b"p" * 100, score=now, **failed)
    put(
        *(database, "completed", "id-6"),
        payload=b"p",
        score=now + 99,
        completed_at=1_700_000_000,
        result=b"42",
    )
    put(database, "aggregating", "id-7", payload=b"p", group="g")
    common = ["ID", "Type", "Payload"]
    moment = "2023-11-14 22:13:20 UTC"

    def ls(state: str, *arguments: str) -> list[list[str]]:
        ran = asynq("task", "ls", "default", state, *arguments)
        assert (ran.code, ran.err) == (0, "")
        return ran.table

    assert ls("active") == [common, ["id-1", "t", "p"]]
    assert ls("pending") == [common, ["id-2", "t", '{"a":"[red]"}']]
    scheduled = ls("scheduled")
    assert scheduled[0] == [*common, "Process In"]
    assert scheduled[1][:3] == ["id-3", "t", "non-printable bytes"]
    assert scheduled[1][3] in ("in 1h0m0s", "in 59m59s", "in 59m58s")
    assert ls("retry") == [
        [*common, "Next Retry", "Last Error", "Last Failed", "Retried", "Max Retry"],
        ["id-4", "t", "p", "now", "no\\nluck", moment, "2", "25"],
    ]
    assert ls("archived") == [
        [*common, "Last Failed", "Last Error"],
        ["id-5", "t", "p" * 79 + "…", moment, "no\\nluck"],
    ]
    assert ls("completed") == [
        [*common, "CompletedAt", "Result"],
        ["id-6", "t", "p", moment, "42"],
    ]
    assert ls("aggregating", "--group", "g") == [[*common, "Group"], ["id-7", "t", "p", "g"]]


@pytest.mark.parametrize(
    "arguments",
    [
        ["q", "pending"],
        ["-q", "q", "-s", "pending"],
        ["-s", "pending", "q"],
        ["-q", "q", "pending"],
    ],
)
@pytest.mark.parametrize("word", ["ls", "list"])
def test_a_queue_and_a_state_are_named_by_place_or_option(
    word: str, arguments: list[str], asynq: Command, database: redis.Redis
) -> None:
    put(database, "pending", "id", queue="q")

    assert [row[0] for row in asynq("task", word, *arguments).table] == ["ID", "id"]


@pytest.fixture
def many(database: redis.Redis) -> None:
    """Seven archived tasks that failed an hour apart, the oldest first."""
    now = int(time.time())
    for n in range(7):
        put(
            *(database, "archived", f"id-{n}"),
            type="image:resize" if n % 2 else "image:rotate",
            score=now - (7 - n) * HOUR,
            last_failed_at=now - (7 - n) * HOUR,
            error_msg="Timeout" if n > 3 else "no such file",
        )


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["--size", "3"], "012"),
        (["--size", "3", "--page", "3"], "6"),
        (["--type", "*resize"], "135"),
        (["--type", "*resize", "--size", "2", "--page", "2"], "5"),
        (["--error", "timeout"], "456"),
        (["--older-than", "4h30m"], "012"),
        (["--older-than", "16200", "--type", "image:resize"], "1"),
        (["--all"], "0123456"),
        (["--all", "--error", "file"], "0123"),
    ],
)
def test_pages_and_filters_select_tasks(arguments: list[str], found: str, asynq: Command) -> None:
    lines = asynq("task", "ls", "default", "archived", *arguments, "--output", "jsonl").lines
    array = asynq("task", "ls", "default", "archived", *arguments, "--output", "json").json
    table = asynq("task", "ls", "default", "archived", *arguments, "--output", "table").table

    ids = [f"id-{n}" for n in found]
    assert [json.loads(line)["id"] for line in lines] == ids
    assert [task["id"] for task in array] == ids
    assert [row[0] for row in table[1:]] == ids


@pytest.mark.usefixtures("many")
def test_all_tasks_are_json_lines_unless_something_else_is_asked_for(asynq: Command) -> None:
    assert len(asynq("task", "ls", "default", "archived", "--all").lines) == 7
    assert asynq("task", "ls", "default", "archived", "--all", "--page", "2").code == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["retry"], 'No retry tasks in "default" queue'),
        (["retry", "--page", "2"], 'No retry tasks on page 2 in "default" queue'),
        (["retry", "--type", "x"], 'No retry tasks like that in "default" queue'),
        (["aggregating", "-g", "g"], 'No aggregating tasks in group "g"'),
    ],
)
def test_no_tasks_are_said_to_be_none(
    arguments: list[str], said: str, asynq: Command, database: redis.Redis
) -> None:
    database.sadd("asynq:queues", "default")

    assert asynq("task", "ls", "default", *arguments).out == said + "\n"
    assert asynq("task", "ls", "default", *arguments, "--output", "json").json == []
    assert asynq("task", "ls", "default", *arguments, "--output", "jsonl").out == ""


def test_a_damaged_task_is_shown_as_such(asynq: Command, database: redis.Redis) -> None:
    put(database, "archived", "bad", score=1)
    put(database, "archived", "good", score=2)
    database.hset("asynq:{default}:t:bad", "msg", b"\xff\xff")

    table = asynq("task", "ls", "default", "archived").table
    shown = asynq("task", "inspect", "default", "bad")
    found = asynq("task", "ls", "default", "archived", "--output", "json").json

    assert table[1][:2] == ["bad", "damaged"]
    assert table[2][:2] == ["good", "t"]
    assert found[0]["damage"] != ""
    assert found[1]["damage"] == ""
    assert shown.code == 0
    assert f"Damage: {found[0]['damage']}" in shown.lines
    assert "Key:    asynq:{default}:t:bad" in shown.lines


def test_a_task_is_shown_as_go_shows_it_and_with_what_else_there_is(
    asynq: Command, database: redis.Redis
) -> None:
    put(
        *(database, "retry", "id"),
        payload=b"p" * 100,
        headers={"b": "2", "a": "1"},
        score=int(time.time()) + HOUR,
        error_msg="no\nluck",
        last_failed_at=int(time.time()) - HOUR,
        retried=2,
        timeout=90,
        retention=60,
    )

    ran = asynq("task", "inspect", "-q", "default", "-i", "id")

    assert (ran.code, ran.err) == (0, "")
    assert ran.lines[:9] == [
        "Task Info",
        "Queue:     default",
        "ID:        id",
        "Type:      t",
        "State:     retry",
        "Retried:   2/25",
        "Payload:   " + "p" * 100,
        "Headers:   a=1, b=2",
        "Timeout:   1m30s",
    ]
    assert ran.lines[9:11] == ["Retention: 1m0s", ""]
    assert ran.lines[11].startswith("Next process time: ")
    assert ran.lines[12:14] == ["", "Last Failure"]
    assert ran.lines[15] == "Error message: no\\nluck"
    assert asynq("task", "inspect", "default", "id", "--output", "json").json["retried"] == 2


def test_a_completed_task_is_shown_with_its_result(asynq: Command, database: redis.Redis) -> None:
    put(database, "completed", "id", score=2**31, completed_at=1_700_000_000, result=b"42")

    lines = asynq("task", "inspect", "default", "id").lines

    assert "Completed at: 2023-11-14 22:13:20 UTC" in lines
    assert "Result:       42" in lines
    assert "Next process time: n/a" in lines


@pytest.mark.parametrize("action", ["inspect", "run", "archive", "delete", "update"])
def test_what_is_not_there_is_an_error_in_one_line(
    action: str, asynq: Command, database: redis.Redis
) -> None:
    more = ["x"] if action == "update" else []
    put(database, "scheduled", "other")

    for queue in ("default", "nope"):
        ran = asynq("task", action, queue, "id", *more)
        assert (ran.code, ran.out) == (1, "")
        assert ran.err.startswith("asynq-py: ")
        assert ran.err.count("\n") == 1


def test_every_field_of_a_task_is_there_for_programs(asynq: Command, database: redis.Redis) -> None:
    put(database, "pending", "id")

    found = asynq("task", "inspect", "default", "id", "--output", "json").json

    fields = {name for name, value in vars(TaskInfo).items() if isinstance(value, property)}
    assert found.keys() == {name for name in fields if not name.startswith("_")}


@pytest.mark.parametrize(
    "arguments",
    [
        ["ls"],
        ["ls", "q"],
        ["ls", "q", "nope"],
        ["ls", " ", "pending"],
        ["ls", "q", "aggregating"],
        ["ls", "q", "pending", "-g", "g"],
        ["ls", "q", "pending", "--page", "0"],
        ["ls", "q", "pending", "--older-than", "old"],
        ["ls", "q", "pending", "-s", "retry"],
        ["inspect", "q"],
        ["inspect", "q", " "],
    ],
)
def test_wrong_usage_exits_with_2(
    arguments: list[str], asynq: Command, database: redis.Redis
) -> None:
    put(database, "pending", "id", queue="q")

    ran = asynq("task", *arguments)

    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("asynq-py: ")
    assert ran.err.count("\n") == 1
