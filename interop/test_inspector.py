"""The Inspector beside Go's: states that Go built, looked at by both, and steered by both on
twin databases."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

import pytest
import redis
from keyspace import differences
from waiting import until

from asynq_py import (
    AsynqError,
    ConfigError,
    Inspector,
    QueueNotEmptyError,
    QueueNotFoundError,
    QueueStateError,
    TaskInfo,
    TaskNotFoundError,
    TaskState,
    TaskStateError,
)
from asynq_py.testing import Oracle, OracleError, Redis, Stack

ZOO, GO, PYTHON = 0, 1, 2
QUEUE = "zoo"
GROUP = "g:1"
COUNTS = {
    "pending": 1200,
    "scheduled": 1100,
    "retry": 1050,
    "archived": 1030,
    "completed": 1020,
    "active": 20,
    "aggregating": 700,
}
#: The most that two looks at one database may be apart, of what depends on "now".
NEAR = timedelta(seconds=5)


class Zoo:
    """A Redis in which Go's client and worker left tasks in every state."""

    def __init__(self, oracle: Oracle, server: Redis) -> None:
        self.oracle = oracle
        self.redis = server

    def go(self, call: str, db: int = ZOO, **args: object) -> Any:  # noqa: ANN401
        target = self.oracle.target(self.redis, db)
        return self.oracle.post("/inspect", {**target, "call": call, "args": args})

    def python(self, db: int = ZOO) -> Inspector:
        return Inspector(self.redis.url_for(db))

    def raw(self, db: int = ZOO) -> redis.Redis:
        """A plain client; the caller closes it."""
        return redis.Redis.from_url(self.redis.url_for(db))

    def twin(self) -> None:
        """Copies everything to the databases of Go and of Python."""
        with self.raw() as source:
            keys = source.keys()
            for db in (GO, PYTHON):
                with self.raw(db) as target:
                    target.flushdb()
                copies = source.pipeline(transaction=False)
                for key in keys:
                    copies.copy(key, key, destination_db=db)
                assert all(copies.execute())

    def differences(self) -> list[str]:
        # At once, since what is left of a key's life is compared, and so many keys take seconds.
        with ThreadPoolExecutor() as threads:
            go, python = threads.map(lambda db: self.oracle.dump(self.redis, db), (GO, PYTHON))
        return differences(go, python)

    def ids(self, state: str) -> list[str]:
        group = GROUP if state == "aggregating" else None
        with self.python() as inspector:
            return [task.id for task in inspector.list_tasks(QUEUE, state, group=group, size=5)]


def _tasks(kind: str, count: int, **options: object) -> list[dict[str, Any]]:
    return [
        {
            "task": {
                "type": kind,
                "payload": base64.b64encode(f'{{"n":{n}}}'.encode()).decode(),
                "headers": {"n": str(n)} if n % 7 == 0 else None,
            },
            "queue": QUEUE,
            "task_id": f"{kind}-{n}",
            **options,
        }
        for n in range(count)
    ]


@pytest.fixture(scope="module")
def zoo(stack: Stack, oracle: Oracle) -> Iterator[Zoo]:
    server = stack.redis()
    target = oracle.target(server, ZOO)

    def enqueue(tasks: list[dict[str, Any]]) -> None:
        answers = oracle.post("/enqueue", [{**target, **task} for task in tasks])
        assert [a for a in answers if "error" in a] == []

    enqueue(_tasks("fail:again", COUNTS["retry"], max_retry=3))
    enqueue(_tasks("fail:for-good", COUNTS["archived"], max_retry=0, unique_ms=3_600_000))
    enqueue(_tasks("result:kept", COUNTS["completed"], retention_ms=3_600_000))
    worker = stack.worker(server, queues={QUEUE: 1}, concurrency=COUNTS["active"], retry_delay=3600)
    done = COUNTS["retry"] + COUNTS["archived"] + COUNTS["completed"]
    worker.wait_for(done, timeout=60)
    until(lambda: server.command("LLEN", f"asynq:{{{QUEUE}}}:active") == 0)
    sleepers = _tasks("sleep:long", COUNTS["active"])
    for task in sleepers:
        task["task"]["payload"] = base64.b64encode(b"600000").decode()
    enqueue(sleepers)
    worker.wait_for(done + COUNTS["active"], timeout=30)
    worker.kill()
    # What it showed of itself is about to expire: between two looks, it may be.
    for key in server.command("KEYS", "asynq:*ers:{*"):
        server.command("DEL", key)
    enqueue(_tasks("later", COUNTS["scheduled"], process_in_ms=7_200_000, unique_ms=60_000))
    enqueue(_tasks("now", COUNTS["pending"]))
    enqueue(_tasks("together", COUNTS["aggregating"], group=GROUP))
    enqueue(_tasks("apart", 5, group="other"))
    yield Zoo(oracle, server)
    server.stop()


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


