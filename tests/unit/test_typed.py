"""Decoded payloads as dataclasses and models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import InitVar, dataclass, field
from datetime import UTC, date, datetime, timedelta
from enum import Enum, IntEnum
from typing import Any, Literal, Optional, Union
from uuid import UUID

import pydantic
import pytest

from asynq_py.codec import JSON, MSGPACK, Codec
from asynq_py.codec.typed import can_read, read_as
from asynq_py.errors import WireError


class Color(Enum):
    RED = "red"


class Level(IntEnum):
    LOW = 1


@dataclass
class Inner:
    name: str
    parent: Inner | None = None


@dataclass
class Everything:
    text: str
    number: int
    ratio: float
    flag: bool
    nothing: None
    anything: Any
    choice: Literal["a", "b"]
    inner: Inner
    maybe: Optional[Inner]  # noqa: UP045
    union: Union[int, str]  # noqa: UP007
    items: list[Inner]
    pair: tuple[int, str]
    row: tuple[int, ...]
    tags: set[str]
    frozen: frozenset[int]
    by_name: dict[str, Inner]
    by_number: Mapping[int, str]
    at: datetime
    span: timedelta
    uid: UUID
    data: bytes
    color: Color
    level: Level
    loose: list = field(default_factory=list)  # type: ignore[type-arg]


def everything(**changes: Any) -> Everything:  # noqa: ANN401
    values: dict[str, Any] = {
        "text": "ü",
        "number": 7,
        "ratio": 2.0,
        "flag": True,
        "nothing": None,
        "anything": {"x": [1, None]},
        "choice": "b",
        "inner": Inner("i", Inner("p")),
        "maybe": None,
        "union": "u",
        "items": [Inner("a"), Inner("b")],
        "pair": (1, "x"),
        "row": (1, 2, 3),
        "tags": {"t"},
        "frozen": frozenset({5}),
        "by_name": {"n": Inner("n")},
        "by_number": {5: "five"},
        "at": datetime(2030, 1, 2, 3, 4, 5, 678900, UTC),
        "span": timedelta(days=3, microseconds=7),
        "uid": UUID(int=5),
        "data": b"\x00\xff",
        "color": Color.RED,
        "level": Level.LOW,
        "loose": [1],
    }
    return Everything(**values | changes)


@pytest.mark.parametrize("codec", [JSON, MSGPACK], ids=["JSON", "MSGPACK"])
def test_what_a_codec_has_written_is_read_back(codec: Codec) -> None:
    value = everything()
    # No codec writes sets.
    written = codec.encode(everything(tags=["t"], frozen=[5]))

    assert read_as(Everything, codec.decode(written)) == value


def test_dataclasses_are_read_as_they_are_made() -> None:
    @dataclass
    class Made:
        given: int
        late: int = field(init=False, default=5)
        scale: InitVar[int] = 2
        listed: list[int] = field(default_factory=lambda: [1])

        def __post_init__(self, scale: int) -> None:
            self.given *= scale

    assert read_as(Made, {"given": 3, "late": 9, "unknown": 1}) == Made(3)


def test_a_moment_of_go_has_nanoseconds() -> None:
    assert read_as(datetime, "2030-01-02T03:04:05.123456789Z") == datetime(
        2030, 1, 2, 3, 4, 5, 123456, UTC
    )


def test_a_long_span_is_read_exactly() -> None:
    span = timedelta(days=100_000, microseconds=3)

    assert read_as(timedelta, span // timedelta(microseconds=1) * 1000) == span


class Model(pydantic.BaseModel):
    count: int = pydantic.Field(gt=0)


def test_models_check_by_their_own_rules() -> None:
    assert read_as(Model, {"count": "3"}) == Model(count=3)
    with pytest.raises(WireError, match="payload is no Model: 1 validation error"):
        read_as(Model, {"count": 0})


def test_models_and_dataclasses_may_be_mixed() -> None:
    @dataclass
    class Holder:
        models: list[Model]

    # The annotation is text, and is looked up where the class was made.
    Holder.__annotations__["models"] = list[Model]

    assert read_as(Holder, {"models": [{"count": 1}]}) == Holder([Model(count=1)])


@pytest.mark.parametrize(
    ("wanted", "data", "message"),
    [
        (int, "1", "payload must be int, not '1'"),
        (int, True, "payload must be int, not True"),
        (int, 1.5, "payload must be int, not 1.5"),
        (float, True, "payload must be float, not True"),
        (float, 10**400, "payload must be float, not 1000"),
        (bool, 1, "payload must be bool, not 1"),
        (str, b"x", "payload must be str"),
        (type(None), 0, "payload must be null, not 0"),
        (Literal["a", "b"], "c", "payload must be 'a' or 'b', not 'c'"),
        (int | None, "x", "payload must be int, not 'x'; or payload must be null, not 'x'"),
        (list[int], {}, "payload must be a list"),
        (list[int], "abc", "payload must be a list"),
        (list[int], [1, "x"], r"payload\[1\] must be int, not 'x'"),
        (set, [[]], "payload: unhashable"),
        (tuple[int, str], [1], "payload must be a list of 2"),
        (dict[str, int], [], "payload must be an object"),
        (dict[str, int], {"a": "x"}, r"payload\['a'\] must be int, not 'x'"),
        (dict[int, int], {"x": 1}, "payload key must be int, not 'x'"),
        (datetime, "yesterday", "payload must be a datetime, not 'yesterday'"),
        (datetime, 5, "payload must be a datetime, not 5"),
        (datetime, "2030-01-02T03:04:05", "payload must be a datetime"),
        (date, "2030", "payload must be a date"),
        (timedelta, "1h", "payload must be a timedelta"),
        (timedelta, True, "payload must be a timedelta"),
        (timedelta, 10**30, "payload must be a timedelta"),
        (UUID, "x", "payload must be a UUID"),
        (UUID, 5, "payload must be a UUID"),
        (bytes, "?", "payload must be a bytes"),
        (bytes, [1], "payload must be a bytes"),
        (Color, "blue", "payload must be a Color, not 'blue'"),
        (Color, ["red"], "payload must be a Color"),
        (complex, 1, "payload: there is no way to read a <class 'complex'>"),
        (Inner, 5, r"payload must be an object \(Inner\), not 5"),
        (Inner, {}, r'payload has no "name" \(Inner needs it\)'),
        (Inner, {"name": "a", "parent": {"name": 3}}, r"payload.parent.name must be str, not 3"),
        (str, ["x" * 1000], r"payload must be str, not \['x{55}\.\.\."),
    ],
)
def test_other_data_is_refused_with_its_place(wanted: Any, data: Any, message: str) -> None:  # noqa: ANN401
    with pytest.raises(WireError, match=message) as caught:
        read_as(wanted, data)

    assert len(str(caught.value)) < 300


def test_what_a_dataclass_itself_refuses_is_told() -> None:
    @dataclass
    class Picky:
        age: int

        def __post_init__(self) -> None:
            if self.age < 0:
                raise ValueError("age is negative")

    with pytest.raises(WireError, match="payload is no Picky: age is negative"):
        read_as(Picky, {"age": -1})


def test_what_can_be_read() -> None:
    assert [can_read(each) for each in (Inner, Model, int, "Inner", list[Inner], None)] == [
        True,
        True,
        False,
        False,
        False,
        False,
    ]


def test_what_is_nil_in_go_is_empty() -> None:
    @dataclass
    class Nil:
        slice: list[str]
        map: dict[str, int]
        bytes: bytes
        maybe: list[str] | None

    read = read_as(Nil, {"slice": None, "map": None, "bytes": None, "maybe": None})

    assert read == Nil([], {}, b"", None)
