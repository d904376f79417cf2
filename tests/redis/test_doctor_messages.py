"""The doctor and messages that workers cannot use."""

from __future__ import annotations

import redis

from asynq_py.doctor import Doctor
from asynq_py.wire.message import TaskMessage, encode
from tests.support.damage import Q, look, put


def test_messages_that_cannot_be_right_are_told_with_their_keys(
    doctor: Doctor, database: redis.Redis
) -> None:
    for task_id in "abcd":
        put(database, task_id, "pending")
    database.hset(Q + "t:a", "msg", b"\xff\xff")
    database.hset(Q + "t:b", "msg", encode(TaskMessage(type="t", id="c", queue="q")))
    database.hset(Q + "t:c", "msg", encode(TaskMessage(type="t", id="c", queue="p")))

    found = look(doctor)

    assert sorted((finding.code, finding.key[-1]) for finding in found) == [
        ("undecodable", "a"),
        ("wrong-message", "b"),
        ("wrong-message", "c"),
    ]
    assert [finding.repair for finding in found] == [None] * 3
    assert doctor.fix_all(found) == [False] * 3
