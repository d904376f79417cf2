"""SchedulerConfig: its defaults, and what is refused when it is made."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from asynq_py import ConfigError, SchedulerConfig


def test_the_defaults_are_gos() -> None:
    config = SchedulerConfig()

    assert config.location == "UTC"
    assert (config.heartbeat_interval_s, config.shutdown_timeout_s) == (10, 10)


def test_spans_may_be_timedeltas() -> None:
    config = SchedulerConfig(
        heartbeat_interval=timedelta(milliseconds=500), shutdown_timeout=timedelta(minutes=1)
    )

    assert (config.heartbeat_interval_s, config.shutdown_timeout_s) == (0.5, 60)


def test_not_to_wait_at_all_is_allowed() -> None:
    assert SchedulerConfig(shutdown_timeout=0).shutdown_timeout_s == 0


@pytest.mark.parametrize("location", ["Europe/Berlin", ZoneInfo("Europe/Berlin"), "UTC"])
def test_a_location_is_a_name_or_a_zone(location: Any) -> None:  # noqa: ANN401
    assert SchedulerConfig(location=location).location == location


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ({"location": "Mars/Olympus"}, "Mars/Olympus"),
        ({"location": 7}, "location"),
        ({"shutdown_timeout": -1}, "shutdown_timeout"),
        ({"shutdown_timeout": "10"}, "shutdown_timeout"),
        ({"heartbeat_interval": 0}, "heartbeat_interval"),
        ({"heartbeat_interval": -1}, "heartbeat_interval"),
        ({"error_handler": "print"}, "error_handler"),
        ({"pre_enqueue": 1}, "pre_enqueue"),
        ({"post_enqueue": []}, "post_enqueue"),
        ({"dst": "twice"}, "dst"),
        ({"max_payload_size": -1}, "max_payload_size"),
        ({"max_payload_size": "1"}, "max_payload_size"),
    ],
)
def test_a_value_that_can_never_work_is_refused(arguments: dict[str, Any], what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        SchedulerConfig(**arguments)


def test_a_configuration_is_frozen() -> None:
    with pytest.raises(AttributeError):
        SchedulerConfig().dst = "once"  # type: ignore[misc]
