"""Every key as Asynq spells it; no two tasks share one."""

from __future__ import annotations

import pytest
from hypothesis import given
from redis.crc import key_slot

from asynq_py.wire import keys
from tests.support import strategies


def test_the_keys_are_those_of_asynq_and_some_of_our_own() -> None:
    assert keys.QUEUES == "asynq:queues"
    assert keys.SERVERS == "asynq:servers"
    assert keys.WORKERS == "asynq:workers"
    assert keys.SCHEDULERS == "asynq:schedulers"
    assert keys.CANCEL == "asynq:cancel"
    assert keys.PAUSED == "asynq:py:paused"
    assert keys.CONTROL == "asynq:py:control"
    assert keys.queue_prefix("q") == "asynq:{q}:"
    assert keys.task_prefix("q") == "asynq:{q}:t:"
    assert keys.task_key("q", "i") == "asynq:{q}:t:i"
    assert keys.pending_key("q") == "asynq:{q}:pending"
    assert keys.scheduled_key("q") == "asynq:{q}:scheduled"
    assert keys.quarantine_key("q") == "asynq:{q}:py:quarantine"
    assert keys.groups_key("q") == "asynq:{q}:groups"
    assert keys.group_key("q", "g:1") == "asynq:{q}:g:g:1"
    assert keys.scheduler_key("h:1:u") == "asynq:schedulers:{h:1:u}"
    assert keys.scheduler_history_key("e") == "asynq:scheduler_history:e"


@pytest.mark.parametrize(
    ("queue", "task_type", "payload", "expected"),
    [
        ("default", "t", None, "asynq:{default}:unique:t:"),
        ("default", "t", b"", "asynq:{default}:unique:t:d41d8cd98f00b204e9800998ecf8427e"),
        ("q", "t:x", b"abc", "asynq:{q}:unique:t:x:900150983cd24fb0d6963f7d28e17f72"),
    ],
)
def test_a_lock_is_named_by_queue_type_and_the_hash_of_the_payload(
    queue: str, task_type: str, payload: bytes | None, expected: str
) -> None:
    assert keys.unique_key(queue, task_type, payload) == expected


@given(strategies.queues, strategies.names, strategies.queues, strategies.names)
def test_no_two_tasks_share_a_key(queue: str, task_id: str, queue2: str, task_id2: str) -> None:
    same = keys.task_key(queue, task_id) == keys.task_key(queue2, task_id2)

    assert same == ((queue, task_id) == (queue2, task_id2))


@given(strategies.queues, strategies.names, strategies.payloads)
def test_all_keys_of_a_queue_share_one_slot(queue: str, name: str, payload: bytes) -> None:
    of_queue = [
        keys.queue_prefix(queue),
        keys.task_prefix(queue),
        keys.task_key(queue, name),
        keys.pending_key(queue),
        keys.scheduled_key(queue),
        keys.groups_key(queue),
        keys.group_key(queue, name),
        keys.unique_key(queue, name, payload),
        keys.unique_key(queue, name, None),
    ]

    assert {key_slot(key.encode()) for key in of_queue} == {key_slot(queue.encode())}


@given(strategies.queues, strategies.names, strategies.names)
def test_no_key_of_one_kind_is_one_of_another(queue: str, name: str, group: str) -> None:
    of_queue = [
        keys.task_key(queue, name),
        keys.pending_key(queue),
        keys.scheduled_key(queue),
        keys.groups_key(queue),
        keys.group_key(queue, group),
        keys.unique_key(queue, name, b""),
    ]

    assert len(set(of_queue)) == len(of_queue)
