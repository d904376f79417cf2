"""Whom to measure: Go, asynq_py and other Python queues, each with its best settings."""

from __future__ import annotations

from collections.abc import Iterator

from ..programs import go, own, peer, peer_tool
from ..scheduler.suite import GO
from .left import Left, counted, unread_or_unacknowledged
from .model import Worker

OWN, OWN_ASYNCIO = "own", "own asyncio"
EVERY = (1, 10, 100, 1_000)
#: More threads than that, nobody has.
THREADS = (1, 10, 100)
#: Where another process is needed for each task at a time; and where it can only be one.
PROCESSES, SINGLE = (1, 10), (1,)
#: How the drivers store many.
BATCHES: dict[str, str | int] = {"mode": "batches", "size": 500}
CROWD: dict[str, str | int] = {"mode": "concurrent", "awaiting": 50}
MODULES = "benchmarks.drivers.workers"


def workers() -> tuple[Worker, ...]:
    """All of them."""
    return (*_asynq(), *_celery(), *_rq(), *_async_peers(), *_dramatiq())


def _asynq() -> Iterator[Worker]:
    queue = "asynq:{default}"
    left = counted(("LLEN", f"{queue}:pending"), ("LLEN", f"{queue}:active"))
    done = ("GET", f"{queue}:processed")
    client, server = own("asynq_py", "client"), own("asynq_py Server", "workers.server")

    yield Worker(
        GO,
        "Go asynq Server",
        go("Go Server", "bench", "-concurrency", "{concurrency}"),
        producer=client,
        described=(go("Go", "bench"),),
        storing=BATCHES,
        left=left,
        done=done,
        concurrencies=EVERY,
    )
    for key, name, uvloop in (
        (OWN, "asynq_py Server, uvloop", "yes"),
        (OWN_ASYNCIO, "asynq_py Server, asyncio", "no"),
    ):
        yield Worker(
            key,
            name,
            server,
            producer=client,
            storing=BATCHES,
            left=left,
            done=done,
            concurrencies=EVERY,
            env={"BENCH_UVLOOP": uvloop},
        )


def _celery() -> Iterator[Worker]:
    quiet = ("--loglevel=ERROR", "--without-gossip", "--without-mingle", "--without-heartbeat")
    for pool, concurrencies in (("prefork", PROCESSES), ("threads", THREADS), ("gevent", EVERY)):
        app = ("-A", f"{MODULES}.celery:app", "worker", "-P", pool, "-c", "{concurrency}")
        yield Worker(
            f"celery {pool}",
            f"Celery, {pool}",
            peer_tool("celery", "celery", *app, *quiet),
            producer=peer("celery"),
            storing=BATCHES,
            left=counted(("LLEN", "celery"), ("HLEN", "unacked")),
            concurrencies=concurrencies,
        )


def _rq() -> Iterator[Worker]:
    for key, name, kind in (
        ("rq fork", "RQ Worker, forks", "rq.Worker"),
        ("rq simple", "RQ SimpleWorker", "rq.SimpleWorker"),
    ):
        command = ("worker", "-w", kind, "-q", "--results-ttl", "0", "-u", "redis://{redis}/0")
        yield Worker(
            key,
            name,
            peer_tool("rq", "rq", *command),
            producer=peer("rq"),
            storing=BATCHES,
            left=counted(("LLEN", "rq:queue:default"), ("ZCARD", "rq:wip:default")),
            concurrencies=SINGLE,
        )


def _async_peers() -> Iterator[Worker]:
    def with_uvloop(key: str, name: str, left: Left, *command: str) -> Worker:
        library = key.split()[0]
        broker = {"broker": key.split()[1]} if " " in key else {}
        return Worker(
            key,
            name,
            peer_tool(library, *command),
            producer=peer(library),
            storing={**CROWD, **broker},
            pacing=broker,
            left=left,
            concurrencies=EVERY,
        )

    log = ("--custom-log-dict", f"{MODULES}.arq.LOGGING")
    left = counted(("ZCARD", "arq:queue"))
    yield with_uvloop("arq", "arq", left, "arq", *log, f"{MODULES}.arq.Settings")
    left = counted(("ZCARD", "saq:default:incomplete"))
    yield with_uvloop("saq", "SAQ", left, "saq", "-q", f"{MODULES}.saq.settings")
    left = counted(("XLEN", "streaq:default:queues:normal"))
    yield with_uvloop("streaq", "streaQ", left, "streaq", "run", f"{MODULES}.streaq:worker")
    several = ("--workers", "1", "--max-async-tasks", "{concurrency}", "--log-level", "ERROR")
    for kind, left, ahead in (
        # It has no acknowledgements: what was taken does not count as left.
        ("list", counted(("LLEN", "taskiq-list")), "16"),
        ("stream", unread_or_unacknowledged("taskiq-stream"), "0"),
    ):
        app = ("taskiq", "worker", f"{MODULES}.taskiq:in_{kind}")
        command = (*app, *several, "--max-prefetch", ahead)
        yield with_uvloop(f"taskiq {kind}", f"Taskiq, {kind}", left, *command)


def _dramatiq() -> Iterator[Worker]:
    several = ("--processes", "1", "--threads", "{concurrency}")
    yield Worker(
        "dramatiq",
        "dramatiq",
        peer_tool("dramatiq", "dramatiq", f"{MODULES}.dramatiq:broker", *several),
        producer=peer("dramatiq"),
        storing={"mode": "one by one"},
        left=counted(("HLEN", "dramatiq:default.msgs")),
        concurrencies=THREADS,
        # Two for each thread, by default.
        env={"dramatiq_queue_prefetch": "256"},
    )
