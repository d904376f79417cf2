"""A Python scheduler beside Go: its tasks are consumed, its entries and history are listed."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from keyspace import differences

from asynq_py import Scheduler, SchedulerConfig, Task
from asynq_py.testing import GoWorker, Oracle, Redis, Stack

StartWorker = Callable[..., GoWorker]


def test_a_scheduler_feeds_a_go_worker_every_second(worker: StartWorker, redis_url: str) -> None:
    consumer = worker(queues={"critical": 2, "default": 1})
    scheduler = Scheduler(redis_url)
    scheduler.register("@every 1s", Task("tick", {"n": 1}), name="ticker", queue="critical")
    scheduler.register("@every 2s", Task("tock"))

    with scheduler:
        consumer.wait_for(
            lambda tasks: (
                sum(t.type == "tick" for t in tasks) >= 4
                and sum(t.type == "tock" for t in tasks) >= 2
            ),
            timeout=15,
        )
    ticks = [t for t in consumer.tasks if t.type == "tick"]
    moments = [datetime.fromisoformat(t.headers["asynq-scheduled-for"]) for t in ticks]

    assert all(t.headers["asynq-entry"] == "ticker" for t in ticks)
    assert all(t.payload == b'{"n":1}' and t.queue == "critical" for t in ticks)
    # Each second once, none left out.
    assert sorted(moments) == [moments[0] + timedelta(seconds=n) for n in range(len(moments))]
    for task, moment in zip(ticks, moments, strict=True):
        assert datetime.fromtimestamp(task.at_ns / 1e9, UTC) >= moment
    assert all(t.headers == {} for t in consumer.tasks if t.type == "tock")


#: Register's options for both sides; Go's in the order in which the oracle gives them.
OPTIONS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {}),
    ({"queue": 'cri"tical\n'}, {"queue": 'cri"tical\n'}),
    (
        {"queue": "low", "max_retry": 3, "timeout": 90, "unique": 3600, "retention": 86400},
        {
            "queue": "low",
            "max_retry": 3,
            "timeout_ms": 90_000,
            "unique_ms": 3_600_000,
            "retention_ms": 86_400_000,
        },
    ),
    (
        {"task_id": "fixed", "deadline": datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC), "group": "g"},
        {"task_id": "fixed", "deadline": "2030-01-02T03:04:05Z", "group": "g"},
    ),
    ({"process_in": 1.5}, {"process_in_ms": 1500}),
]


def test_go_inspector_lists_the_entries_as_it_lists_those_of_go(
    oracle: Oracle, redis_server: Redis
) -> None:
    payload = base64.b64encode(b'{"a":1}').decode()
    specs = ["0 9 * * mon-fri", "30 2 1 * *", "@daily", "@every 1h", "0 0 30 2 *"]
    scheduler = Scheduler(redis_server.url_for(1), SchedulerConfig(location="Europe/Berlin"))
    entries = []
    for spec, (ours, theirs) in zip(specs, OPTIONS, strict=True):
        scheduler.register(spec, Task("report", {"a": 1}), **ours)
        entries.append({"spec": spec, "type": "report", "payload": payload, **theirs})

    go = oracle.start_scheduler(
        redis_server, entries, db=0, heartbeat_ms=1000, location="Europe/Berlin"
    )
    scheduler.start()
    try:
        theirs = _entries_once_listed(oracle, redis_server, db=0, count=len(specs))
        ours = _entries_once_listed(oracle, redis_server, db=1, count=len(specs))
    finally:
        scheduler.stop()
        oracle.stop_scheduler(go["id"])

    def comparable(entry: dict[str, Any]) -> dict[str, Any]:
        # IDs are random, and "@every" counts from each one's own start.
        return {
            name: value
            for name, value in entry.items()
            if name != "id" and not (name == "next" and entry["spec"] == "@every 1h")
        }

    assert [comparable(e) for e in ours] == [comparable(e) for e in theirs]


def test_go_inspector_shows_the_history_also_after_the_scheduler_stopped(
    oracle: Oracle, worker: StartWorker, redis_server: Redis
) -> None:
    consumer = worker()
    scheduler = Scheduler(redis_server.url)
    unnamed = scheduler.register("@every 1s", Task("plain"))
    named = scheduler.register("@every 1s", Task("named"), name="kept")
    scheduler.start()
    consumer.wait_for(lambda tasks: len(tasks) >= 4)

    # The history is written after the task, so wait for the worker no more: ask Go.
    events = _until(lambda: oracle.inspect(redis_server, "scheduler_events", id=named))
    scheduler.stop()

    consumed = {task.id for task in consumer.tasks}
    assert {event["task_id"] for event in events} <= consumed
    assert oracle.inspect(redis_server, "scheduler_entries") == []
    assert oracle.inspect(redis_server, "scheduler_events", id=unnamed) != []
    assert oracle.inspect(redis_server, "scheduler_events", id=named) != []


def test_a_plain_entry_enqueues_byte_for_byte_what_go_enqueues(
    stack: Stack, oracle: Oracle
) -> None:
    redis = stack.redis()
    options = {"task_id": "same", "queue": "q", "max_retry": 1}
    go = oracle.start_scheduler(
        redis, [{"spec": "@every 1s", "type": "t", "payload": "eA==", **options}], db=0
    )
    scheduler = Scheduler(redis.url_for(1))
    entry_id = scheduler.register("@every 1s", Task("t", b"x"), **options)
    with scheduler:
        _until(lambda: oracle.scheduler_report(go["id"])["enqueued"])
        _until(lambda: "asynq:{q}:pending" in oracle.dump(redis, 1))
    oracle.stop_scheduler(go["id"])

    # Go's history goes with its scheduler; ours expires.
    history = f"only Python has asynq:scheduler_history:{entry_id}"
    found = differences(oracle.dump(redis, 0), oracle.dump(redis, 1))
    assert set(found) - {history} == set()
    redis.stop()


def _entries_once_listed(
    oracle: Oracle, redis: Redis, *, db: int, count: int
) -> list[dict[str, Any]]:
    def look() -> list[dict[str, Any]]:
        entries = oracle.inspect(redis, "scheduler_entries", db=db)
        return entries if len(entries) == count else []

    return _until(look)


def _until(look: Callable[[], Any]) -> Any:  # noqa: ANN401 - whatever look returns
    """Asks another process again and again (a round trip each) until it has an answer."""
    deadline = datetime.now(UTC) + timedelta(seconds=15)
    while not (found := look()):
        assert datetime.now(UTC) < deadline, "nothing within 15 s"
    return found
