"""The same tasks in two databases: a Go worker handles those of the one, a Python worker those of
the other, with handlers that do the same. What is left must be the same."""

from __future__ import annotations

import base64
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import redis
from keyspace import GO, PYTHON, SOURCE, Dump, differences, twin, without_presence
from pyworkers import start_python_worker
from waiting import until

from asynq_py import Inspector, QueueInfo
from asynq_py.testing import GoWorker, Oracle, Redis, Stack

#: As good as never, seconds: for what is not to be tried again.
LATER_S = 3600


def task(kind: str, payload: str | None = None, **options: object) -> dict[str, Any]:
    """A task as the oracle enqueues it."""
    data = None if payload is None else base64.b64encode(payload.encode()).decode()
    headers = options.pop("headers", None)
    return {"task": {"type": kind, "payload": data, "headers": headers}, **options}


class Twins:
    """A Redis, and both workers on it."""

    def __init__(self, stack: Stack, oracle: Oracle, server: Redis) -> None:
        self.redis = server
        self.oracle = oracle
        self._stack = stack
        self._options: dict[str, Any] = {}
        self._workers: list[GoWorker] = []

    def enqueue(self, *tasks: dict[str, Any]) -> None:
        """Has Go's client enqueue tasks, for both."""
        target = self.oracle.target(self.redis, SOURCE)
        answers = self.oracle.post("/enqueue", [{**target, **each} for each in tasks])
        assert [answer for answer in answers if "error" in answer] == []

    def start(
        self, queues: dict[str, int], *, free_crashes: int = 0, **options: object
    ) -> tuple[GoWorker, GoWorker]:
        """Starts both workers."""
        options = {"queues": queues, "retry_delay": LATER_S, **options}
        with ThreadPoolExecutor() as threads:
            go = threads.submit(
                self._stack.worker,
                self.redis,
                db=GO,
                **options,  # type: ignore[arg-type]
            )
            python = threads.submit(
                start_python_worker, self.redis, db=PYTHON, free_crashes=free_crashes, **options
            )
            found = go.result(), python.result()
        self._workers += found
        return found

    def share(self) -> None:
        """Copies what was enqueued to both databases, in one moment."""
        with self.raw(SOURCE) as raw:
            twin(raw, empty=False)

    def stop(self) -> None:
        """Stops those workers that run."""
        with ThreadPoolExecutor() as threads:
            codes = list(threads.map(lambda worker: worker.stop(), self._workers))
        assert codes == [0] * len(codes), [worker.errors for worker in self._workers]
        self.kill()

    def kill(self) -> None:
        """Kills those that run."""
        while self._workers:
            self._workers.pop().close()

    def dumps(self) -> tuple[Dump, Dump]:
        """Everything in both databases."""
        with ThreadPoolExecutor() as threads:
            go, python = threads.map(lambda db: self.oracle.dump(self.redis, db), (GO, PYTHON))
        return go, python

    def differences(self) -> list[str]:
        """What differs between them, except for who their servers are."""
        go, python = map(without_presence, self.dumps())
        assert go
        return differences(go, python)

    def raw(self, db: int) -> redis.Redis:
        """A plain client; the caller closes it."""
        return redis.Redis.from_url(self.redis.url_for(db))

    def info(self, db: int, queue: str) -> QueueInfo:
        """How a queue is."""
        with Inspector(self.redis.url_for(db)) as inspector:
            return inspector.queue_info(queue)

    def until_quiet(self, *queues: str, timeout: float = 40.0) -> None:
        """Waits until nothing is pending or at work, and nothing is about to be."""
        for db in (GO, PYTHON):
            with self.raw(db) as raw:
                until(lambda raw=raw: _at_rest(raw, queues), timeout)


def _at_rest(raw: redis.Redis, queues: tuple[str, ...]) -> bool:
    soon = int(raw.time()[0]) + LATER_S // 2
    asked = raw.pipeline()
    for prefix in (f"asynq:{{{queue}}}:" for queue in queues):
        asked.llen(f"{prefix}pending").llen(f"{prefix}active")
        asked.zcount(f"{prefix}scheduled", 0, soon).zcount(f"{prefix}retry", 0, soon)
        asked.scard(f"{prefix}groups").zcard(f"{prefix}aggregation_sets")
    return not any(asked.execute())
