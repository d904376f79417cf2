"""Whose a key is, whatever stands in names and IDs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asynq_py.doctor.owner import owners
from asynq_py.wire.keys import group_key, pending_key, processed_key, task_key, unique_key


@pytest.mark.parametrize(
    ("key", "listed", "expected"),
    [
        ("asynq:{a}:t:x", "", "a"),
        ("asynq:{a}:failed:2026-01-31", "", "a"),
        ("asynq:{}}:pending", "", "}"),
        ("asynq:{a}:b}:t:x", "", "a}:b"),
        ("asynq:{a}:b}:t:x", "a", "a}:b"),
        ("asynq:{a}:t:b}:x", "", "a"),
        ("asynq:{a}:t:b}:t:x", "a", "a|a}:t:b"),
        ("asynq:{a}:t:b}:t:x", "a}:t:b", "a}:t:b"),
        ("asynq:{a}:t:b}:t:x", "", "a|a}:t:b"),
        ("asynq:{a}:t:b}:t:x", "a|a}:t:b", "a|a}:t:b"),
        ("asynq:{a}:g:b}:t:x}:y", "a}:g:b|c", "a}:g:b"),
        ("asynq:{a}:else", "a", ""),
        ("asynq:{a}:failed:soon", "a", ""),
        ("asynq:servers:{a:1:b}", "", ""),
        ("other:{a}:t:x", "a", ""),
    ],
)
def test_a_key_belongs_to_the_longest_name_if_that_alone_is_listed_or_to_the_only_one(
    key: str, listed: str, expected: str
) -> None:
    def names(text: str) -> list[bytes]:
        return [name.encode() for name in text.split("|") if name]

    assert owners(key.encode(), names(listed)) == names(expected)


@given(st.text(), st.text())
def test_the_owner_is_always_among_those_that_are_possible(queue: str, name: str) -> None:
    keys = [
        task_key(queue, name),
        group_key(queue, name),
        unique_key(queue, name, b"x"),
        pending_key(queue),
        processed_key(queue, "2026-01-31"),
    ]

    for key in keys:
        assert queue.encode() in owners(key.encode(), ())
        assert queue.encode() in owners(key.encode(), [queue.encode()])
