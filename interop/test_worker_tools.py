"""Workers of both languages in the tools of both: Go's Inspector and asynqmon see a Python server
and what it is at, and cancel a task in it; a Python Inspector does so to Go's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import pytest
from test_inspector_reading import assert_same_server
from waiting import until

from asynq_py import Client, Inspector, Task
from asynq_py.testing import Asynqmon, GoWorker, Oracle, Redis, Stack
from asynq_py.testing.go import GoError, find_go

StartWorker: TypeAlias = Callable[..., GoWorker]

#: In a coroutine, and in a thread that looks at `cancelled` (in Go they are alike).
KINDS = ("sleep:loop", "sleep:thread")
QUEUES = {"default": 3, "low": 1}


@pytest.fixture
def busy(redis_url: str) -> None:
    """Tasks that take a minute, one of each kind, with their kinds for IDs."""
    with Client(redis_url) as client:
        for kind in KINDS:
            client.enqueue(Task(kind, b"60000"), task_id=kind, timeout=90)


@pytest.fixture
def inspector(redis_url: str) -> Iterator[Inspector]:
    with Inspector(redis_url) as inspector:
        yield inspector


@pytest.fixture
def asynqmon(stack: Stack, redis_server: Redis) -> Asynqmon:
    """On the same Redis. Skips where there is no Go."""
    try:
        find_go()
    except GoError as error:
        pytest.skip(f"NO ASYNQMON: {error}")
    return stack.asynqmon(redis_server)


def until_shown(inspector: Inspector) -> None:
    """Waits for the heartbeat that tells of the tasks: it comes every few seconds."""
    until(lambda: any(len(each.active_workers) == len(KINDS) for each in inspector.servers()))


def assert_cancelled(worker: GoWorker, inspector: Inspector, task_id: str) -> None:
    """Waits until a task was cancelled, and sees that nothing else was."""
    worker.wait_for_done(task_id)
    until(lambda: inspector.get_task("default", task_id).state == "retry")
    assert inspector.get_task("default", task_id).last_error == "context canceled"
    others = [each.id for each in inspector.list_tasks("default", "active")]
    assert sorted(others) == sorted({*KINDS} - {task_id})


@pytest.mark.usefixtures("busy")
@pytest.mark.parametrize("kind", KINDS)
def test_go_sees_a_python_server_and_cancels_a_task_in_it(
    python_worker: StartWorker,
    oracle: Oracle,
    redis_server: Redis,
    inspector: Inspector,
    kind: str,
) -> None:
    worker = python_worker(queues=QUEUES, concurrency=4, strict=True)
    worker.wait_for(2)
    until_shown(inspector)

    (ours,) = inspector.servers()
    (theirs,) = oracle.inspect(redis_server, "servers")
    assert_same_server(ours, theirs)
    assert (theirs["concurrency"], theirs["queues"], theirs["status"]) == (4, QUEUES, "active")
    assert theirs["strict_priority"]
    shown = {each["task_id"]: each for each in theirs["active_workers"]}
    assert shown.keys() == {*KINDS}
    active = oracle.inspect(redis_server, "list_tasks", queue="default", state="active")
    assert {each["id"]: each["is_orphaned"] for each in active} == dict.fromkeys(KINDS, False)

    oracle.inspect(redis_server, "cancel_task", id=kind)
    assert_cancelled(worker, inspector, kind)


@pytest.mark.usefixtures("busy")
@pytest.mark.parametrize("kind", KINDS)
def test_asynqmon_sees_a_python_server_and_cancels_a_task_in_it(
    python_worker: StartWorker, asynqmon: Asynqmon, inspector: Inspector, kind: str
) -> None:
    worker = python_worker(queues=QUEUES, concurrency=4)
    worker.wait_for(2)
    until_shown(inspector)

    (ours,) = inspector.servers()
    (server,) = asynqmon.get("servers")["servers"]
    assert (server["id"], server["host"], server["pid"]) == (ours.id, ours.host, ours.pid)
    assert (server["status"], server["concurrency"]) == ("active", 4)
    assert (server["queue_priorities"], server["strict_priority_enabled"]) == (QUEUES, False)
    assert {each["task_id"] for each in server["active_workers"]} == {*KINDS}
    shown = asynqmon.get("queues", "default", "active_tasks")["tasks"]
    assert {each["id"] for each in shown} == {*KINDS}
    assert all(each["start_time"] != "-" and each["deadline"] != "-" for each in shown)

    asynqmon.post("queues", "default", "active_tasks", f"{kind}:cancel")
    assert_cancelled(worker, inspector, kind)


@pytest.mark.usefixtures("busy")
def test_a_python_inspector_sees_a_go_server_and_cancels_a_task_in_it(
    worker: StartWorker, oracle: Oracle, redis_server: Redis, inspector: Inspector
) -> None:
    consumer = worker(queues=QUEUES, concurrency=4, strict=True)
    consumer.wait_for(2)
    until_shown(inspector)

    (ours,) = inspector.servers()
    (theirs,) = oracle.inspect(redis_server, "servers")
    assert_same_server(ours, theirs)

    inspector.cancel_task(KINDS[0])
    assert_cancelled(consumer, inspector, KINDS[0])


def test_both_list_a_mixed_fleet_until_it_is_gone(
    worker: StartWorker,
    python_worker: StartWorker,
    oracle: Oracle,
    redis_server: Redis,
    inspector: Inspector,
) -> None:
    fleet = [worker(queues=QUEUES), python_worker(queues=QUEUES), python_worker()]
    until(lambda: len(inspector.servers()) == len(fleet))

    theirs: dict[str, Any] = {s["id"]: s for s in oracle.inspect(redis_server, "servers")}
    assert len(theirs) == len(fleet)
    for ours in inspector.servers():
        assert_same_server(ours, theirs[ours.id])

    for each in fleet:
        assert each.stop() == 0
    assert oracle.inspect(redis_server, "servers") == []
    assert inspector.servers() == []
