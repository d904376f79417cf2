"""asynq-py task run, archive, delete, update, cancel; and what acts on all tasks of a state."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from asynq_py import Inspector
from asynq_py.wire.keys import CANCEL
from tests.support.commands import Command
from tests.support.database import content
from tests.support.states import put


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


@pytest.mark.parametrize(
    ("action", "state"),
    [("run", "pending"), ("archive", "archived"), ("delete", None), ("update", "scheduled")],
)
def test_what_became_of_a_task_is_there_for_programs(
    action: str, state: str | None, asynq: Command, database: redis.Redis
) -> None:
    more = ["x"] if action == "update" else []
    put(database, "scheduled", "id", score=2**31)

    ran = asynq("task", action, "default", "id", *more, "--output", "json")

    assert (ran.code, ran.err) == (0, "")
    assert ran.json == {"queue": "default", "id": "id", "state": state}
    ran = asynq("task", action, "default", "nope", *more, "--output", "json")
    assert (ran.code, ran.out) == (1, "")


@pytest.mark.parametrize("action", ["runall", "archiveall", "deleteall"])
def test_how_many_tasks_were_moved_is_there_for_programs(
    action: str, asynq: Command, database: redis.Redis
) -> None:
    for n in range(3):
        put(database, "aggregating", f"id-{n}", group="g")
        put(database, "retry", f"other-{n}", score=2**31)
    json = ["--output", "json"]

    refused = asynq("task", action, "default", "retry", *json)
    plain = asynq("task", action, "default", "retry", "--yes", *json)
    grouped = asynq("task", action, "default", "aggregating", "-g", "g", "--yes", *json)

    assert (refused.code, refused.out) == (2, "")
    moved = {"queue": "default", "state": "retry", "group": None, "moved": 3}
    assert plain.json == moved
    assert grouped.json == moved | {"state": "aggregating", "group": "g"}


def test_who_is_asked_to_stop_is_there_for_programs(asynq: Command) -> None:
    assert asynq("task", "cancel", "a", "b", "--output", "json").json == [{"id": "a"}, {"id": "b"}]


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


def test_what_can_never_be_moved_is_refused_without_a_question(asynq: Command) -> None:
    for action, state in (("runall", "pending"), ("archiveall", "active"), ("deleteall", "active")):
        ran = asynq("task", action, "q", state)

        assert (ran.code, ran.out) == (2, "")
        assert ran.err.startswith(f"asynq-py: {state} tasks cannot be ")


@pytest.mark.parametrize(
    "arguments",
    [
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
