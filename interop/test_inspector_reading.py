"""The Inspector beside Go's: states that Go built, looked at by both."""

from __future__ import annotations

import base64
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

import pytest
from waiting import until
from zoo import COUNTS, ORPHANED, QUEUE, Zoo, group_of, tasks

from asynq_py import Inspector, SchedulerEntryInfo, ServerInfo, TaskInfo
from asynq_py.testing import Oracle, Redis, Stack

#: The most that two looks at one database may be apart, of what depends on "now".
NEAR = timedelta(seconds=5)
#: More than there is of anything.
ALL = 10_000


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _near(one: datetime | None, other: datetime | None) -> bool:
    if one is None or other is None:
        return one is other
    return abs(one - other) <= NEAR


def _bytes(text: str | None) -> bytes:
    return base64.b64decode(text or "")


def assert_same_task(ours: TaskInfo, theirs: dict[str, Any]) -> None:
    assert ours.damage == ""
    for name in (
        "id", "queue", "type", "state", "max_retry", "retried", "last_error", "group",
        "is_orphaned",
    ):  # fmt: skip
        assert getattr(ours, name) == theirs[name], name
    assert ours.payload == _bytes(theirs["payload"])
    assert dict(ours.headers) == (theirs["headers"] or {})
    assert (ours.result or b"") == _bytes(theirs["result"])
    for name in ("timeout", "retention"):
        span = getattr(ours, name)
        assert (span // timedelta(milliseconds=1) if span else 0) == theirs[f"{name}_ms"], name
    for name in ("last_failed_at", "completed_at", "deadline"):
        assert getattr(ours, name) == _moment(theirs[name]), name
    # Of a pending task it is "now".
    assert _near(ours.next_process_at, _moment(theirs["next_process_at"]))


def assert_same_server(ours: ServerInfo, theirs: dict[str, Any]) -> None:
    for name in ("id", "host", "pid", "concurrency", "queues", "strict_priority", "status"):
        assert getattr(ours, name) == theirs[name], name
    assert ours.started_at == _moment(theirs["started"])
    workers = sorted(theirs["active_workers"], key=lambda worker: str(worker["task_id"]))
    assert len(ours.active_workers) == len(workers)
    for mine, other in zip(ours.active_workers, workers, strict=True):
        for name, shown in {"task_id": "task_id", "type": "type", "queue": "queue"}.items():
            assert getattr(mine, name) == other[shown], name
        assert mine.payload == _bytes(other["payload"])
        assert mine.started_at == _moment(other["started"])
        assert mine.deadline == _moment(other["deadline"])


@pytest.mark.parametrize("state", list(COUNTS))
@pytest.mark.parametrize(("page", "size"), [(1, 30), (2, 30), (3, 500), (99, 30), (1, ALL)])
def test_a_page_of_tasks_is_what_go_lists(zoo: Zoo, state: str, page: int, size: int) -> None:
    group = group_of(state)

    theirs = zoo.go("list_tasks", queue=QUEUE, state=state, group=group or "", page=page, size=size)
    with zoo.python() as inspector:
        ours = inspector.list_tasks(QUEUE, state, group=group, page=page, size=size)

    assert len(ours) == len(theirs) == max(0, min(size, COUNTS[state] - (page - 1) * size))
    for mine, other in zip(ours, theirs, strict=True):
        assert_same_task(mine, other)
    if size == ALL:
        assert sum(task.is_orphaned for task in ours) == (ORPHANED if state == "active" else 0)


@pytest.mark.parametrize("state", list(COUNTS))
def test_all_tasks_of_a_state_are_found_once(zoo: Zoo, state: str) -> None:
    ids = zoo.ids(state)

    assert len(ids) == len(set(ids)) == COUNTS[state]


@pytest.mark.parametrize("state", list(COUNTS))
def test_a_task_is_what_go_shows(zoo: Zoo, state: str) -> None:
    with zoo.python() as inspector:
        for task_id in zoo.ids(state, every=100):
            theirs = zoo.go("get_task", queue=QUEUE, id=task_id)
            assert_same_task(inspector.get_task(QUEUE, task_id), theirs)


def test_a_queue_is_what_go_shows(zoo: Zoo) -> None:
    theirs = zoo.go("queue_info", queue=QUEUE)
    with zoo.python() as inspector:
        ours = asdict(inspector.queue_info(QUEUE))

    for name in theirs.keys() - {"timestamp", "latency_ms", "memory_usage"}:
        assert ours[name] == theirs[name], name
    assert abs(ours["latency"] / timedelta(milliseconds=1) - theirs["latency_ms"]) < 5000
    assert _near(ours["timestamp"], _moment(theirs["timestamp"]))
    assert ours["memory_usage"] == pytest.approx(theirs["memory_usage"], rel=0.01)
    assert {state: ours[state] for state in COUNTS if state != "aggregating"} == {
        state: count for state, count in COUNTS.items() if state != "aggregating"
    }


def test_the_cheap_numbers_agree_with_the_others(zoo: Zoo) -> None:
    with zoo.python() as inspector:
        (cheap,) = inspector.queue_sizes()
        full = inspector.queue_info(QUEUE)

    assert cheap.size == full.size - full.aggregating
    for name in (*COUNTS, "groups", "processed_total", "failed_total", "paused"):
        if name != "aggregating":
            assert getattr(cheap, name) == getattr(full, name), name


def test_queues_groups_and_history_are_what_go_shows(zoo: Zoo) -> None:
    with zoo.python() as inspector:
        assert inspector.queues() == sorted(zoo.go("queues"))
        groups = {g.group: g.size for g in inspector.groups(QUEUE)}
        history = inspector.history(QUEUE, 5)

    assert groups == {g["group"]: g["size"] for g in zoo.go("groups", queue=QUEUE)}
    theirs = zoo.go("history", queue=QUEUE, days=5)
    assert [(d.processed, d.failed) for d in history] == [
        (d["processed"], d["failed"]) for d in theirs
    ]
    assert [d.date.date() for d in history] == [
        datetime.fromisoformat(d["date"]).date() for d in theirs
    ]


def test_thousands_of_tasks_at_work_are_what_go_shows(zoo: Zoo) -> None:
    (theirs,) = zoo.go("servers")
    with zoo.python() as inspector:
        (ours,) = inspector.servers()

    assert len(ours.active_workers) == COUNTS["active"]
    assert_same_server(ours, theirs)


def test_both_see_a_worker_at_work_and_a_task_is_cancelled_in_it(
    stack: Stack, oracle: Oracle, redis_server: Redis
) -> None:
    worker = stack.worker(redis_server, queues={QUEUE: 3, "low": 1}, concurrency=4)
    (task,) = tasks("sleep:long", 1, payload="60000")
    oracle.post("/enqueue", [{**oracle.target(redis_server), **task}])
    worker.wait_for(1)

    with Inspector(redis_server.url) as inspector:
        # The heartbeat shows a task some seconds after it began.
        (ours,) = until(lambda: [s for s in inspector.servers() if s.active_workers])
        (theirs,) = oracle.inspect(redis_server, "servers")
        assert_same_server(ours, theirs)
        inspector.cancel_task(ours.active_workers[0].task_id)
        done = worker.wait_for_done(task["task_id"])
        assert "cancel" in done["error"]
    worker.close()


def _shown(entry: SchedulerEntryInfo) -> dict[str, Any]:
    """An entry as the oracle tells of it."""
    return {
        "id": entry.id,
        "spec": entry.spec,
        "type": entry.type,
        "payload": base64.b64encode(entry.payload).decode(),
        "opts": list(entry.options),
        "next": entry.next_run,
        "prev": entry.previous_run,
    }


def _theirs(entry: dict[str, Any]) -> dict[str, Any]:
    moments = {name: _moment(entry[name]) for name in ("next", "prev")}
    return entry | {"payload": entry["payload"] or ""} | moments


def test_the_entries_and_runs_of_a_go_scheduler_are_what_go_shows(
    oracle: Oracle, redis_server: Redis
) -> None:
    payload = base64.b64encode(b"p").decode()
    entries: list[dict[str, Any]] = [
        {"spec": f"@every {n + 1}h", "type": f"t{n}", "payload": payload if n % 2 else None}
        | {"queue": f"q{n % 5}", "max_retry": n, "timeout_ms": 1000 * n, "unique_ms": 60_000}
        for n in range(1000)
    ]
    entries.append({"spec": "@every 1s", "type": "tick", "payload": payload})
    scheduler = oracle.start_scheduler(redis_server, entries)
    tick = scheduler["entry_ids"][-1]

    with Inspector(redis_server.url) as inspector:
        until(lambda: len(inspector.scheduler_history(tick)) >= 3)

        # There is more of both each second: look again if it came between the two looks.
        def same_entries() -> bool:
            ours = [_shown(entry) for entry in inspector.scheduler_entries()]
            theirs = oracle.inspect(redis_server, "scheduler_entries")
            return len(ours) == len(entries) and ours == [_theirs(entry) for entry in theirs]

        def same_runs() -> bool:
            ours = inspector.scheduler_history(tick, size=ALL)
            theirs = oracle.inspect(redis_server, "scheduler_events", id=tick, page=1, size=ALL)
            return [(run.task_id, run.enqueued_at) for run in ours] == [
                (run["task_id"], _moment(run["enqueued_at"])) for run in theirs
            ]

        until(same_entries)
        until(same_runs)
        oracle.stop_scheduler(scheduler["id"])
        assert inspector.scheduler_entries() == []
