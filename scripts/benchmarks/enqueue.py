"""Storing tasks: asynq_py, Go's asynq, the script alone, and other Python queues.

Everybody makes a task of {"user_id", "email", "template"} inside the measured time, encodes
it in its own default way and stores it in the same Redis, with its default options.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from .model import Aim, Contender, Program, Settings, Suite
from .options import Options, having
from .page import Report
from .programs import go, own, peer
from .progress import Progress
from .report import report
from .runner import run

ONE_BY_ONE = "One by one: a call and its round trip for each task"
TOGETHER = "Many at a time: batches, or calls awaited concurrently"
LIMIT = "The limit: redis-benchmark running enqueue.lua, no client logic at all"

BATCH = 500
#: How many tasks asynq_py gives the script at most, see broker/enqueue_all.py.
CHUNK = 100
PIPELINE = 16

SEQUENTIAL = ("go sequential",)
GOROUTINES = ("go 10 goroutines", "go 50 goroutines")

PENDING = ("LLEN", "asynq:{default}:pending")

DEFAULT = Settings(rounds=7, seconds=0.6)
QUICK = Settings(rounds=2, seconds=0.2)


def measure(options: Options, progress: Progress) -> Report:
    """Runs the suite `enqueue`."""
    usual = QUICK if options.quick else DEFAULT
    settings = Settings(options.rounds or usual.rounds, usual.seconds, options.tasks)
    whole = suite()
    contenders = having(whole.contenders, options.only, "contender", lambda c: c.name)
    contenders = having(contenders, options.tables, "table", lambda c: c.section)
    return report(run(replace(whole, contenders=contenders), settings, progress))


def suite() -> Suite:
    """The suite `enqueue`."""
    return Suite(
        "enqueue",
        "Enqueuing a small task",
        (*_own(), *_peers(), *_limits()),
        (
            Aim("Client, one by one: 0.7 of Go", "client", SEQUENTIAL, 0.7),
            Aim("Client.enqueue_many: 1.8 of Go's best", "client batches", GOROUTINES, 1.8),
            Aim(
                "AsyncClient, 50 awaiting: as fast as Go, 50 goroutines",
                "async client 50",
                ("go 50 goroutines",),
                1.0,
            ),
        ),
    )


def _one_by_one(
    key: str, name: str, program: Program, count: tuple[str, str], **command: str | int
) -> Contender:
    command = {"mode": "one by one", **command}
    return Contender(key, name, ONE_BY_ONE, program, command, count, SEQUENTIAL)


def _together(
    key: str, name: str, program: Program, count: tuple[str, str], **command: str | int
) -> Contender:
    multiple = int(command.get("size", 1))
    return Contender(key, name, TOGETHER, program, command, count, GOROUTINES, multiple)


def _batches(key: str, name: str, program: Program, count: tuple[str, str]) -> Contender:
    return _together(key, f"{name}({BATCH})", program, count, mode="batches", size=BATCH)


def _concurrent(
    key: str, name: str, program: Program, count: tuple[str, str], awaiting: int, **more: str | int
) -> Contender:
    command = {"mode": "concurrent", "awaiting": awaiting, **more}
    return _together(key, f"{name}, {awaiting} awaiting", program, count, **command)


def _own() -> Iterator[Contender]:
    client = own("asynq_py", "client")
    async_client = own("asynq_py AsyncClient", "async_client")
    bench = go("Go", "bench")
    yield _one_by_one(*SEQUENTIAL, "Go asynq Client.Enqueue", bench, PENDING, mode="sequential")
    yield _one_by_one("client", "asynq_py Client.enqueue", client, PENDING)
    yield _one_by_one("async client", "asynq_py AsyncClient.enqueue", async_client, PENDING)
    for goroutines in (10, 50):
        yield _together(
            f"go {goroutines} goroutines",
            f"Go asynq Client.Enqueue, {goroutines} goroutines",
            bench,
            PENDING,
            mode="goroutines",
            goroutines=goroutines,
        )
    yield _batches("client batches", "asynq_py Client.enqueue_many", client, PENDING)
    for awaiting in (10, 50, 200):
        yield _concurrent(
            f"async client {awaiting}",
            "asynq_py AsyncClient.enqueue",
            async_client,
            PENDING,
            awaiting,
        )


def _peers() -> Iterator[Contender]:
    celery = peer("celery")
    tasks = ("LLEN", "celery")
    yield _one_by_one("celery", "Celery delay", celery, tasks)
    yield _one_by_one(
        "celery producer", "Celery apply_async, one producer", celery, tasks, mode="one producer"
    )
    yield _batches("celery batches", "Celery group", celery, tasks)

    rq = peer("rq")
    tasks = ("LLEN", "rq:queue:default")
    yield _one_by_one("rq", "RQ enqueue", rq, tasks)
    yield _batches("rq batches", "RQ enqueue_many", rq, tasks)

    arq = peer("arq")
    tasks = ("ZCARD", "arq:queue")
    yield _one_by_one("arq", "arq enqueue_job", arq, tasks)
    yield _concurrent("arq 50", "arq enqueue_job", arq, tasks, 50)

    saq = peer("saq")
    tasks = ("LLEN", "saq:default:queued")
    yield _one_by_one("saq", "SAQ enqueue", saq, tasks)
    yield _concurrent("saq 50", "SAQ enqueue", saq, tasks, 50)

    streaq = peer("streaq")
    tasks = ("XLEN", "streaq:default:queues:normal")
    yield _one_by_one("streaq", "streaQ enqueue", streaq, tasks)
    yield _concurrent("streaq 50", "streaQ enqueue", streaq, tasks, 50)
    yield _batches("streaq batches", "streaQ enqueue_many", streaq, tasks)

    taskiq = peer("taskiq")
    for broker, command in (("list", "LLEN"), ("stream", "XLEN")):
        tasks = (command, f"taskiq-{broker}")
        name = f"Taskiq kiq, {broker}"
        yield _one_by_one(f"taskiq {broker}", name, taskiq, tasks, broker=broker)
        yield _concurrent(f"taskiq {broker} 50", name, taskiq, tasks, 50, broker=broker)


def _limits() -> Iterator[Contender]:
    program = own("redis-benchmark", "redis_benchmark")

    def limit(name: str, baseline: tuple[str, ...], **command: int) -> Contender:
        multiple = command.get("size", command.get("pipeline", 1))
        return Contender(
            f"limit, {name}",
            name,
            LIMIT,
            program,
            {"mode": "script", **command},
            ("LLEN", "asynq:{limit}:pending"),
            baseline,
            multiple,
        )

    yield limit("1 connection", SEQUENTIAL)
    yield limit("50 connections", GOROUTINES, connections=50)
    yield limit(
        f"50 connections, pipelines of {PIPELINE}", GOROUTINES, connections=50, pipeline=PIPELINE
    )
    yield limit(f"1 connection, {CHUNK} tasks in a call", GOROUTINES, size=CHUNK)
