"""The codecs: Go's bytes, what is refused and where, and reading back."""

from __future__ import annotations

import dataclasses
import enum
import subprocess
import sys
import uuid
from collections import OrderedDict, UserDict, namedtuple
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any
from zoneinfo import ZoneInfo

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asynq_py.codec import JSON, JSON_SORTED, MSGPACK, RAW, Codec
from asynq_py.codec.plain import MAX_DEPTH
from asynq_py.errors import ConfigError, WireError


class Color(enum.Enum):
    RED = "red"
    CODE = 7
    PLACE = {"x": 1.0}  # noqa: RUF012  # a value that is mutable
    BAD = frozenset({1})


class Word(enum.StrEnum):
    A = "a<"


class Level(enum.IntEnum):
    LOW = 1


@dataclasses.dataclass
class Address:
    street: str
    number: int


@dataclasses.dataclass
class User:
    name: str
    id: int
    address: Address | None = None


class Model(pydantic.BaseModel):
    name: str
    at: datetime
    data: bytes
    tags: Any = ()


Point = namedtuple("Point", "x y")

PLUS = timezone(timedelta(hours=5, minutes=30))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"user_id": 42, "email": "a@b.c"}, '{"user_id":42,"email":"a@b.c"}'),
        ({"b": 1, "a": {"d": 2, "c": 3}}, '{"b":1,"a":{"d":2,"c":3}}'),
        ({}, "{}"),
        ([], "[]"),
        (None, "null"),
        ([True, False, None, (1, 2)], "[true,false,null,[1,2]]"),
        ("é日😀", '"é日😀"'),
        ("<a href='x'>&</a>", r'''"\u003ca href='x'\u003e\u0026\u003c/a\u003e"'''),
        ("\u2028\u2029\u202a", '"\\u2028\\u2029\u202a"'),
        ('"\\/\b\f\n\r\t\x00\x1f\x7f', '"\\"\\\\/\\b\\f\\n\\r\\t\\u0000\\u001f\x7f"'),
        ({"<\u2028": 1}, '{"\\u003c\\u2028":1}'),
        (10**25, "1" + "0" * 25),
        (-(2**63), "-9223372036854775808"),
        (Point(1, 2.0), "[1,2]"),
        (OrderedDict(b=1, a=2), '{"b":1,"a":2}'),
    ],
)
def test_json_is_gos_json_of_a_struct(value: object, expected: str) -> None:
    assert JSON.encode(value) == expected.encode()


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (1.0, "1"),
        (-1.0, "-1"),
        (0.0, "0"),
        (-0.0, "-0"),
        (1.5, "1.5"),
        (0.1, "0.1"),
        (100.0, "100"),
        (1e15, "1000000000000000"),
        (1e16, "10000000000000000"),
        (-1.2345678901234567e16, "-12345678901234568"),
        (1.5e20, "150000000000000000000"),
        (9.999999999999999e20, "999999999999999900000"),
        (1e21, "1e+21"),
        (-1.5e300, "-1.5e+300"),
        (0.0001, "0.0001"),
        (0.00001, "0.00001"),
        (-1.25e-5, "-0.0000125"),
        (0.000001, "0.000001"),
        (9.99e-7, "9.99e-7"),
        (1e-7, "1e-7"),
        (-1e-10, "-1e-10"),
        (5e-324, "5e-324"),
    ],
)
def test_floats_have_gos_form_wherever_they_are(number: float, expected: str) -> None:
    assert JSON.encode(number).decode() == expected
    assert JSON.encode([number, number]).decode() == f"[{expected},{expected}]"
    assert JSON.encode({"a": number, "b": 1}).decode() == f'{{"a":{expected},"b":1}}'
    assert JSON_SORTED.encode({"z": {"a": number}}).decode() == f'{{"z":{{"a":{expected}}}}}'


@pytest.mark.parametrize("text", [":1.0,", "[1.0]", ",1e+16}", '":1e-05,', "\\", '\\",1.0,'])
def test_text_that_looks_like_a_float_stays_as_it_is(text: str) -> None:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    assert JSON.encode([text, 2.0, text]).decode() == f'["{escaped}",2,"{escaped}"]'
    assert JSON.encode([text, 1e-5, text]).decode() == f'["{escaped}",0.00001,"{escaped}"]'
    assert JSON.encode({text: 1e16}).decode() == f'{{"{escaped}":10000000000000000}}'


