"""The Inspector beside Go's: states that Go built, steered by both on twin databases, which must
be equal afterwards, key by key."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest
from zoo import COUNTS, GO, PYTHON, QUEUE, Zoo, group_of

from asynq_py import (
    AsynqError,
    ConfigError,
    Inspector,
    QueueNotEmptyError,
    QueueNotFoundError,
    QueueStateError,
    TaskNotFoundError,
    TaskStateError,
)
from asynq_py.testing import OracleError

Steer = Callable[[Inspector], object]

#: From where each action moves one task.
ONE = {
    "run_task": ("scheduled", "retry", "archived", "completed", "aggregating"),
    "archive_task": ("pending", "scheduled", "retry", "completed", "aggregating"),
    "delete_task": ("pending", "scheduled", "retry", "archived", "completed", "aggregating"),
}


@pytest.mark.parametrize("call", ONE)
def test_one_task_is_moved_as_go_moves_it(zoo: Zoo, call: str) -> None:
    ids = [task_id for state in ONE[call] for task_id in zoo.ids(state, every=300)]
    zoo.twin()

    with zoo.python(PYTHON) as inspector:
        for task_id in ids:
            zoo.go(call, GO, queue=QUEUE, id=task_id)
            getattr(inspector, call)(QUEUE, task_id)

    assert zoo.differences() == []


BULK = [
    (call, state)
    for call, states in {
        "run_all": ("scheduled", "retry", "archived", "aggregating"),
        "archive_all": ("pending", "scheduled", "retry", "aggregating"),
        "delete_all": (
            "pending", "scheduled", "retry", "archived", "completed", "aggregating",
        ),
    }.items()
    for state in states
]  # fmt: skip


@pytest.mark.parametrize(("call", "state"), BULK)
def test_all_tasks_are_moved_as_go_moves_them(zoo: Zoo, call: str, state: str) -> None:
    group = group_of(state)
    zoo.twin()

    theirs = zoo.go(call, GO, queue=QUEUE, state=state, group=group or "")
    told: list[int] = []
    with zoo.python(PYTHON) as inspector:
        ours = getattr(inspector, call)(QUEUE, state, group=group, progress=told.append)

    assert ours == theirs == COUNTS[state]
    assert told == sorted(told)
    assert told[-1] == ours
    assert zoo.differences() == []


def test_queues_are_paused_and_payloads_updated_as_in_go(zoo: Zoo) -> None:
    task_id = zoo.ids("scheduled")[0]
    zoo.twin()

    zoo.go("pause_queue", GO, queue=QUEUE)
    zoo.go("pause_queue", GO, queue="not yet there")
    zoo.go("update_payload", GO, queue=QUEUE, id=task_id, payload=base64.b64encode(b"new").decode())
    with zoo.python(PYTHON) as inspector:
        inspector.pause_queue(QUEUE)
        inspector.pause_queue("not yet there")
        inspector.update_payload(QUEUE, task_id, b"new")
    assert zoo.differences() == []

    zoo.go("unpause_queue", GO, queue=QUEUE)
    with zoo.python(PYTHON) as inspector:
        inspector.unpause_queue(QUEUE)
    assert zoo.differences() == []


REFUSED: list[tuple[str, dict[str, Any], Steer, type[AsynqError]]] = [
    ("run_task", {"id": "nobody"}, lambda i: i.run_task(QUEUE, "nobody"), TaskNotFoundError),
    ("run_task", {"id": "now-0"}, lambda i: i.run_task(QUEUE, "now-0"), TaskStateError),
    (
        "run_task",
        {"id": "sleep:long-0"},
        lambda i: i.run_task(QUEUE, "sleep:long-0"),
        TaskStateError,
    ),
    (
        "archive_task",
        {"id": "fail:for-good-0"},
        lambda i: i.archive_task(QUEUE, "fail:for-good-0"),
        TaskStateError,
    ),
    (
        "delete_task",
        {"id": "sleep:long-0"},
        lambda i: i.delete_task(QUEUE, "sleep:long-0"),
        TaskStateError,
    ),
    (
        "update_payload",
        {"id": "now-0", "payload": ""},
        lambda i: i.update_payload(QUEUE, "now-0", b""),
        TaskStateError,
    ),
    ("get_task", {"id": "nobody"}, lambda i: i.get_task(QUEUE, "nobody"), TaskNotFoundError),
    ("queue_info", {"queue": "nowhere"}, lambda i: i.queue_info("nowhere"), QueueNotFoundError),
    (
        "list_tasks",
        {"queue": "nowhere", "state": "pending"},
        lambda i: i.list_tasks("nowhere", "pending"),
        QueueNotFoundError,
    ),
    (
        "delete_all",
        {"queue": "nowhere", "state": "retry"},
        lambda i: i.delete_all("nowhere", "retry"),
        QueueNotFoundError,
    ),
    ("unpause_queue", {}, lambda i: i.unpause_queue(QUEUE), QueueStateError),
    ("delete_queue", {}, lambda i: i.delete_queue(QUEUE), QueueNotEmptyError),
    (
        "delete_queue",
        {"force": True},
        lambda i: i.delete_queue(QUEUE, force=True),
        QueueNotEmptyError,
    ),
    ("history", {"days": 0}, lambda i: i.history(QUEUE, 0), ConfigError),
]


def test_what_go_refuses_is_refused_and_nothing_changed(zoo: Zoo) -> None:
    zoo.twin()

    with zoo.python(PYTHON) as inspector:
        for call, args, steer, error in REFUSED:
            with pytest.raises(OracleError):
                zoo.go(call, GO, **{"queue": QUEUE, **args})
            with pytest.raises(error):
                steer(inspector)

    assert zoo.differences() == []


def test_a_queue_that_is_deleted_leaves_nothing_behind(zoo: Zoo) -> None:
    zoo.twin()
    with zoo.raw(PYTHON) as raw:
        # What no inspector may delete: the tasks at work.
        raw.delete(*(f"asynq:{{{QUEUE}}}:{suffix}" for suffix in ("active", "lease")))
        raw.delete(*(f"asynq:{{{QUEUE}}}:t:sleep:long-{n}" for n in range(COUNTS["active"])))

        with zoo.python(PYTHON) as inspector:
            inspector.pause_queue(QUEUE)
            inspector.delete_queue(QUEUE, force=True)
            assert inspector.queues() == []

        left: list[bytes] = raw.keys()
        assert [key for key in left if QUEUE.encode() in key] == []
