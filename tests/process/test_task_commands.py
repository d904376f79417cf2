"""asynq-py task and enqueue: enqueueing, listing and steering tasks."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import redis

from asynq_py import Inspector, TaskInfo, TaskState
from asynq_py.testing.redis_server import RedisServer
from asynq_py.wire.keys import CANCEL, unique_key
from tests.support.commands import Command
from tests.support.database import content
from tests.support.states import put

HOUR = 3600


@pytest.fixture
def inspector(server: RedisServer) -> Iterator[Inspector]:
    with Inspector(server.url) as inspector:
        yield inspector


@pytest.fixture
def stdin(monkeypatch: pytest.MonkeyPatch) -> Any:  # noqa: ANN401
    """Sets what comes from standard input, which is no terminal."""

    def stdin_(data: bytes) -> None:
        wrapped = SimpleNamespace(buffer=io.BytesIO(data), isatty=lambda: False)
        monkeypatch.setattr("sys.stdin", wrapped)

    return stdin_


# -- enqueue --


@pytest.fixture(params=[("enqueue",), ("task", "enqueue")], ids=" ".join)
def enqueue(request: pytest.FixtureRequest, asynq: Command) -> Command:
    """Either of the two commands, which are the same."""
    return lambda *arguments: asynq(*request.param, *arguments)


def test_a_task_is_enqueued(enqueue: Command, inspector: Inspector) -> None:
    ran = enqueue("email:welcome", '{"user_id": 7}')

    (task,) = inspector.list_tasks("default", "pending")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == f"Enqueued task {task.id} to queue default\n"
    # The text is sent as it is.
    assert (task.type, task.payload) == ("email:welcome", b'{"user_id": 7}')
    assert (task.max_retry, task.timeout and task.timeout.total_seconds()) == (25, 1800)


def test_every_option_is_taken(enqueue: Command, inspector: Inspector) -> None:
    at = "2999-01-31T09:00:00+02:00"
    ran = enqueue(
        *("t", "x", "--queue", "low", "--id", "one", "--max-retry", "3", "--timeout", "1m30s"),
        *("--deadline", at, "--unique", "2h", "--process-at", at, "--retention", "90"),
        *("--header", "trace=a=b", "--header", "user=7", "--output", "json"),
    )

    task = inspector.get_task("low", "one")
    assert ran.code == 0
    assert ran.json == {
        "id": "one",
        "queue": "low",
        "type": "t",
        "payload": "x",
        "headers": {"trace": "a=b", "user": "7"},
        "state": "scheduled",
        "max_retry": 3,
        "retried": 0,
        "last_error": "",
        "last_failed_at": None,
        "timeout": 90,
        "deadline": "2999-01-31T07:00:00Z",
        "group": "",
        "next_process_at": "2999-01-31T07:00:00Z",
        "is_orphaned": False,
        "retention": 90,
        "completed_at": None,
        "result": None,
        "damage": "",
    }
    assert (task.state, task.headers) == (TaskState.SCHEDULED, {"trace": "a=b", "user": "7"})


def test_the_options_of_gos_command_are_taken(enqueue: Command, inspector: Inspector) -> None:
    ran = enqueue("-t", "t", "-l", "x", "--retry", "1", "--process_in", "1h", "-g", "g", "-i", "i")
    named = enqueue("--type_name=u", "--payload=y", "-i", "j")

    assert (ran.code, named.code) == (0, 0)
    task = inspector.get_task("default", "i")
    assert (task.payload, task.max_retry, task.group) == (b"x", 1, "g")
    assert inspector.get_task("default", "j").type == "u"


def test_an_option_leaves_its_place_to_the_payload(enqueue: Command, inspector: Inspector) -> None:
    enqueue("-t", "t", "x", "-i", "i")

    assert inspector.get_task("default", "i").payload == b"x"


@pytest.mark.parametrize("argument", [["-"], ["--payload-file", "-"]])
def test_the_payload_comes_from_standard_input(
    argument: list[str],
    enqueue: Command,
    inspector: Inspector,
    stdin: Any,  # noqa: ANN401
) -> None:
    stdin(b"\xff\x00\n")

    assert enqueue("t", *argument).code == 0
    assert inspector.list_tasks("default", "pending")[0].payload == b"\xff\x00\n"


def test_the_payload_comes_from_a_file(
    enqueue: Command, inspector: Inspector, tmp_path: Path
) -> None:
    path = tmp_path / "payload"
    path.write_bytes(b"\xff\x00\n")

    ran = enqueue("t", "--payload-file", str(path), "--output", "json")
    missing = enqueue("t", "--payload-file", str(tmp_path / "nope"))

    assert ran.json["payload_base64"] == "/wAK"
    assert inspector.list_tasks("default", "pending")[0].payload == b"\xff\x00\n"
    assert missing.code == 1
    assert missing.err.endswith("nope: it cannot be read: No such file or directory\n")


def test_json_is_sent_as_go_writes_it(enqueue: Command, inspector: Inspector) -> None:
    ran = enqueue("t", ' { "b" : "<ä>",\n "a": [1.0, 1e21] } ', "--json", "-i", "i")

    assert ran.code == 0
    sent = inspector.get_task("default", "i").payload
    assert sent == '{"b":"\\u003cä\\u003e","a":[1,1e+21]}'.encode()


def test_no_payload_locks_as_gos_nil_does(enqueue: Command, database: redis.Redis) -> None:
    enqueue("t", "--unique", "60")
    enqueue("t", "", "--unique", "60")

    assert database.exists(unique_key("default", "t", None), unique_key("default", "t", b"")) == 2


def test_what_stands_against_a_task_is_an_error_in_one_line(enqueue: Command) -> None:
    assert enqueue("t", "x", "--unique", "60", "--id", "a").code == 0

    for arguments in (["t", "x", "--unique", "60"], ["u", "--id", "a"]):
        ran = enqueue(*arguments)
        assert (ran.code, ran.out) == (1, "")
        assert ran.err.startswith("asynq-py: ")
        assert ran.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ([], "missing TYPE"),
        ([" "], "type must contain"),
        (["t", "{]", "--json"], "the payload is no JSON"),
        (["t", "NaN", "--json"], "NaN is not allowed"),
        (["t", "x", "--payload-file", "f"], "exclude each other"),
        (["t", "x", "-l", "y"], "one argument too many"),
        (["t", "--header", "x"], "not like NAME=VALUE"),
        (["t", "--timeout", "soon"], '"1m30s", not "soon"'),
        (["t", "--timeout=-1s"], "must not be negative"),
        (["t", "--deadline", "2026-01-01"], "with its offset from UTC"),
        (["t", "--max-retry=-1"], "--max-retry"),
        (["t", "--unique", "0"], "unique must be more than zero"),
        (["t", "--process-in", "1", "--process-at", "2999-01-01T00:00:00Z"], "exclude each other"),
    ],
)
def test_a_task_that_can_never_work_is_wrong_usage(
    arguments: list[str], why: str, enqueue: Command, database: redis.Redis
) -> None:
    ran = enqueue(*arguments)

    assert (ran.code, ran.out) == (2, "")
    assert why in " ".join(ran.err.replace("│", "").split())
    assert database.keys() == []


# -- ls --


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
    assert scheduled[1][3] in ("In 1h0m0s", "In 59m59s", "In 59m58s")
    assert ls("retry") == [
        [*common, "Next Retry", "Last Error", "Last Failed", "Retried", "Max Retry"],
        ["id-4", "t", "p", "Now", "no\\nluck", moment, "2", "25"],
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


# -- inspect --


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


# -- steering --


def state_of(inspector: Inspector, task_id: str) -> str:
    return inspector.get_task("default", task_id).state.value


def test_one_task_is_run_archived_updated_and_deleted(
    asynq: Command, database: redis.Redis, inspector: Inspector
) -> None:
    put(database, "scheduled", "id", score=2**31)

    assert asynq("task", "update", "default", "id", "new").out == "payload updated\n"
    assert inspector.get_task("default", "id").payload == b"new"
    assert asynq("task", "archive", "default", "id").out == "task archived\n"
    assert state_of(inspector, "id") == "archived"
    assert asynq("task", "run", "-q", "default", "-i", "id").out == "task is now pending\n"
    assert state_of(inspector, "id") == "pending"
    assert asynq("task", "update", "default", "id", "new").code == 1
    assert asynq("task", "delete", "default", "id").out == "task deleted\n"
    assert database.keys("*:t:*") == []


def test_a_payload_is_updated_from_a_file_and_as_json(
    asynq: Command,
    database: redis.Redis,
    inspector: Inspector,
    stdin: Any,  # noqa: ANN401
) -> None:
    put(database, "scheduled", "id", score=2**31)
    stdin(b'{ "a": 1 }')

    assert asynq("task", "update", "default", "id", "--payload-file", "-", "--json").code == 0
    assert inspector.get_task("default", "id").payload == b'{"a":1}'
    assert asynq("task", "update", "-q", "default", "-i", "id", "-l", "").code == 0
    assert inspector.get_task("default", "id").payload == b""


def test_what_is_not_possible_is_refused_and_nothing_changes(
    asynq: Command, database: redis.Redis
) -> None:
    put(database, "active", "id", score=2**31)
    before = content(database)

    for action in ("run", "archive", "delete"):
        ran = asynq("task", action, "default", "id")
        assert (ran.code, ran.out) == (1, "")
        assert ran.err == f'asynq-py: {action} "id" of "default": it is active; cancel it instead\n'
    assert content(database) == before


def test_workers_are_asked_to_cancel(asynq: Command, database: redis.Redis) -> None:
    pubsub = database.pubsub()
    pubsub.subscribe(CANCEL)
    pubsub.get_message(timeout=5)

    ran = asynq("task", "cancel", "a", "b")

    received = [pubsub.get_message(timeout=5) for _ in range(2)]
    assert [message and message["data"] for message in received] == [b"a", b"b"]
    assert ran.lines == [
        "Sent cancelation signal for task a",
        "Sent cancelation signal for task b",
    ]
    pubsub.close()


@pytest.mark.parametrize(
    ("action", "said", "target"),
    [
        ("runall", "3 tasks are now pending", "pending"),
        ("archiveall", "3 tasks archived", "archived"),
        ("deleteall", "3 tasks deleted", None),
    ],
)
@pytest.mark.parametrize("state", ["scheduled", "aggregating"])
def test_all_tasks_of_a_state_are_moved(
    state: str,
    action: str,
    said: str,
    target: str | None,
    asynq: Command,
    database: redis.Redis,
    inspector: Inspector,
) -> None:
    group = ["-g", "g"] if state == "aggregating" else []
    for n in range(3):
        put(database, state, f"id-{n}", score=2**31, group="g" if group else "")
    put(database, "retry", "other", score=2**31)

    ran = asynq("task", action, "default", state, *group, "--yes")

    assert (ran.code, ran.out, ran.err) == (0, said + "\n", "")
    assert state_of(inspector, "other") == "retry"
    if target is None:
        assert len(database.keys("*:t:*")) == 1
    else:
        assert {state_of(inspector, f"id-{n}") for n in range(3)} == {target}


@pytest.mark.parametrize("action", ["runall", "archiveall", "deleteall"])
def test_where_nobody_can_be_asked_nothing_is_done(
    action: str, asynq: Command, database: redis.Redis
) -> None:
    put(database, "scheduled", "id", score=2**31)
    before = content(database)

    ran = asynq("task", action, "-q", "default", "-s", "scheduled")

    assert (ran.code, ran.out) == (2, "")
    assert ran.err == "asynq-py: nobody can be asked here; --yes does it without asking\n"
    assert content(database) == before


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
        ["run"],
        ["cancel"],
        ["update", "q", "id"],
        ["update", "q", "id", "x", "--payload-file", "f"],
        ["runall", "q", "active", "--yes"],
        ["archiveall", "q", "archived", "--yes"],
        ["deleteall", "q", "nope", "--yes"],
        ["deleteall", "q", "aggregating", "--yes"],
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


def test_every_field_of_a_task_is_there_for_programs(asynq: Command, database: redis.Redis) -> None:
    put(database, "pending", "id")

    found = asynq("task", "inspect", "default", "id", "--output", "json").json

    fields = {name for name, value in vars(TaskInfo).items() if isinstance(value, property)}
    assert found.keys() == {name for name in fields if not name.startswith("_")}
