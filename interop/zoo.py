"""A Redis in which Go's client and worker left thousands of tasks in every state, to be looked
at by both Inspectors, and to be steered by both on twins of it."""

from __future__ import annotations

import base64
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import redis
from keyspace import GO, PYTHON, SOURCE, differences, twin
from waiting import until

from asynq_py import Inspector
from asynq_py.testing import Oracle, Redis, Stack

ZOO = SOURCE
QUEUE = "zoo"
GROUP = "g:1"
COUNTS = {
    "pending": 2100,
    "scheduled": 2050,
    "retry": 2030,
    "archived": 2020,
    "completed": 2010,
    "active": 2000,
    "aggregating": 2005,
}
#: How many of the active tasks have lost their worker.
ORPHANED = 700
#: As good as never, in Unix seconds.
NEVER_S = 2**40


class Zoo:
    """The Redis and both ways to it."""

    def __init__(self, oracle: Oracle, server: Redis) -> None:
        self.oracle = oracle
        self.redis = server

    def go(self, call: str, db: int = ZOO, **args: object) -> Any:  # noqa: ANN401
        """Asks Go's Inspector."""
        return self.oracle.inspect(self.redis, call, db=db, **args)

    def python(self, db: int = ZOO) -> Inspector:
        """Ours; the caller closes it."""
        return Inspector(self.redis.url_for(db))

    def raw(self, db: int = ZOO) -> redis.Redis:
        """A plain client; the caller closes it."""
        return redis.Redis.from_url(self.redis.url_for(db))

    def twin(self) -> None:
        """Copies everything to the databases of Go and of Python."""
        with self.raw() as source:
            twin(source)

    def differences(self) -> list[str]:
        """What differs between these two, key by key."""
        # At once, since what is left of a key's life is compared, and so many keys take seconds.
        with ThreadPoolExecutor() as threads:
            go, python = threads.map(lambda db: self.oracle.dump(self.redis, db), (GO, PYTHON))
        assert len(go) > COUNTS["active"]
        return differences(go, python)

    def ids(self, state: str, every: int = 1) -> list[str]:
        """The IDs of the tasks of a state, in their order; every so many-th."""
        with self.python() as inspector:
            found = [t.id for t in inspector.iter_tasks(QUEUE, state, group=group_of(state))]
        return found[::every]


def group_of(state: str) -> str | None:
    """The group that must be named for a state."""
    return GROUP if state == "aggregating" else None


def tasks(kind: str, count: int, payload: str = "", **options: object) -> list[dict[str, Any]]:
    """So many tasks, as the oracle enqueues them."""
    return [
        {
            "task": {
                "type": kind,
                "payload": base64.b64encode((payload or f'{{"n":{n}}}').encode()).decode(),
                "headers": {"n": str(n)} if n % 7 == 0 else None,
            },
            "queue": QUEUE,
            "task_id": f"{kind}-{n}",
            **options,
        }
        for n in range(count)
    ]


def build(stack: Stack, oracle: Oracle) -> Zoo:
    """Fills a Redis. Nothing works there any more, and nothing in it expires soon."""
    server = stack.redis()
    target = oracle.target(server, ZOO)
    zoo = Zoo(oracle, server)

    def enqueue(wanted: list[dict[str, Any]]) -> None:
        answers = oracle.post("/enqueue", [{**target, **task} for task in wanted])
        assert [answer for answer in answers if "error" in answer] == []

    enqueue(tasks("fail:again", COUNTS["retry"], max_retry=3))
    enqueue(tasks("fail:for-good", COUNTS["archived"], max_retry=0, unique_ms=3_600_000))
    enqueue(tasks("result:kept", COUNTS["completed"], retention_ms=3_600_000))
    # The last to be taken: they hold their places.
    enqueue(tasks("sleep:long", COUNTS["active"], payload="600000"))
    worker = stack.worker(server, queues={QUEUE: 1}, concurrency=COUNTS["active"], retry_delay=3600)
    with zoo.raw() as raw:
        until(lambda: _sizes(raw) == [COUNTS[state] for state in _BY_WORK], timeout=120)
        # The heartbeat shows what it is at some seconds after it began.
        until(lambda: [key for key in raw.keys(_WORKERS) if raw.hlen(key) == COUNTS["active"]])
        worker.kill()
        _preserve(raw)
    enqueue(tasks("later", COUNTS["scheduled"], process_in_ms=7_200_000, unique_ms=60_000))
    enqueue(tasks("now", COUNTS["pending"]))
    enqueue(tasks("together", COUNTS["aggregating"], group=GROUP))
    enqueue(tasks("apart", 5, group="other"))
    return zoo


_BY_WORK = ("retry", "archived", "completed", "active")
_WORKERS = "asynq:workers:{*"


def _sizes(raw: redis.Redis) -> list[Any]:
    prefix = f"asynq:{{{QUEUE}}}:"
    asked = raw.pipeline(transaction=False)
    for state in _BY_WORK[:-1]:
        asked.zcard(prefix + state)
    return asked.llen(f"{prefix}active").execute()


def _preserve(raw: redis.Redis) -> None:
    """Has what a killed worker left stay as it is: between two looks it must not expire."""
    for listed in ("asynq:servers", "asynq:workers"):
        (key,) = raw.zrange(listed, 0, -1)
        raw.zadd(listed, {key: NEVER_S})
        raw.persist(key)
    lease = f"asynq:{{{QUEUE}}}:lease"
    held: list[bytes] = raw.zrange(lease, 0, -1)
    raw.zadd(lease, dict.fromkeys(held, NEVER_S) | dict.fromkeys(held[:ORPHANED], 1))
