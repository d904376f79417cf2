"""From a task and options to what is stored: asynq's rules, and where ours are stricter."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asynq_py import ConfigError, Task
from asynq_py.broker.enqueue import Draft
from asynq_py.client.prepare import check_limit, new_task_id, prepare, task_info
from asynq_py.clock import NANOSECONDS, from_unix_ns
from asynq_py.options import normalize

NOW_S = 1_700_000_000
NOW = NOW_S * NANOSECONDS + 500_000_000
MOMENT = from_unix_ns(NOW)
HOUR = timedelta(hours=1)


def prepared(task: Task | None = None, **options: Any) -> Draft:  # noqa: ANN401
    """What is stored for options given on the call."""
    return prepare(task or Task("t"), normalize(options), now_ns=NOW, max_payload_size=None)


def test_a_plain_task_is_pending_with_gos_defaults() -> None:
    draft = prepared(Task("t", b"p"))

    message = draft.message
    assert (draft.state, draft.at_s, draft.lock_ttl_s) == ("pending", 0, 0)
    assert (message.type, message.payload, message.queue) == ("t", b"p", "default")
    assert (message.retry, message.timeout, message.deadline) == (25, 1800, 0)
    assert (message.unique_key, message.group_key, message.retention) == ("", "", 0)
    assert uuid.UUID(message.id).version == 4


@given(st.binary(min_size=16, max_size=16))
def test_a_random_id_is_a_canonical_uuid_of_version_4(random: bytes) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.urandom", lambda size: random[:size])
        task_id = new_task_id()

    parsed = uuid.UUID(task_id)
    assert str(parsed) == task_id
    assert (parsed.version, parsed.variant) == (4, uuid.RFC_4122)
    assert parsed == uuid.UUID(bytes=random, version=4)


def test_every_task_gets_an_id_of_its_own() -> None:
    task = Task("t")

    assert len({prepared(task).message.id for _ in range(1000)}) == 1000


def test_the_calls_options_win_over_the_tasks() -> None:
    task = Task("t", queue="a", max_retry=1, retention=5)

    message = prepared(task, queue="b", max_retry=None).message

    assert (message.queue, message.retry, message.retention) == ("b", 1, 5)


def test_no_retries_are_no_retries() -> None:
    assert prepared(max_retry=0).message.retry == 0


@pytest.mark.parametrize(
    ("options", "timeout", "deadline"),
    [
        ({}, 1800, 0),
        ({"timeout": 0}, 1800, 0),
        ({"timeout": 0.5}, 1, 0),
        ({"timeout": 20}, 20, 0),
        ({"deadline": MOMENT}, 0, NOW_S + 1),
        ({"deadline": MOMENT, "timeout": 0}, 0, NOW_S + 1),
        ({"deadline": MOMENT - HOUR}, 0, NOW_S + 1 - 3600),
        ({"deadline": MOMENT, "timeout": 20}, 20, NOW_S + 1),
        ({"deadline": datetime(1970, 1, 1, tzinfo=UTC)}, 1800, 0),
    ],
)
def test_the_default_timeout_holds_where_neither_it_nor_a_deadline_is_given(
    options: dict[str, Any], timeout: int, deadline: int
) -> None:
    message = prepared(**options).message

    assert (message.timeout, message.deadline) == (timeout, deadline)


@pytest.mark.parametrize(
    "options",
    [
        {"process_in": 0},
        {"process_at": MOMENT},
        {"process_at": MOMENT - HOUR},
        {"process_at": datetime(1, 1, 1, tzinfo=UTC)},
    ],
)
def test_what_is_due_by_now_is_pending(options: dict[str, Any]) -> None:
    draft = prepared(**options)

    assert (draft.state, draft.at_s) == ("pending", 0)


@pytest.mark.parametrize(
    ("options", "at_s"),
    [
        ({"process_in": 1e-6}, NOW_S + 1),
        ({"process_in": 10}, NOW_S + 11),
        ({"process_in": 10.5}, NOW_S + 11),
        ({"process_in": HOUR}, NOW_S + 3601),
        ({"process_at": MOMENT + timedelta(microseconds=1)}, NOW_S + 1),
        ({"process_at": datetime.fromtimestamp(NOW_S + 5, UTC)}, NOW_S + 5),
    ],
)
def test_what_is_due_later_is_scheduled_and_never_runs_early(
    options: dict[str, Any], at_s: int
) -> None:
    draft = prepared(**options)

    assert (draft.state, draft.at_s) == ("scheduled", at_s)


def test_the_calls_way_to_say_when_wins() -> None:
    draft = prepared(Task("t", process_in=HOUR), process_at=MOMENT - HOUR)

    assert draft.state == "pending"


def test_a_grouped_task_is_aggregated_from_the_current_second() -> None:
    draft = prepared(group="g")

    assert (draft.state, draft.at_s, draft.message.group_key) == ("aggregating", NOW_S, "g")


def test_a_grouped_task_of_the_future_is_scheduled_with_the_group_in_its_message_only() -> None:
    draft = prepared(group="g", process_in=10)

    assert (draft.state, draft.at_s, draft.message.group_key) == ("scheduled", NOW_S + 11, "g")


@pytest.mark.parametrize(
    ("options", "ttl_s"),
    [
        ({"unique": 60}, 60),
        ({"unique": 0.1}, 1),
        ({"unique": 59.1}, 60),
        ({"unique": 60, "group": "g"}, 60),
        ({"unique": 60, "process_in": 3600}, 3660),
        ({"unique": 0.4, "process_in": 0.4}, 1),
        ({"unique": 0.6, "process_in": 0.6}, 2),
        ({"unique": 60, "process_at": MOMENT - HOUR}, 60),
    ],
)
def test_a_lock_lives_as_long_as_asked_after_the_task_is_due(
    options: dict[str, Any], ttl_s: int
) -> None:
    assert prepared(**options).lock_ttl_s == ttl_s


@pytest.mark.parametrize(
    ("payload", "suffix"), [(None, ""), (b"", "d41d8cd98f00b204e9800998ecf8427e")]
)
def test_no_payload_and_an_empty_one_have_different_locks(
    payload: bytes | None, suffix: str
) -> None:
    draft = prepared(Task("t", payload), unique=1, queue="q")

    assert draft.message.unique_key == f"asynq:{{q}}:unique:t:{suffix}"


def test_headers_of_the_task_and_of_the_call_are_merged_and_the_calls_win() -> None:
    task = Task("t", headers={"a": "1", "b": "1"})

    draft = prepare(task, {}, now_ns=NOW, max_payload_size=None, headers={"b": "2", "c": "2"})

    assert dict(draft.message.headers) == {"a": "1", "b": "2", "c": "2"}
    assert dict(task.headers) == {"a": "1", "b": "1"}


@pytest.mark.parametrize(("size", "fits"), [(10, True), (11, False)])
def test_a_payload_may_be_as_large_as_allowed(size: int, fits: bool) -> None:
    task = Task("email", bytes(size))

    if fits:
        prepare(task, {}, now_ns=NOW, max_payload_size=10)
    else:
        with pytest.raises(ConfigError, match=r"'email' has 11 bytes.* allows 10"):
            prepare(task, {}, now_ns=NOW, max_payload_size=10)


def test_no_payload_fits_any_limit() -> None:
    assert prepare(Task("t", None), {}, now_ns=NOW, max_payload_size=0).message.payload == b""


@pytest.mark.parametrize("thing", [None, "t", Task, object()])
def test_only_a_task_can_be_enqueued(thing: Any) -> None:  # noqa: ANN401
    with pytest.raises(ConfigError, match="only a Task"):
        prepare(thing, {}, now_ns=NOW, max_payload_size=None)


@pytest.mark.parametrize("limit", [-1, 1.5, "1"])
def test_a_limit_that_is_no_number_of_bytes_is_refused(limit: Any) -> None:  # noqa: ANN401
    with pytest.raises(ConfigError, match="max_payload_size"):
        check_limit(limit)


def test_what_the_caller_is_shown_is_what_was_stored() -> None:
    pending = task_info(prepared(), NOW)
    scheduled = task_info(prepared(process_in=10), NOW)
    grouped = task_info(prepared(group="g"), NOW)

    assert (pending.state, pending.next_process_at) == ("pending", MOMENT)
    assert (scheduled.state, scheduled.next_process_at) == (
        "scheduled",
        datetime.fromtimestamp(NOW_S + 11, UTC),
    )
    assert (grouped.state, grouped.next_process_at, grouped.group) == ("aggregating", None, "g")
