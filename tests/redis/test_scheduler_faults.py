"""A scheduler in trouble: signals, a frozen Redis, a Redis that comes back."""

from __future__ import annotations

import queue
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import redis

from asynq_py import (
    RedisConfig,
    Scheduler,
    SchedulerConfig,
    ShutdownTimeoutError,
    Task,
    UnavailableError,
)
from asynq_py.testing.redis_server import RedisServer
from tests.redis.test_scheduler import take

MakeScheduler = Callable[..., Scheduler]

RUNNING = """
import sys
from asynq_py import Scheduler, SchedulerConfig, Task

def after(info, error):
    print("enqueued", flush=True)

scheduler = Scheduler(sys.argv[1], SchedulerConfig(post_enqueue=after))
scheduler.register("@every 1s", Task("t"))
scheduler.run()
print("stopped", scheduler.is_running, flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_run_stops_on_a_signal(
    server: RedisServer, database: redis.Redis, number: signal.Signals
) -> None:
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", RUNNING, server.url],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "enqueued\n"
        assert database.exists("asynq:schedulers")

        program.send_signal(number)
        out, err = program.communicate(timeout=30)

    assert (program.returncode, err) == (0, "")
    assert out.endswith("stopped False\n")
    assert not database.exists("asynq:schedulers")


@pytest.mark.timeout(60)
def test_stop_does_not_wait_longer_than_allowed_for_a_frozen_redis(
    start_server: Callable[..., RedisServer],
) -> None:
    server = start_server()
    going: queue.SimpleQueue[str] = queue.SimpleQueue()
    # Replies are awaited for five minutes: longer than this test may take.
    patient = RedisConfig(addresses=(("127.0.0.1", server.port),), timeout=300)
    scheduler = Scheduler(
        patient,
        SchedulerConfig(
            shutdown_timeout=0.2,
            pre_enqueue=lambda task, options: (server.freeze(), going.put(task.type))[0],
        ),
    )
    scheduler.register("@every 1s", Task("t"), name="lost-one")
    scheduler.start()
    going.get(timeout=15)

    with pytest.raises(ShutdownTimeoutError, match="lost-one") as caught:
        scheduler.stop()

    assert caught.value.written is None
    assert not scheduler.is_running
    server.kill()


def test_a_scheduler_outlives_a_restart_of_redis(
    start_server: Callable[..., RedisServer],
    make_scheduler: MakeScheduler,
    connect_raw: Callable[..., redis.Redis],
) -> None:
    server = start_server()
    failures: queue.SimpleQueue[Any] = queue.SimpleQueue()
    scheduler = make_scheduler(
        server.url, error_handler=lambda task, options, error: failures.put(error)
    )
    scheduler.register("@every 1s", Task("t"))

    with scheduler:
        take(connect_raw(server))
        server.kill()
        failure = failures.get(timeout=15)
        server.start()
        again = take(connect_raw(server))

    assert isinstance(failure, UnavailableError)
    assert connect_raw(server).hget(f"asynq:{{default}}:t:{again}", "state") == b"pending"


def test_a_scheduler_starts_without_redis_and_finds_it_later(
    start_server: Callable[..., RedisServer],
    make_scheduler: MakeScheduler,
    connect_raw: Callable[..., redis.Redis],
) -> None:
    server = start_server()
    server.kill()
    failures: queue.SimpleQueue[Any] = queue.SimpleQueue()
    scheduler = make_scheduler(
        server.url, error_handler=lambda task, options, error: failures.put(error)
    )
    scheduler.register("@every 1s", Task("t"))

    with scheduler:
        failure = failures.get(timeout=15)
        server.start()
        take(connect_raw(server))

    assert isinstance(failure, UnavailableError)
    assert failure.written is False


def test_scripts_that_the_server_has_lost_are_sent_again(
    make_scheduler: MakeScheduler, database: redis.Redis
) -> None:
    scheduler = make_scheduler()
    scheduler.register("@every 1s", Task("t"), name="n")

    with scheduler:
        take(database)
        database.script_flush()
        take(database)

    assert database.zcard("asynq:scheduler_history:n") >= 2
