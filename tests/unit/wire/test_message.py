"""TaskMessage: the same bytes as Go's, nothing lost, damage noticed."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asynq_py import WireError
from asynq_py.wire.asynq_pb2 import SchedulerEnqueueEvent, SchedulerEntry, ServerInfo, WorkerInfo
from asynq_py.wire.message import TaskMessage, decode, encode, encode_new
from tests.support import strategies

VECTORS = Path(__file__).parents[3] / "interop" / "vectors" / "messages.json"
KINDS = {
    cls.DESCRIPTOR.name: cls
    for cls in (TaskMessage, SchedulerEntry, SchedulerEnqueueEvent, ServerInfo, WorkerInfo)
}


def go_vectors() -> list[Any]:
    """Messages as Go wrote them: name, kind, fields, bytes."""
    vectors = json.loads(VECTORS.read_text()) if VECTORS.exists() else []
    return [pytest.param(vector, id=vector["name"]) for vector in vectors]


def build(vector: dict[str, Any]) -> Any:  # noqa: ANN401
    """The message that a vector's fields describe."""
    cls = KINDS[vector["message"]]
    fields = {name: value for name, value in vector["fields"].items() if value is not None}
    for field in cls.DESCRIPTOR.fields:
        if field.type == field.TYPE_BYTES and field.name in fields:
            fields[field.name] = base64.b64decode(fields[field.name])
    return cls(**fields)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        pytest.param(
            TaskMessage(
                type="email:send",
                payload=b'{"a":1}',
                headers={"k": "v"},
                id="id-1",
                queue="default",
                retry=25,
                retried=2,
                error_msg="boom",
                last_failed_at=1700000000,
                timeout=1800,
                deadline=1700000100,
                unique_key="asynq:{default}:unique:email:send:x",
                group_key="g1",
                retention=3600,
                completed_at=1700000200,
            ),
            "0a0a656d61696c3a73656e6412077b2261223a317d1a0469642d31220764656661756c74281930023a04"
            "626f6f6d40880e48e4e2cfaa0652236173796e713a7b64656661756c747d3a756e697175653a656d6169"
            "6c3a73656e643a785880e2cfaa0660901c68c8e3cfaa06720267317a060a016b120176",
            id="every-field",
        ),
        pytest.param(
            TaskMessage(type="t", id="i", queue="default", retry=25, timeout=1800),
            "0a01741a0169220764656661756c74281940880e",
            id="no-payload",
        ),
        pytest.param(
            TaskMessage(type="t", id="i", queue="default", retry=-1, timeout=-5),
            "0a01741a0169220764656661756c7428ffffffffffffffffff0140fbffffffffffffffff01",
            id="negative-numbers",
        ),
    ],
)
def test_a_message_has_the_bytes_that_go_writes(message: TaskMessage, expected: str) -> None:
    assert encode(message).hex() == expected
    assert decode(bytes.fromhex(expected)) == message


def test_a_header_is_written_with_both_fields_even_if_they_are_empty() -> None:
    message = TaskMessage(
        type="t", id="i", queue="default", retry=25, timeout=1800, headers={"a": "", "": ""}
    )
    start = bytes.fromhex("0a01741a0169220764656661756c74281940880e")

    data = encode(message)

    # Which of the two comes first is not laid down; Go writes them in random order.
    assert data.removeprefix(start) in {
        bytes.fromhex("7a040a0012007a050a01611200"),
        bytes.fromhex("7a050a016112007a040a001200"),
    }


@pytest.mark.skipif(not VECTORS.exists(), reason="the vectors are made by interop/cmd/vectors")
@pytest.mark.parametrize("vector", go_vectors())
def test_what_go_wrote_reads_as_what_it_meant_and_is_written_alike(vector: dict[str, Any]) -> None:
    data = bytes.fromhex(vector["hex"])
    message = build(vector)

    assert type(message).FromString(data) == message
    # With two headers or more Go's own bytes differ from run to run.
    written = message.SerializeToString(deterministic=True)
    assert (written == data) or not vector["exact"]
    assert len(written) == len(data)


@given(strategies.messages())
def test_decoding_what_was_encoded_gives_the_same_message(message: TaskMessage) -> None:
    assert decode(encode(message)) == message


@given(
    message=strategies.messages(),
    number=st.integers(16, 2**29 - 1),
    value=st.binary(max_size=20),
)
def test_fields_that_we_do_not_know_are_kept(
    message: TaskMessage, number: int, value: bytes
) -> None:
    unknown = _varint(number << 3 | 2) + _varint(len(value)) + value

    message_again = decode(encode(message) + unknown)
    message_again.retried += 0

    assert encode(message_again).endswith(unknown)


@given(st.dictionaries(strategies.texts, strategies.texts, min_size=2, max_size=6), st.randoms())
def test_headers_are_written_in_one_order_whatever_the_order_given(
    headers: dict[str, str], random: Random
) -> None:
    shuffled = list(headers.items())
    random.shuffle(shuffled)

    assert encode(TaskMessage(headers=dict(shuffled))) == encode(TaskMessage(headers=headers))


def test_no_bytes_are_an_empty_message() -> None:
    assert decode(b"") == TaskMessage()


@pytest.mark.parametrize(
    "data",
    [
        b"\x0a\x05ab",  # shorter than it says
        b"\x0a\x02\xff\xfe",  # a type that is no UTF-8
        b"\xff",  # half a number
        b"\x0f",  # a wire type that does not exist
        b"{}",
    ],
)
def test_damaged_bytes_are_a_wire_error(data: bytes) -> None:
    with pytest.raises(WireError, match="no task message"):
        decode(data)


@given(st.binary(max_size=50))
def test_any_bytes_are_a_message_or_a_wire_error(data: bytes) -> None:
    try:
        message = decode(data)
    except WireError:
        return
    assert decode(encode(message)) == message


@given(strategies.messages(), st.integers(0, 70_000))
def test_a_new_message_is_encoded_as_protobuf_encodes_it(message: TaskMessage, length: int) -> None:
    # What a new task cannot have yet.
    for field in ("retried", "error_msg", "last_failed_at", "completed_at"):
        message.ClearField(field)
    # An ID is never empty, and lengths of one, two and three bytes are to be seen.
    message.id = message.id or "x"
    message.payload *= length // max(1, len(message.payload))

    data = encode_new(
        message.type,
        message.payload,
        message.id,
        message.queue,
        message.retry,
        message.timeout,
        deadline=message.deadline,
        unique_key=message.unique_key,
        retention=message.retention,
        group=message.group_key,
        headers=dict(message.headers),
    )

    assert data == encode(message)


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])
