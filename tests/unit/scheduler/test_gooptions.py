"""Options as Go prints them, in the order they were given."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, get_type_hints

import pytest

from asynq_py import ConfigError
from asynq_py.options import EnqueueOptions, normalize
from asynq_py.scheduler.gooptions import option_strings

MOMENT = datetime(2024, 3, 5, 7, 8, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("max_retry", 3, "MaxRetry(3)"),
        ("queue", "low", 'Queue("low")'),
        ("queue", 'a "b"\n\u200bü', r'Queue("a \"b\"\n\u200bü")'),
        ("timeout", 1800, "Timeout(30m0s)"),
        ("timeout", 0.2, "Timeout(1s)"),
        ("deadline", MOMENT, "Deadline(Tue Mar  5 07:08:09 UTC 2024)"),
        ("unique", timedelta(hours=36), "Unique(36h0m0s)"),
        ("unique", 0.0015, "Unique(1.5ms)"),
        (
            "process_at",
            MOMENT.astimezone(timezone(timedelta(hours=2))),
            "ProcessAt(Tue Mar  5 07:08:09 UTC 2024)",
        ),
        ("process_in", 1.5, "ProcessIn(1.5s)"),
        ("task_id", "id", 'TaskID("id")'),
        ("retention", timedelta(days=1), "Retention(24h0m0s)"),
        ("group", "g", 'Group("g")'),
    ],
)
def test_an_option_is_printed_as_go_does(name: str, value: Any, expected: str) -> None:  # noqa: ANN401
    assert option_strings(normalize({name: value})) == [expected]


def test_options_keep_the_order_they_were_given_in() -> None:
    options = normalize({"timeout": 1, "queue": "q", "max_retry": 0})

    assert option_strings(options) == ["Timeout(1s)", 'Queue("q")', "MaxRetry(0)"]


def test_every_option_has_a_form() -> None:
    values: list[Any] = ["text", 1, timedelta(seconds=1), MOMENT]
    printed = []
    for name in get_type_hints(EnqueueOptions):
        for value in values:
            with contextlib.suppress(ConfigError):
                printed += option_strings(normalize({name: value}))[:1]
                break

    assert len(printed) == len(get_type_hints(EnqueueOptions)) == 10


def test_no_options_are_no_strings() -> None:
    assert option_strings({}) == []
