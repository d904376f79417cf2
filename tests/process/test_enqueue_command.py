"""asynq-py enqueue, which is also asynq-py task enqueue."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import redis

from asynq_py import Inspector, TaskState
from asynq_py.wire.keys import unique_key
from tests.support.commands import Command


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
