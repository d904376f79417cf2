"""Task: what it takes, what it refuses, that it is a value."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given

from asynq_py import MSGPACK, RAW, ConfigError, Task
from tests.support import strategies


@pytest.mark.parametrize(
    "payload", [b"\x00\xff", bytearray(b"\x00\xff"), memoryview(b"\x00\xff")], ids=lambda p: type(p)
)
def test_a_bytes_like_payload_travels_untouched(payload: object) -> None:
    assert Task("t", payload).payload == b"\x00\xff"


def test_a_mutable_payload_is_copied() -> None:
    payload = bytearray(b"abc")
    task = Task("t", payload)

    payload[0] = 0

    assert task.payload == b"abc"


def test_no_payload_is_none_and_not_given_is_empty() -> None:
    assert Task("t", None).payload is None
    assert Task("t").payload == b""


def test_any_other_payload_goes_through_the_codec() -> None:
    value = {"b": 1, "a": "<ü>"}

    assert Task("t", value).payload == b'{"b":1,"a":"\\u003c\xc3\xbc\\u003e"}'
    assert Task("t", {"a": 1}, codec=MSGPACK).payload == b"\x81\xa1a\x01"


def test_what_the_codec_refuses_is_refused_at_once() -> None:
    with pytest.raises(ConfigError):
        Task("t", object())
    with pytest.raises(ConfigError):
        Task("t", {"a": 1}, codec=RAW)


@pytest.mark.parametrize("name", ["", "  ", "a\ud800", None, 1, b"t"])
def test_a_type_that_cannot_be_is_refused(name: Any) -> None:  # noqa: ANN401
    with pytest.raises(ConfigError, match="type"):
        Task(name)


@pytest.mark.parametrize(
    "headers", [{"a": 1}, {1: "a"}, {"a": None}, {"a": b"x"}, {"a": "\ud800"}, {"\ud800": "a"}]
)
def test_headers_that_are_not_text_to_text_are_refused(headers: Any) -> None:  # noqa: ANN401
    with pytest.raises(ConfigError, match="headers"):
        Task("t", headers=headers)


@pytest.mark.parametrize("headers", [[("a", "b")], "ab", 1])
def test_headers_that_are_no_mapping_are_refused(headers: Any) -> None:  # noqa: ANN401
    with pytest.raises(ConfigError, match="mapping"):
        Task("t", headers=headers)


def test_options_are_checked_at_once() -> None:
    with pytest.raises(ConfigError, match="max_retry"):
        Task("t", max_retry=-1)
    with pytest.raises(ConfigError, match="did you mean 'queue'"):
        Task("t", queu="x")  # type: ignore[call-arg]


def test_headers_are_copied_and_read_only() -> None:
    given = {"a": "b"}
    task = Task("t", headers=given)

    given["a"] = "changed"

    assert task.headers == {"a": "b"}
    with pytest.raises(TypeError):
        task.headers["a"] = "x"  # type: ignore[index]


def test_changing_the_options_shown_changes_nothing() -> None:
    task = Task("t", queue="q")

    task.options["queue"] = "other"

    assert task.options == {"queue": "q"}


@pytest.mark.parametrize("name", ["type", "payload", "headers", "options", "new"])
def test_a_task_is_immutable(name: str) -> None:
    with pytest.raises(AttributeError):
        setattr(Task("t"), name, "x")


def test_tasks_are_equal_when_all_they_say_is() -> None:
    task = Task("t", {"a": 1}, headers={"h": "v"}, queue="q", timeout=1)

    assert task == Task("t", b'{"a":1}', headers={"h": "v"}, timeout=0.5, queue="q")
    assert hash(task) == hash(Task("t", b'{"a":1}'))


@pytest.mark.parametrize(
    "other",
    [
        Task("u", b"p", headers={"h": "v"}, queue="q"),
        Task("t", b"o", headers={"h": "v"}, queue="q"),
        Task("t", b"p", headers={"h": "w"}, queue="q"),
        Task("t", b"p", headers={"h": "v"}, queue="r"),
        Task("t", b"p"),
        "t",
    ],
)
def test_tasks_differ_when_anything_does(other: object) -> None:
    assert Task("t", b"p", headers={"h": "v"}, queue="q") != other


def test_no_payload_and_an_empty_one_are_different_tasks() -> None:
    assert Task("t", None) != Task("t", b"")


def test_the_repr_is_short_and_names_what_was_given() -> None:
    task = Task("t", b"x" * 100, queue="q")

    assert repr(task) == f"Task('t', {b'x' * 40!r}..., queue='q')"
    assert repr(Task("t", None)) == "Task('t', None)"


@pytest.mark.parametrize(
    "transform",
    [lambda t: pickle.loads(pickle.dumps(t)), copy.copy, copy.deepcopy],
    ids=["pickle", "copy", "deepcopy"],
)
@pytest.mark.parametrize(
    "task",
    [
        Task("t", None),
        Task(
            "t",
            {"a": 1},
            headers={"h": "v"},
            queue="q",
            timeout=1.5,
            process_at=datetime(2030, 1, 1, tzinfo=UTC),
        ),
    ],
    ids=["plain", "full"],
)
def test_a_copy_is_an_equal_task(transform: Callable[[Task], Task], task: Task) -> None:
    copied = transform(task)

    assert copied == task
    assert copied.options == task.options
    with pytest.raises(TypeError):
        copied.headers["a"] = "x"  # type: ignore[index]


@given(strategies.names, strategies.payloads, strategies.headers)
def test_any_text_and_bytes_make_a_task(name: str, payload: bytes, headers: dict[str, str]) -> None:
    task = Task(name, payload, headers=headers)

    assert (task.type, task.payload, task.headers) == (name, payload, headers)
