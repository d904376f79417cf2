"""Scripts: sent by their hash, whole only when the server has lost them."""

from __future__ import annotations

from hashlib import sha1

import pytest

from asynq_py import RejectedError
from asynq_py.broker.scripts import ENQUEUE, Script, evaluate, is_unknown_script
from tests.support.scripted import replay

UNKNOWN = RejectedError("NOSCRIPT No matching script", code="NOSCRIPT")
SCRIPT = Script("s", "return 1", "abc")


def test_the_hash_is_that_of_the_text() -> None:
    assert ENQUEUE.sha == sha1(ENQUEUE.text.encode(), usedforsecurity=False).hexdigest()


def test_a_script_is_sent_by_its_hash() -> None:
    played = replay(evaluate(SCRIPT, ["k1", "k2"], [3, b"x"]), [[1]])

    assert played.result == 1
    assert played.sent == [[("EVALSHA", "abc", 2, "k1", "k2", 3, b"x")]]


def test_a_script_that_the_server_has_lost_is_sent_whole() -> None:
    played = replay(evaluate(SCRIPT, ["k"], [3]), [[UNKNOWN], [b"done"]])

    assert played.result == b"done"
    assert played.sent[1] == [("EVAL", "return 1", 1, "k", 3)]


def test_another_refusal_is_raised_and_nothing_more_is_sent() -> None:
    played = replay(evaluate(SCRIPT, ["k"], []), [[RejectedError("OOM full", code="OOM")]])

    assert isinstance(played.error, RejectedError)
    assert played.words == [["EVALSHA"]]


def test_a_refusal_of_the_whole_script_is_raised() -> None:
    played = replay(evaluate(SCRIPT, ["k"], []), [[UNKNOWN], [UNKNOWN]])

    assert isinstance(played.error, RejectedError)
    assert played.words == [["EVALSHA"], ["EVAL"]]


@pytest.mark.parametrize(
    ("reply", "unknown"),
    [(UNKNOWN, True), (RejectedError("x", code="ERR"), False), (1, False), (None, False)],
)
def test_only_noscript_says_that_a_script_is_unknown(reply: object, unknown: bool) -> None:
    assert is_unknown_script(reply) is unknown