def test_a_dict_with_only_int_keys_is_gos_map_sorted_as_text() -> None:
    assert JSON.encode({2: "b", 10: "a", -1: {}}) == b'{"-1":{},"10":"a","2":"b"}'
    assert JSON.encode({Level.LOW: 1}) == b'{"1":1}'


def test_a_dict_with_text_and_int_keys_keeps_its_order() -> None:
    assert JSON.encode({2: 1, "a": 2, 1: 3}) == b'{"2":1,"a":2,"1":3}'


def test_sorted_json_sorts_every_level_by_the_bytes_of_the_keys() -> None:
    value = {"é": 1, "a": [{"\U00010000": 1, "\uffff": 2}], "Z": {10: 1, 9: 2}, "": 0}
    expected = '{"":0,"Z":{"10":1,"9":2},"a":[{"\uffff":2,"\U00010000":1}],"é":1}'
    assert JSON_SORTED.encode(value).decode() == expected
    assert JSON_SORTED.encode(User("n", 1)) == b'{"address":null,"id":1,"name":"n"}'


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (User("n", 1, Address("s", 2)), '{"name":"n","id":1,"address":{"street":"s","number":2}}'),
        (Color.RED, '"red"'),
        ([Color.CODE, Color.PLACE], '[7,{"x":1}]'),
        ({Word.A: Word.A, "l": Level.LOW}, '{"a\\u003c":"a\\u003c","l":1}'),
        (b"\x00\xff\xfe", '"AP/+"'),
        ([bytearray(b"a"), memoryview(b"")], '["YQ==",""]'),
        (timedelta(seconds=1.5), "1500000000"),
        (timedelta(microseconds=-1), "-1000"),
        (uuid.UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
        (datetime(2024, 3, 5, 7, 8, 9, tzinfo=UTC), '"2024-03-05T07:08:09Z"'),
        (datetime(2024, 3, 5, 7, 8, 9, 120_000, PLUS), '"2024-03-05T07:08:09.12+05:30"'),
        (datetime(24, 7, 5, 7, 8, 9, 1, UTC), '"0024-07-05T07:08:09.000001Z"'),
        (datetime(2024, 7, 5, tzinfo=ZoneInfo("Europe/Berlin")), '"2024-07-05T00:00:00+02:00"'),
        (
            datetime(2024, 7, 5, tzinfo=timezone(-timedelta(hours=1, seconds=59))),
            '"2024-07-05T00:00:00-01:00"',
        ),
        (
            Model(name="n", at=datetime(2024, 3, 5, tzinfo=UTC), data=b"a", tags=[1.0]),
            '{"name":"n","at":"2024-03-05T00:00:00Z","data":"YQ==","tags":[1]}',
        ),
    ],
)
def test_json_takes_what_programs_hold(value: object, expected: str) -> None:
    assert JSON.encode(value).decode() == expected
    assert JSON.encode({"v": [value]}).decode() == f'{{"v":[{expected}]}}'


class Unset:
    """A model that cannot be dumped."""

    def model_dump(self) -> dict[str, object]:
        raise RuntimeError("no")


