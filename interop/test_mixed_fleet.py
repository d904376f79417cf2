"""Two Go and two Python workers on the same queues, on trial: one of each is killed, and so is
Redis. Each task ends as it should, was handled at least once, and is counted exactly once."""

from __future__ import annotations

import base64
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeAlias

import pytest
import redis
from test_doctor import OF_THE_SERVER
from waiting import until

from asynq_py import Inspector, TaskInfo
from asynq_py.doctor import Doctor
from asynq_py.testing import ConsumedTask, GoWorker, Oracle, Redis, Stack

StartWorker: TypeAlias = Callable[..., GoWorker]

QUEUES = {"critical": 6, "default": 3, "low": 1}
#: Of every worker.
OPTIONS = {
    "queues": QUEUES,
    "concurrency": 20,
    "retry_delay": 1,
    "group_grace": 1,
    "group_max_size": 100,
    "shutdown_timeout": 8,
}
#: How long a lease must be over before somebody else takes the task up, seconds.
OVERDUE_S = 30
LEASE_ENDED, FAILED = "asynq: task lease expired", "failed as asked"


@dataclass(frozen=True)
class Kind:
    """Tasks that are alike.

    Attributes:
        name: What their IDs begin with.
        n: How many there are in each queue.
        type: What they do.
        end: "gone", "completed", "archived" or "merged".
        options: How they are enqueued.
        errors: What may be the last that went wrong with those that are archived.
    """

    name: str
    n: dict[str, int]
    type: str
    end: str = "gone"
    options: dict[str, object] = field(default_factory=dict)
    errors: tuple[str, ...] = ()


HOUR = "1h"
SLOW = {"payload": "200"}
KINDS = [
    Kind("slow", {"critical": 1200, "default": 500}, "sleep:a", options=SLOW),
    Kind("plain", {"critical": 3000, "default": 3000, "low": 2500}, "plain:a"),
    Kind(
        "kept",
        {"critical": 1000, "low": 1000},
        "result:a",
        "completed",
        {"payload": "{i}", "retention": HOUR},
    ),
    Kind("unique", {"default": 1500}, "plain:u", options={"payload": "{i}", "unique": HOUR}),
    Kind("in 2 s", {"critical": 500}, "sleep:a", options=SLOW | {"process-in": "2s"}),
    Kind("in 6 s", {"default": 500}, "sleep:a", options=SLOW | {"process-in": "6s"}),
    Kind("in 12 s", {"low": 500}, "plain:a", options={"process-in": "12s"}),
    Kind("flaky", {"default": 1500}, "flaky:a"),
    Kind(
        "fails",
        {"critical": 400, "low": 400},
        "fail:a",
        "archived",
        {"max-retry": 1},
        (FAILED, LEASE_ENDED),
    ),
    Kind(
        "skips",
        {"default": 600},
        "skip:a",
        "archived",
        errors=("skipped as asked: skip retry for the task",),
    ),
    Kind(
        "revoked",
        {"default": 600},
        "revoke:a",
        options={"payload": "{i}", "unique": HOUR, "retention": HOUR},
    ),
    Kind(
        "late",
        {"critical": 150, "default": 150},
        "sleep:b",
        "archived",
        {"payload": "60000", "timeout_": "1s", "max-retry": 0},
        ("context deadline exceeded", LEASE_ENDED),
    ),
    Kind("of g:1", {"critical": 100}, "plain:g", "merged", {"payload": "{i}", "group": "g:1"}),
    Kind("of ü", {"default": 200}, "plain:g", "merged", {"payload": "{i}", "group": "ü"}),
    Kind("of g", {"low": 700}, "plain:g", "merged", {"payload": "{i}", "group": "g"}),
]
TOTAL = 20_000


@pytest.fixture
def redis_server(stack: Stack) -> Iterator[Redis]:
    """A Redis server that loses nothing it has answered, for this test alone."""
    server = stack.redis(appendonly=True, appendfsync="always")
    yield server
    server.stop()