@pytest.mark.parametrize("state", list(COUNTS))
@pytest.mark.parametrize(("page", "size"), [(1, 30), (2, 30), (3, 500), (1, 2000), (99, 30)])
def test_a_page_of_tasks_is_what_go_lists(zoo: Zoo, state: str, page: int, size: int) -> None:
    group = GROUP if state == "aggregating" else None

    theirs = zoo.go("list_tasks", queue=QUEUE, state=state, group=group or "", page=page, size=size)
    with zoo.python() as inspector:
        ours = inspector.list_tasks(QUEUE, state, group=group, page=page, size=size)

    assert len(ours) == len(theirs)
    for mine, other in zip(ours, theirs, strict=True):
        assert_same_task(mine, other)


@pytest.mark.parametrize("state", list(COUNTS))
def test_all_tasks_of_a_state_are_found_once(zoo: Zoo, state: str) -> None:
    group = GROUP if state == "aggregating" else None

    with zoo.python() as inspector:
        ids = [task.id for task in inspector.iter_tasks(QUEUE, state, group=group)]

    assert len(ids) == len(set(ids)) == COUNTS[state]


@pytest.mark.parametrize("state", list(COUNTS))
def test_a_task_is_what_go_shows(zoo: Zoo, state: str) -> None:
    for task_id in zoo.ids(state):
        with zoo.python() as inspector:
            assert_same_task(
                inspector.get_task(QUEUE, task_id), zoo.go("get_task", queue=QUEUE, id=task_id)
            )


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


Steer = Callable[[Inspector], object]

#: What is done, by Go's name for it and its arguments, and by ours.
SINGLE = [
    (call, state, number)
    for call, states in {
        "run_task": ("scheduled", "retry", "archived", "completed", "aggregating"),
        "archive_task": ("pending", "scheduled", "retry", "completed", "aggregating"),
        "delete_task": (
            "pending", "scheduled", "retry", "archived", "completed", "aggregating",
        ),
    }.items()
    for state in states
    for number in (0, 3)
]  # fmt: skip


@pytest.mark.parametrize(("call", "state", "number"), SINGLE)
def test_one_task_is_moved_as_go_moves_it(zoo: Zoo, call: str, state: str, number: int) -> None:
    task_id = zoo.ids(state)[number]
    zoo.twin()

    zoo.go(call, GO, queue=QUEUE, id=task_id)
    with zoo.python(PYTHON) as inspector:
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
    group = GROUP if state == "aggregating" else None
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


@pytest.mark.parametrize(("call", "args", "steer", "error"), REFUSED)
def test_what_go_refuses_is_refused_and_nothing_changed(
    zoo: Zoo, call: str, args: dict[str, Any], steer: Steer, error: type[AsynqError]
) -> None:
    zoo.twin()

    with pytest.raises(OracleError):
        zoo.go(call, GO, **{"queue": QUEUE, **args})
    with zoo.python(PYTHON) as inspector, pytest.raises(error):
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


def test_python_and_go_see_the_same_servers_and_cancel_in_them(stack: Stack, zoo: Zoo) -> None:
    server = stack.redis()
    worker = stack.worker(server, queues={QUEUE: 3, "low": 1}, concurrency=4)
    target = zoo.oracle.target(server)
    task = _tasks("sleep:long", 1)[0]
    task["task"]["payload"] = base64.b64encode(b"60000").decode()
    zoo.oracle.post("/enqueue", [{**target, **task}])
    worker.wait_for(1)

    with Inspector(server.url) as inspector:
        # The heartbeat shows a worker some seconds after it began.
        (ours,) = until(lambda: [s for s in inspector.servers() if s.active_workers])
        (theirs,) = zoo.oracle.post("/inspect", {**target, "call": "servers", "args": {}})
        for name in ("id", "host", "pid", "concurrency", "queues", "strict_priority", "status"):
            assert getattr(ours, name) == theirs[name], name
        assert ours.started_at == _moment(theirs["started"])
        (mine,), (other,) = ours.active_workers, theirs["active_workers"]
        assert (mine.task_id, mine.type, mine.payload, mine.queue) == (
            other["task_id"],
            other["type"],
            _bytes(other["payload"]),
            other["queue"],
        )
        assert (mine.started_at, mine.deadline) == (
            _moment(other["started"]),
            _moment(other["deadline"]),
        )
        inspector.cancel_task(mine.task_id)
        done = worker.wait_for_done(mine.task_id)
        assert "cancel" in done["error"]
    assert TaskState.ACTIVE == "active"
    worker.close()
    server.stop()