@dataclasses.dataclass
class Partial:
    value: int = dataclasses.field(init=False)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            {"user": {"tags": [1, 2, 3, {4}]}},
            'payload["user"]["tags"][3]: set cannot be encoded as JSON; use a list',
        ),
        (User("n", 1, {"a": object()}), 'payload.address["a"]: object cannot be encoded as JSON'),  # type: ignore[arg-type]
        (
            Model(name="n", at=datetime(2024, 1, 1, tzinfo=UTC), data=b"", tags={1}),
            "payload.tags: set cannot",
        ),
        ([Color.BAD], "payload[0]: frozenset cannot"),
        ({1: {2: Decimal(1)}}, 'payload["1"]["2"]: Decimal cannot be encoded as JSON; use an int'),
        (date(2024, 1, 1), "payload: date cannot be encoded as JSON; use an aware datetime"),
        (PurePosixPath("a"), "use a str"),
        (UserDict(), "UserDict cannot be encoded as JSON; use a dict"),
        (iter(()), "tuple_iterator cannot be encoded as JSON; use a list"),
        (User, "type cannot be encoded as JSON; use an instance"),
        (Unset(), "payload: model_dump of Unset failed: no"),
        ([Partial()], "payload[0]: Partial has a field without a value"),
        ({"a": float("nan")}, 'payload["a"]: nan is no number in JSON'),
        ([1.0, float("-inf")], "payload[1]: -inf is no number in JSON"),
        (float("inf"), "payload: inf"),
        ({"a": [{None: 1}]}, 'payload["a"][0]: key None is a NoneType'),
        ({1.5: 1}, "key 1.5 is a float"),
        ({True: 1}, "key True is a bool"),
        ({b"a": 1}, "key b'a' is a bytes"),
        ({(1, 2): 1}, "key (1, 2) is a tuple"),
        ({1: 1, "1": 2}, "key '1' is there twice"),
        ({"a": ["\ud800"]}, "payload[\"a\"][0]: '\\ud800' is not valid Unicode"),
        ({"\udfff": 1}, "payload: '\\udfff' is not valid Unicode"),
        (datetime(2024, 1, 1), "payload: naive datetime 2024-01-01T00:00:00"),  # noqa: DTZ001
        (timedelta.max, "does not fit into 64 bits of nanoseconds"),
        ([10**5000], "payload[0]: int of 16610 bits"),
    ],
)
@pytest.mark.parametrize("codec", [JSON, JSON_SORTED], ids=repr)
def test_json_refuses_with_the_place(codec: Codec, value: object, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        codec.encode(value)
    assert message in str(caught.value)


def nest(levels: int) -> list[object]:
    value: list[object] = []
    for _ in range(levels - 1):
        value = [value]
    return value


@pytest.mark.parametrize("codec", [JSON, JSON_SORTED, MSGPACK], ids=repr)
def test_too_deep_a_value_is_refused(codec: Codec) -> None:
    with pytest.raises(ConfigError, match="nested more than"):
        codec.encode(nest(100_000))


@pytest.mark.parametrize("codec", [JSON, JSON_SORTED, MSGPACK], ids=repr)
def test_a_value_as_deep_as_allowed_is_encoded(codec: Codec) -> None:
    assert codec.decode(codec.encode(nest(MAX_DEPTH))) == nest(MAX_DEPTH)


def test_json_refuses_one_level_more_than_allowed() -> None:
    with pytest.raises(ConfigError, match="nested more than"):
        JSON.encode(nest(MAX_DEPTH + 1))


@pytest.mark.parametrize("codec", [JSON, JSON_SORTED, MSGPACK], ids=repr)
def test_a_value_that_holds_itself_is_refused(codec: Codec) -> None:
    record: dict[str, object] = {}
    record["self"] = [record]
    with pytest.raises(ConfigError, match="refers back to itself"):
        codec.encode(record)
    user = User("n", 1)
    user.address = user  # type: ignore[assignment]
    with pytest.raises(ConfigError):
        codec.encode(user)


def test_a_value_that_is_there_twice_is_encoded_twice() -> None:
    shared = {"a": Address("s", 1)}
    record = '{"a":{"street":"s","number":1}}'
    assert JSON.encode([shared, shared]).decode() == f"[{record},{record}]"


def test_encoding_leaves_the_value_alone() -> None:
    value = {"b": [1.0, {"<": (1, b"x")}], "a": {2: 1, 1: 2}}
    JSON_SORTED.encode(value)
    assert repr(value) == "{'b': [1.0, {'<': (1, b'x')}], 'a': {2: 1, 1: 2}}"


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    # JSON has one kind of number: -0.0 and large whole floats come back as an int.
    | st.floats(-1e15, 1e15).map(lambda number: number + 0.0)
    | st.floats(1e21, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner)
    ),
    max_leaves=15,
)


@given(plain)
def test_plain_data_comes_back_from_json(value: object) -> None:
    for codec in (JSON, JSON_SORTED):
        data = codec.encode(value)
        assert codec.decode(data) == value
        assert codec.encode(codec.decode(data)) == data
    # The order of keys counts in one, and not in the other.
    assert JSON_SORTED.encode(turned(value)) == JSON_SORTED.encode(value)


def turned(value: object) -> object:
    """Gives the value with the keys of all dicts in the opposite order."""
    if isinstance(value, dict):
        return {key: turned(member) for key, member in reversed(value.items())}
    return [turned(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"\xff",
        b'"\xed\xa0\x80"',
        b"NaN",
        b"-Infinity",
        b"1e999",
        b"1 2",
        b"\xef\xbb\xbf1",
        b"[" * 100_000,
        b"1" * 5000,
        '"é"'.encode("utf-16"),
    ],
    ids=lambda data: repr(data[:12]),
)
def test_json_refuses_to_read_what_is_no_json(data: bytes) -> None:
    with pytest.raises(WireError, match="payload is not JSON"):
        JSON.decode(data)


