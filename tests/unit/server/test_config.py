"""Settings of a server: what they are by default, and which are refused."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

import pytest

from asynq_py import ConfigError, ServerConfig


def test_the_defaults_are_those_of_asynq() -> None:
    config = ServerConfig()

    assert config.concurrency == os.cpu_count()
    assert config.queues == {"default": 1}
    assert not config.strict_priority
    names = (
        *("task_check_interval", "shutdown_timeout", "health_check_interval"),
        *("delayed_task_check_interval", "group_grace_period", "group_max_delay"),
        "janitor_interval",
    )
    assert [config.seconds(name) for name in names] == [1, 8, 15, 5, 60, 0, 8]
    assert (config.janitor_batch_size, config.group_max_size) == (100, 0)


def test_durations_are_timedeltas_or_seconds() -> None:
    config = ServerConfig(
        group_grace_period=timedelta(minutes=2), group_max_delay=90.9, group_max_size=7
    )

    assert config.seconds("group_grace_period") == 120
    assert config.when_aggregated == (120, 90, 7)


def test_later_changes_of_the_mapping_do_not_count() -> None:
    queues = {"a": 1}
    config = ServerConfig(queues=queues)
    queues["b"] = 0

    assert config.queues == {"a": 1}


MOMENTS = (
    *("task_check_interval", "health_check_interval", "delayed_task_check_interval"),
    "janitor_interval",
)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"concurrency": -1}, "concurrency must be from 0 to 2147483647, but is -1"),
        ({"concurrency": 2**31}, "concurrency must be from 0 to 2147483647, but is 2147483648"),
        ({"concurrency": "5"}, "concurrency must be an int, not str"),
        ({"concurrency": True}, "concurrency must be an int, not bool"),
        ({"queues": {}}, "queues must name at least one queue, with its priority: {'default': 1}"),
        ({"queues": ["default"]}, "queues must name at least one queue"),
        ({"queues": {" ": 1}}, "queue must contain one or more characters that are not blank"),
        ({"queues": {5: 1}}, "queue must be a str, not int"),
        ({"queues": {"a": 0}}, 'priority of "a" must be from 1 to 2147483647, but is 0'),
        ({"queues": {"a": 1.5}}, 'priority of "a" must be an int, not float'),
        *(({name: 0}, f"{name} must be more than zero") for name in MOMENTS),
        *(({name: -1}, f"{name} must not be negative, but is -1") for name in MOMENTS),
        *(({name: "1s"}, f"{name} must be a timedelta or a number of seconds") for name in MOMENTS),
        ({"shutdown_timeout": -1}, "shutdown_timeout must not be negative"),
        ({"group_grace_period": 0.5}, "group_grace_period must be a second or more"),
        ({"group_max_delay": 0.5}, "group_max_delay must be a second or more, or 0 for none"),
        ({"group_max_size": -1}, "group_max_size must be from 0"),
        ({"janitor_batch_size": 0}, "janitor_batch_size must be from 1"),
        ({"free_crashes": -1}, "free_crashes must be from 0"),
        ({"retry_delay": 5}, "retry_delay must be callable, not int"),
        ({"retry_delay": None}, "retry_delay must be callable, not NoneType"),
        *(
            ({name: "f"}, f"{name} must be callable, not str")
            for name in (
                *("is_failure", "error_handler", "on_archived"),
                *("health_check", "group_aggregator"),
            )
        ),
        ({"on_cancel": "drop"}, 'on_cancel must be "retry" or "archive", not \'drop\''),
        ({"logger": "asynq"}, "logger must be a logging.Logger, not str"),
    ],
)
def test_values_that_can_never_work_are_refused(settings: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        ServerConfig(**settings)

    assert reason in str(caught.value)