@pytest.mark.timeout(600)
def test_a_fleet_loses_and_repeats_nothing_when_workers_and_redis_are_killed(
    stack: Stack,
    worker: StartWorker,
    python_worker: StartWorker,
    oracle: Oracle,
    redis_server: Redis,
) -> None:
    clock = Clock()
    produce(stack, redis_server)
    clock.lap("produced")
    with Inspector(redis_server.url) as inspector:
        # All begin at the same time.
        for queue in QUEUES:
            inspector.pause_queue(queue)
        go = [worker(**OPTIONS) for _ in range(2)]
        python = [python_worker(**OPTIONS) for _ in range(2)]
        for queue in QUEUES:
            inspector.unpause_queue(queue)
    fleet = [*go, *python]
    clock.lap("fleet at work")
    with redis.Redis.from_url(redis_server.url) as raw:
        # Before anybody dies: a set that is left takes two minutes until it is taken up, and if
        # Go does that, it forgets to list the group.
        until(lambda: not _groups(raw))
    clock.lap("groups merged")

    for processed, killed in ((3000, go[0]), (6000, python[0])):
        _until_processed(redis_server, processed)
        until(lambda killed=killed: _unfinished(killed) >= 5)
        killed.kill()
        lost = _unfinished(killed)
        clock.lap(f"{'Go' if killed in go else 'Python'} worker killed with {lost} at work")
        assert lost, "nothing was lost by killing a worker: the test proves too little"
    _until_processed(redis_server, 9000)
    redis_server.kill()
    redis_server.restart()
    clock.lap("Redis killed and back")

    with redis.Redis.from_url(redis_server.url) as raw:
        # What the dead had in their hands is left. Nobody may touch it before its lease is long
        # over; then a server that starts looks at once, while others do so each minute.
        until(lambda: _overdue(raw), timeout=120)
        clock.lap(f"all but {(left := sum(_active(raw)))} handled; a Python worker more")
        fleet.append(python_worker(**OPTIONS))
        until(lambda: _nothing_but_overdue(raw), timeout=300)
        clock.lap(f"{sum(_active(raw))} left; a Go worker more")
        fleet.append(worker(**OPTIONS))
        until(lambda: not any(_active(raw)) and _nothing_but_overdue(raw), timeout=300)
        clock.lap("all handled")
    for each in fleet:
        if each not in (go[0], python[0]):
            assert each.stop() == 0, each.errors
    assert oracle.inspect(redis_server, "servers") == []
    clock.lap("all stopped")

    tasks = [task for each in fleet for task in each.tasks]
    with Inspector(redis_server.url) as inspector:
        end = End.of(inspector, tasks)
        for kind in KINDS:
            check_kind(kind, end)
        for queue in QUEUES:
            check_counters(queue, end, inspector)
    check_keys(redis_server, end)
    with Doctor(redis_server.url) as doctor:
        assert [each for each in doctor.examine() if each.code not in OF_THE_SERVER] == []
    python.append(fleet[-2])
    for each in python:
        assert "Traceback" not in each.errors
    # What Go takes up it counts as a failure, what Python takes up it does not.
    begun = Counter((task.queue, task.id, task.retried) for task in tasks)
    freely = sum(count - 1 for count in begun.values())
    print(  # noqa: T201
        f"\n  handled by each: {[len(each.tasks) for each in fleet]};"
        f" of {left} left over, {freely} began again without using up a retry;"
        f" groups became {len(end.merged)} tasks"
    )


def produce(stack: Stack, server: Redis) -> None:
    """Has Go enqueue all of them."""

    def enqueue(kind: Kind, queue: str, n: int) -> int:
        flags = {"task-id": f"{kind.name} {{i}}", "queue": queue, **kind.options}
        told = stack.produce(server, n=n, type=kind.type, timeout=120, **flags)
        return sum("error" not in each for each in told)

    wanted = [(kind, queue, n) for kind in KINDS for queue, n in kind.n.items()]
    with ThreadPoolExecutor(3) as threads:
        assert sum(threads.map(lambda each: enqueue(*each), wanted)) == TOTAL


@dataclass(frozen=True)
class End:
    """How it ended.

    Attributes:
        kept: By queue and ID, what is completed.
        archived: By queue and ID.
        handled: How often each was retried before when it was handled last; by queue and ID.
        merged: The tasks that were made of groups; by queue and ID.
    """

    kept: dict[tuple[str, str], TaskInfo]
    archived: dict[tuple[str, str], TaskInfo]
    handled: dict[tuple[str, str], int]
    merged: dict[tuple[str, str], ConsumedTask]

    @classmethod
    def of(cls, inspector: Inspector, tasks: Iterable[ConsumedTask]) -> End:
        """From what Redis has, and from what all workers told."""
        found = [
            {(q, t.id): t for q in QUEUES for t in inspector.iter_tasks(q, state)}
            for state in ("completed", "archived")
        ]
        handled: dict[tuple[str, str], int] = {}
        merged: dict[tuple[str, str], ConsumedTask] = {}
        for task in tasks:
            key = task.queue, task.id
            handled[key] = max(task.retried, handled.get(key, 0))
            if task.group_tasks:
                merged[key] = task
        return cls(*found, handled, merged)


