"""Batches: who goes, who is refused at the door, and whose result is whose."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from asynq_py import ConfigError, Task, TaskIDConflictError
from asynq_py.client.batch import Batch

NOW = 1_700_000_000_000_000_000


def batch_of(tasks: list[Any]) -> Batch:
    """Tasks of which those larger than four bytes are refused."""
    return Batch(tasks, {}, now_ns=NOW, max_payload_size=4)


@given(st.lists(st.sampled_from(["good", "large", "no task", "conflict"]), max_size=12))
def test_results_stand_in_the_order_of_the_tasks(kinds: list[str]) -> None:
    things: dict[str, Any] = {
        "good": Task("good"),
        "conflict": Task("conflict"),
        "large": Task("large", b"12345"),
        "no task": "a string",
    }
    batch = batch_of([things[kind] for kind in kinds])
    conflict = TaskIDConflictError()

    drafts = list(batch.drafts())
    results = batch.results(
        [conflict if draft.message.type == "conflict" else None for draft in drafts]
    )

    told = []
    for result in results:
        if result.info is not None:
            assert result.error is None
            told.append(result.info.type)
        elif result.error is conflict:
            told.append("conflict")
        else:
            assert isinstance(result.error, ConfigError)
            told.append("large" if "bytes" in str(result.error) else "no task")
    assert told == kinds


def test_the_tasks_may_come_from_a_generator() -> None:
    batch = Batch((Task(name) for name in "ab"), {}, now_ns=NOW, max_payload_size=None)

    assert [draft.message.type for draft in batch.drafts()] == ["a", "b"]