def test_json_reads_half_a_surrogate_pair_as_go_does() -> None:
    text = r'["\ud83d\ude00","\uD83Dx","\ude00\ud83d","\\ud83d","\ud83d\ud83d\ude00","\u00e9"]'
    expected = ["😀", "\ufffdx", "\ufffd\ufffd", "\\ud83d", "\ufffd😀", "é"]
    assert JSON.decode(text.encode()) == expected


@pytest.mark.parametrize("value", [b"a\x00", bytearray(b"a\x00"), memoryview(b"a\x00")])
def test_raw_gives_the_bytes(value: object) -> None:
    encoded = RAW.encode(value)
    assert encoded == b"a\x00"
    assert type(encoded) is bytes
    assert RAW.decode(encoded) == b"a\x00"


@pytest.mark.parametrize("value", ["a", None, 1, [98], {}])
def test_raw_refuses_all_else(value: object) -> None:
    with pytest.raises(ConfigError, match=f"payload: {type(value).__name__} is not bytes"):
        RAW.encode(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"a": 1, "b": [None, True, 1.5]}, "82a16101a16293c0c3cb3ff8000000000000"),
        (b"\x01", "c40101"),
        ("é", "a2c3a9"),
        (datetime.fromtimestamp(1, UTC), "d6ff00000001"),
        (datetime(1970, 1, 1, 1, tzinfo=timezone(timedelta(hours=1))), "d6ff00000000"),
        (User("n", 1), "83a46e616d65a16ea2696401a761646472657373c0"),
        ([Color.RED, Color.CODE, Word.A], "93a372656407a2613c"),
        (timedelta(microseconds=1), "cd03e8"),
        (uuid.UUID(int=0), "d924" + b"00000000-0000-0000-0000-000000000000".hex()),
        ({1: 2}, "810102"),
        (2**64 - 1, "cf" + "ff" * 8),
    ],
)
def test_msgpack_has_bin_and_timestamps(value: object, expected: str) -> None:
    assert MSGPACK.encode(value).hex() == expected


def test_msgpack_takes_models() -> None:
    at = datetime(2024, 3, 5, 7, 8, 9, 123_456, UTC)
    encoded = MSGPACK.encode([Model(name="n", at=at, data=b"a", tags=[Color.PLACE])])
    expected = {"name": "n", "at": at, "data": b"a", "tags": [{"x": 1.0}]}
    assert MSGPACK.decode(encoded) == [expected]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": [1, {2}]}, 'payload["a"][1]: set cannot be encoded as MessagePack; use a list'),
        (User("n", 2**64), "payload.id: int of 65 bits does not fit into 64"),
        ({"a": "\ud800"}, "payload[\"a\"]: '\\ud800' is not valid Unicode"),
        ([datetime(2024, 1, 1)], "payload[0]: naive datetime"),  # noqa: DTZ001
        ([Color.BAD], "payload[0]: frozenset"),
        (Unset(), "model_dump of Unset failed"),
        ({(1, 2): object()}, "key (1, 2) is a tuple"),
    ],
)
def test_msgpack_refuses_with_the_place(value: object, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        MSGPACK.encode(value)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "data", [b"", b"\x81", b"\xc1", b"\x01\x02", b"\xa1\xff", b"\x81\x90\x01", b"\x91" * 10_000]
)
def test_msgpack_refuses_to_read_what_is_no_msgpack(data: bytes) -> None:
    with pytest.raises(WireError, match="payload is not MessagePack"):
        MSGPACK.decode(data)


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**63), 2**64 - 1)
        | st.floats(allow_nan=False)
        | st.text(st.characters(exclude_categories=["Cs"]))
        | st.binary()
        | st.datetimes(timezones=st.just(UTC)),
        lambda inner: st.lists(inner) | st.dictionaries(st.integers(0, 9) | st.text("ab"), inner),
        max_leaves=15,
    )
)
def test_plain_data_comes_back_from_msgpack(value: object) -> None:
    assert MSGPACK.decode(MSGPACK.encode(value)) == value


def test_importing_the_codecs_loads_no_library() -> None:
    program = (
        "import sys, asynq_py.codec\n"
        "loaded = {'msgpack', 'pydantic'} & set(sys.modules)\n"
        "assert not loaded, loaded"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