def check_kind(kind: Kind, end: End) -> None:
    """Each task of a kind was handled, and became what it should."""
    for queue, n in kind.n.items():
        keys = {(queue, f"{kind.name} {i}") for i in range(n)}
        kept, archived = keys & end.kept.keys(), keys & end.archived.keys()
        if kind.end == "merged":
            members = Counter(
                member["payload"]
                for (where, _), task in end.merged.items()
                if where == queue and task.type == f"aggregated:{kind.options['group']}"
                for member in task.group_tasks
            )
            wanted = {base64.b64encode(str(i).encode()).decode() for i in range(n)}
            assert members.keys() == wanted, kind
            assert not keys & end.handled.keys(), kind
        else:
            # Go takes up a task whose worker died by failing it, also before it was handled.
            missing = keys - end.handled.keys()
            assert [e for e in missing if end.archived[e].last_error != LEASE_ENDED] == [], kind
        assert kept == (keys if kind.end == "completed" else set()), kind
        assert archived == (keys if kind.end == "archived" else set()), kind
        for key in kept:
            assert end.kept[key].result == end.kept[key].payload, key
        for key in archived:
            assert end.archived[key].last_error in kind.errors, key


def check_counters(queue: str, end: End, inspector: Inspector) -> None:
    """Each task is counted once as handled well or as archived, and once for each failure that
    has used up a retry: so whatever was handled twice, was acknowledged once."""
    produced = {
        (queue, f"{kind.name} {i}")
        for kind in KINDS
        if kind.end != "merged"
        for i in range(kind.n.get(queue, 0))
    }
    merged = {key for key in end.merged if key[0] == queue}
    archived = {key: task for key, task in end.archived.items() if key[0] == queue}
    good = (produced | merged) - archived.keys()
    info = inspector.queue_info(queue)
    assert info.processed_total - info.failed_total == len(good)
    assert info.failed_total == (
        len(archived)
        + sum(task.retried for task in archived.values())
        + sum(end.handled[key] for key in good)
    )
    assert (info.processed, info.failed) == (info.processed_total, info.failed_total)
    assert info.size == len(archived) + sum(key[0] == queue for key in end.kept)


def check_keys(server: Redis, end: End) -> None:
    """There is nothing in Redis but what there has to be."""
    today = time.strftime("%Y-%m-%d", time.gmtime())
    wanted = {"asynq:queues"}
    for queue in QUEUES:
        names = ["processed", "failed", f"processed:{today}", f"failed:{today}"]
        for name, tasks in (("completed", end.kept), ("archived", end.archived)):
            names += [name] if any(key[0] == queue for key in tasks) else []
        wanted |= {f"asynq:{{{queue}}}:{name}" for name in names}
    wanted |= {f"asynq:{{{queue}}}:t:{i}" for queue, i in (*end.kept, *end.archived)}
    assert {key.decode() for key in server.command("KEYS", "*")} == wanted


class Clock:
    """Tells people when something happened: `pytest -s`."""

    def __init__(self) -> None:
        self._begun = time.monotonic()

    def lap(self, what: str) -> None:
        """Something has happened."""
        print(f"\n  {time.monotonic() - self._begun:5.1f} s  {what}", end="")  # noqa: T201


def _until_processed(server: Redis, number: int) -> None:
    keys = [f"asynq:{{{queue}}}:processed" for queue in QUEUES]
    until(lambda: sum(int(n or 0) for n in server.command("MGET", *keys)) >= number, timeout=60)


def _unfinished(worker: GoWorker) -> int:
    """How many tasks a worker had begun and not ended, as far as it told."""
    told: Counter[str] = Counter(event["event"] for event in worker.log.events)
    return told["task"] - told["done"]


def _groups(raw: redis.Redis) -> int:
    """How many groups there are, and sets that are being aggregated."""
    asked = raw.pipeline()
    for prefix in (f"asynq:{{{queue}}}:" for queue in QUEUES):
        asked.scard(f"{prefix}groups").zcard(f"{prefix}aggregation_sets")
    return sum(asked.execute())


def _active(raw: redis.Redis) -> list[int]:
    asked = raw.pipeline()
    for queue in QUEUES:
        asked.llen(f"asynq:{{{queue}}}:active")
    counts: list[int] = asked.execute()
    return counts


def _overdue(raw: redis.Redis) -> bool:
    """Whether a task is to be taken up."""
    until_s = int(raw.time()[0]) - OVERDUE_S
    asked = raw.pipeline()
    for queue in QUEUES:
        asked.zcount(f"asynq:{{{queue}}}:lease", "-inf", until_s)
    return any(asked.execute())


def _nothing_but_overdue(raw: redis.Redis) -> bool:
    """Whether there is nothing to do but what was left by those that died."""
    now = int(raw.time()[0])
    asked = raw.pipeline()
    for prefix in (f"asynq:{{{queue}}}:" for queue in QUEUES):
        asked.llen(f"{prefix}pending").zcard(f"{prefix}scheduled").zcard(f"{prefix}retry")
        asked.zcount(f"{prefix}lease", now - OVERDUE_S, "+inf")
    return not any(asked.execute())
