"""For tests: handlers run without a server, what was enqueued, and the real things.

`drain` runs what is due, `assert_enqueued` looks at what waits; `plugin` has fixtures for
pytest (docs/testing.md). None of them needs more than a `redis-server`.

Real Redis servers and real Go workers: `pip install asynq_py[testing]`.

    from asynq_py.testing import Stack

    with Stack() as stack:
        redis = stack.redis()
        worker = stack.own_worker(
            redis,
            image="our-company/worker:1.2",
            command=["--redis", "{redis}"],
            ready="worker started",
        )
        Client(redis.url).enqueue(Task("email:welcome", {"user_id": 42}))
        worker.log.wait_for_line("sent welcome", timeout=10)

Containers are run by Docker or Podman through testcontainers-python; ASYNQ_INTEROP is
"containers" (fail without them) or "processes" (use none). Redis is ASYNQ_TEST_REDIS_IMAGE,
or an image built of this machine's redis-server. `Stack.worker` starts the worker that this
project's own tests use, or ASYNQ_TEST_WORKER_IMAGE, an image with the same flags and events
(see `interop/README.md` in a checkout). `RedisServer` alone needs nothing but the standard
library and a redis-server.

Not imported by `import asynq_py`.
"""

from asynq_py.testing.asynqmon import Asynqmon, AsynqmonError
from asynq_py.testing.backend import Redis
from asynq_py.testing.clock import VirtualClock
from asynq_py.testing.drain import (
    DrainLimitError,
    DrainOptions,
    Handled,
    drain,
    drain_async,
)
from asynq_py.testing.enqueued import Expected, assert_enqueued, assert_not_enqueued, enqueued
from asynq_py.testing.events import Event, EventLog, ProgramEnded, WaitTimeout
from asynq_py.testing.oracle import Oracle, OracleError
from asynq_py.testing.redis_server import RedisServer, RedisStartError, find_redis_server
from asynq_py.testing.stack import Stack
from asynq_py.testing.worker import ConsumedTask, GoWorker

__all__ = [
    "Asynqmon",
    "AsynqmonError",
    "ConsumedTask",
    "DrainLimitError",
    "DrainOptions",
    "Event",
    "EventLog",
    "Expected",
    "GoWorker",
    "Handled",
    "Oracle",
    "OracleError",
    "ProgramEnded",
    "Redis",
    "RedisServer",
    "RedisStartError",
    "Stack",
    "VirtualClock",
    "WaitTimeout",
    "assert_enqueued",
    "assert_not_enqueued",
    "drain",
    "drain_async",
    "enqueued",
    "find_redis_server",
]
