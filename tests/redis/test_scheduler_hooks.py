"""What a scheduler tells its hooks, and that no hook can harm it."""

from __future__ import annotations

import logging
import queue
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import redis

from asynq_py import (
    ConfigError,
    DuplicateTaskError,
    RejectedError,
    RunOutcome,
    Scheduler,
    Task,
    TaskInfo,
)

MakeScheduler = Callable[..., Scheduler]
Heard = queue.SimpleQueue[tuple[Any, ...]]


def hear(heard: Heard) -> tuple[Any, ...]:
    """The next thing a hook was told."""
    return heard.get(timeout=15)


def test_hooks_are_told_before_and_after(make_scheduler: MakeScheduler) -> None:
    heard: Heard = queue.SimpleQueue()

    def before(task: Task, options: Mapping[str, object]) -> None:
        heard.put(("before", task, options))

    def after(info: TaskInfo | None, error: Exception | None) -> None:
        heard.put(("after", info, error))

    task = Task("t", queue="tasks")
    scheduler = make_scheduler(pre_enqueue=before, post_enqueue=after)
    entry_id = scheduler.register("@every 1s", task, max_retry=2)
    scheduler.start()

    assert hear(heard) == ("before", task, {"max_retry": 2})
    kind, info, error = hear(heard)
    assert (kind, error) == ("after", None)
    assert (info.type, info.queue, info.max_retry, info.state) == ("t", "tasks", 2, "pending")
    assert scheduler.entry(entry_id).runs[0].task_id == info.id


def test_a_failure_is_told_to_the_error_handler_and_after(
    make_scheduler: MakeScheduler, database: redis.Redis
) -> None:
    heard: Heard = queue.SimpleQueue()
    database.set("asynq:{broken}:pending", "a string")
    task = Task("t")
    scheduler = make_scheduler(
        post_enqueue=lambda info, error: heard.put(("after", info, error)),
        error_handler=lambda task, options, error: heard.put(("failed", task, options, error)),
    )
    entry_id = scheduler.register("@every 1s", task, queue="broken")
    scheduler.start()

    kind, info, error = hear(heard)
    assert (kind, info) == ("after", None)
    assert isinstance(error, RejectedError)
    assert hear(heard) == ("failed", task, {"queue": "broken"}, error)
    entry = scheduler.entry(entry_id)
    assert entry.last_outcome is RunOutcome.FAILED
    assert entry.last_error is not None
    assert entry.failures >= 1
    assert entry.runs[0].enqueued_at is None
    assert not database.exists(f"asynq:scheduler_history:{entry_id}")


def test_a_duplicate_is_no_failure_but_told(
    make_scheduler: MakeScheduler, database: redis.Redis
) -> None:
    heard: Heard = queue.SimpleQueue()
    scheduler = make_scheduler(
        error_handler=lambda task, options, error: heard.put((error,)),
    )
    entry_id = scheduler.register("@every 1s", Task("t"), unique=1000)
    scheduler.start()

    (error,) = hear(heard)
    assert isinstance(error, DuplicateTaskError)
    entry = scheduler.entry(entry_id)
    assert [run.outcome for run in entry.runs[:2]] == [RunOutcome.ENQUEUED, RunOutcome.DUPLICATE]
    assert entry.failures == 0
    assert database.llen("asynq:{default}:pending") == 1


def test_a_payload_that_is_too_large_is_told(make_scheduler: MakeScheduler) -> None:
    heard: Heard = queue.SimpleQueue()
    scheduler = make_scheduler(
        max_payload_size=4, error_handler=lambda task, options, error: heard.put((error,))
    )
    large = scheduler.register("@every 1s", Task("large", b"12345"))
    small = scheduler.register("@every 1s", Task("small", b"1234"))
    scheduler.start()

    (error,) = hear(heard)
    assert isinstance(error, ConfigError)
    # The next tick's failure comes after this one's success was noted.
    hear(heard)
    assert scheduler.entry(large).last_outcome is RunOutcome.FAILED
    assert scheduler.entry(small).runs[0].outcome is RunOutcome.ENQUEUED


def test_a_hook_that_raises_is_logged_and_goes_no_further(
    make_scheduler: MakeScheduler, database: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    heard: Heard = queue.SimpleQueue()
    database.set("asynq:{broken}:pending", "a string")

    def raising(name: str) -> Callable[..., None]:
        def hook(*args: object) -> None:
            heard.put((name,))
            raise LookupError(f"{name} has a fault")

        return hook

    scheduler = make_scheduler(
        pre_enqueue=raising("pre_enqueue"),
        post_enqueue=raising("post_enqueue"),
        error_handler=raising("error_handler"),
    )
    scheduler.register("@every 1s", Task("t"), queue="broken")
    with caplog.at_level(logging.ERROR, "asynq_py.scheduler"):
        scheduler.start()
        # Two ticks: the first did not end it.
        told = [hear(heard)[0] for _ in range(6)]
        scheduler.stop()

    assert told == ["pre_enqueue", "post_enqueue", "error_handler"] * 2
    texts = [record.getMessage() for record in caplog.records]
    for name in ("pre_enqueue", "post_enqueue", "error_handler"):
        assert f"{name} raised" in texts


def test_a_hook_that_changes_its_options_changes_nothing(
    make_scheduler: MakeScheduler,
) -> None:
    heard: Heard = queue.SimpleQueue()

    def meddle(task: Task, options: Mapping[str, object]) -> None:
        options["queue"] = "elsewhere"  # type: ignore[index]

    scheduler = make_scheduler(
        pre_enqueue=meddle, post_enqueue=lambda info, error: heard.put((info,))
    )
    scheduler.register("@every 1s", Task("t"), queue="q")
    scheduler.start()

    (info,) = hear(heard)
    assert info.queue == "q"


def test_without_a_handler_failures_are_logged_to_the_given_logger(
    make_scheduler: MakeScheduler, database: redis.Redis
) -> None:
    heard: Heard = queue.SimpleQueue()

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.levelno >= logging.ERROR:
                heard.put((record.getMessage(),))

    logger = logging.Logger("of this test")
    logger.addHandler(Ear())
    database.set("asynq:{broken}:pending", "a string")
    scheduler = make_scheduler(logger=logger)
    scheduler.register("@every 1s", Task("report"), queue="broken")
    scheduler.start()

    (text,) = hear(heard)
    assert text.startswith("report was not enqueued: ")
    assert "WRONGTYPE" in text
