"""Scheduler entries and enqueue events: Go's bytes, timestamps never missing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asynq_py.wire.presence import (
    SchedulerEntry,
    scheduler_enqueue_event,
    scheduler_entry,
    timestamp,
    timestamp_ns,
)

START_NS = 1700000000_123456789


def test_an_entry_has_the_bytes_that_go_writes() -> None:
    entry = scheduler_entry(
        "eid",
        "@every 5s",
        "tt",
        b"p",
        ['Queue("x")', "MaxRetry(3)"],
        next_ns=START_NS,
        previous_ns=None,
    )

    assert entry.SerializeToString().hex() == (
        "0a0365696412094065766572792035731a0274742201702a0a517565756528227822292a0b4d617852657472"
        "79283329320b0880e2cfaa0610959aef3a3a0b088092b8c398feffffff01"
    )


def test_an_event_has_the_bytes_that_go_writes() -> None:
    event = scheduler_enqueue_event("tid", START_NS)

    assert event.SerializeToString().hex() == "0a03746964120b0880e2cfaa0610959aef3a"


def test_an_entry_that_never_ran_and_never_will_has_both_timestamps() -> None:
    entry = scheduler_entry("e", "s", "t", b"", [], next_ns=None, previous_ns=None)

    read = SchedulerEntry.FromString(entry.SerializeToString())

    assert read.HasField("next_enqueue_time")
    assert read.HasField("prev_enqueue_time")
    assert read.next_enqueue_time.ToJsonString() == "0001-01-01T00:00:00Z"


def test_the_unix_epoch_is_written_with_an_empty_body() -> None:
    event = scheduler_enqueue_event("", 0)

    assert event.SerializeToString().hex() == "1200"


@given(st.none() | st.integers(-(10**18), 253402300799 * 10**9))
def test_a_timestamp_leads_back_to_the_same_moment(ns: int | None) -> None:
    assert timestamp_ns(timestamp(ns)) == ns


@pytest.mark.parametrize("ns", [-1, -999_999_999, -1_000_000_001])
def test_the_nanoseconds_of_a_timestamp_are_never_negative(ns: int) -> None:
    assert 0 <= timestamp(ns).nanos < 10**9
