"""The JSON codecs and Go's text forms, against Go itself.

Each test sends many values in one request. Whatever is generated is generated alike in
every run.
"""

from __future__ import annotations

import base64
import dataclasses
import random
import struct
import unicodedata
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import pytest

from asynq_py.codec import JSON, JSON_SORTED, Codec
from asynq_py.errors import ConfigError
from asynq_py.wire import gotext


class Oracle(Protocol):
    def post(self, path: str, payload: object) -> Any: ...  # noqa: ANN401


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def offset_of(value: datetime) -> int:
    return int((value.utcoffset() or timedelta()).total_seconds())


def describe(value: object, *, dict_as: str = "struct") -> object:
    """Gives the oracle's description of the Go value that a Python value stands for."""

    def again(part: object) -> object:
        return describe(part, dict_as=dict_as)

    match value:
        case None | bool():
            return value
        case str():
            return {"str": b64(value.encode())}
        case int():
            return {"int": str(value)}
        case float():
            return {"float": struct.pack(">d", value).hex()}
        case bytes():
            return {"bytes": b64(value)}
        case timedelta():
            return {"duration": str(value // timedelta(microseconds=1) * 1000)}
        case datetime():
            since = value - datetime(1970, 1, 1, tzinfo=UTC)
            seconds = since // timedelta(seconds=1)
            offset = None if value.tzinfo is UTC else offset_of(value)
            return {"time": [seconds, value.microsecond * 1000, offset]}
        case list() | tuple():
            return {"list": [again(item) for item in value]}
        case dict() if value and all(isinstance(key, int) for key in value):
            return {"intmap": [[str(key), again(item)] for key, item in value.items()]}
        case dict():
            return {dict_as: [[b64(key.encode()), again(item)] for key, item in value.items()]}
    assert dataclasses.is_dataclass(value)
    fields = dataclasses.fields(value)
    return {dict_as: [[b64(f.name.encode()), again(getattr(value, f.name))] for f in fields]}


def assert_as_go(
    oracle: Oracle, codec: Codec, values: Iterable[object], *, dict_as: str = "struct"
) -> None:
    """Asserts that our bytes are Go's, and that both refuse the same values."""
    values = list(values)
    answers = oracle.post("/json", [describe(value, dict_as=dict_as) for value in values])
    assert len(answers) == len(values)
    for value, answer in zip(values, answers, strict=True):
        if "ok" not in answer:
            with pytest.raises(ConfigError):
                codec.encode(value)
            continue
        expected = base64.b64decode(answer["ok"])
        assert codec.encode(value) == expected, value


# --- JSON ---


def test_every_character_is_escaped_as_in_go(oracle: Oracle) -> None:
    codes = [code for code in range(0x10000) if not 0xD800 <= code <= 0xDFFF]
    codes += [0x10000, 0x1F600, 0x2028F, 0xE0001, 0x10FFFF]
    assert_as_go(oracle, JSON, [[chr(code) for code in codes], "".join(map(chr, codes))])


def test_every_character_is_escaped_in_a_key_as_in_go(oracle: Oracle) -> None:
    codes = [*range(0x800), *range(0x2000, 0x2100), 0xFFFD, 0xFFFF, 0x1F600]
    record = {f"k{chr(code)}": code for code in codes}
    assert_as_go(oracle, JSON, [record, {"": 1}, {"-": 1, "a,omitempty": 2, "b c": 3, "é<>&": 4}])
    assert_as_go(oracle, JSON_SORTED, [record], dict_as="map")


def floats() -> Iterator[float]:
    """Gives floats of all exponents, those at the borders of Go's forms, and random bits."""
    random_bits = random.Random(20240305)
    for exponent in range(-324, 309):
        for mantissa in ("1", "-1", "9.999999999999999", "1.2345678901234567", "5"):
            yield float(f"{mantissa}e{exponent}")
    for border in (1e-7, 1e-6, 1e-5, 1e-4, 1e15, 1e16, 1e17, 1e20, 1e21, 1e22, 2.0**53, 2.0**63):
        for near in _neighbours(border):
            yield from (near, -near)
    yield from (0.0, -0.0, 5e-324, 1.7976931348623157e308, 0.1, 0.3, 1 / 3)
    for _ in range(6000):
        (number,) = struct.unpack(">d", random_bits.randbytes(8))
        yield number  # a few are NaN, which both must refuse
    for _ in range(2000):
        yield random_bits.uniform(-1e6, 1e6)
        yield float(random_bits.randrange(-(10**22), 10**22))
        yield random_bits.randrange(10**6) * 10.0 ** random_bits.randrange(-12, 4)


def _neighbours(border: float) -> list[float]:
    (bits,) = struct.unpack(">q", struct.pack(">d", border))
    return [struct.unpack(">d", struct.pack(">q", bits + step))[0] for step in range(-3, 4)]


@pytest.mark.parametrize(
    "wrap", [lambda x: x, lambda x: {"v": x, "s": ":1.0,"}], ids=["bare", "in"]
)
def test_floats_are_written_as_in_go(oracle: Oracle, wrap: Any) -> None:  # noqa: ANN401
    assert_as_go(oracle, JSON, [wrap(number) for number in floats()])


def test_a_list_of_all_floats_is_written_as_in_go(oracle: Oracle) -> None:
    finite = [number for number in floats() if number - number == 0]
    assert len(finite) > 10_000
    assert_as_go(oracle, JSON, [finite, {"a": finite, "b": [":1.0,", "[1e+16]"]}])


def test_nan_and_infinity_are_refused_as_in_go(oracle: Oracle) -> None:
    bad = [float("nan"), float("inf"), float("-inf")]
    answers = oracle.post("/json", [describe(number) for number in bad])
    assert all("error" in answer for answer in answers)
    assert_as_go(oracle, JSON, [*bad, *([number] for number in bad)])


def test_integers_of_any_size_are_written_as_in_go(oracle: Oracle) -> None:
    generated = random.Random(5)
    edges = [
        sign * (1 << bits) + step for bits in range(130) for sign in (1, -1) for step in (-1, 0, 1)
    ]
    large = [generated.getrandbits(generated.randrange(1, 2000)) for _ in range(1000)]
    assert_as_go(oracle, JSON, [*edges, *large, {"list": edges}])


ALPHABET = 'abcXYZ019<>&"\\/:,[]{}.e- \n\x00\x1f\x7f\u2028\u2029é日\U0001f600'
NUMBER_LIKE = [":1.0,", "[1.0]", ",1e+16}", '":1e-05,', "\\", '\\"', ",-0.0]", ""]


def some_text(generated: random.Random) -> str:
    if generated.random() < 0.2:
        return generated.choice(NUMBER_LIKE)
    return "".join(generated.choices(ALPHABET, k=generated.randrange(12)))


def some_value(generated: random.Random, depth: int = 0) -> object:
    """Gives a value of any kind that both sides have, nested up to 5 deep."""
    match generated.randrange(10 if depth < 5 else 7):
        case 0:
            return generated.choice([None, True, False])
        case 1:
            return generated.getrandbits(generated.randrange(1, 90)) * generated.choice([1, -1])
        case 2:
            return generated.choice([0.0, -0.0, 1.0, 1e16, 1e21, 1e-5, 1e-7, 0.1, 12.5, 3e300])
        case 3:
            return generated.uniform(-1, 1) * 10.0 ** generated.randrange(-30, 30)
        case 4:
            return generated.randbytes(generated.randrange(9))
        case 5:
            return timedelta(microseconds=generated.randrange(-(10**15), 10**15))
        case 6:
            return some_text(generated)
        case 7:
            return [some_value(generated, depth + 1) for _ in range(generated.randrange(6))]
        case 8:
            keys: list[object] = [generated.randrange(-(10**6), 10**6) for _ in range(3)]
        case _:
            keys = [some_text(generated) for _ in range(generated.randrange(6))]
    return {key: some_value(generated, depth + 1) for key in keys}


@pytest.mark.parametrize(("codec", "dict_as"), [(JSON, "struct"), (JSON_SORTED, "map")])
def test_nested_values_are_written_as_in_go(oracle: Oracle, codec: Codec, dict_as: str) -> None:
    generated = random.Random(6)
    values = [some_value(generated) for _ in range(4000)]
    values += [{some_text(generated): some_value(generated) for _ in range(4)} for _ in range(2000)]
    assert_as_go(oracle, codec, values, dict_as=dict_as)


def test_maps_with_int_keys_are_sorted_as_in_go(oracle: Oracle) -> None:
    generated = random.Random(11)
    maps = [
        {
            generated.randrange(-(10**digits), 10**digits): i
            for i in range(generated.randrange(1, 30))
        }
        for digits in range(1, 19)
        for _ in range(60)
    ]
    assert_as_go(oracle, JSON, maps)
    assert_as_go(oracle, JSON_SORTED, maps, dict_as="map")


def test_maps_are_sorted_by_the_bytes_of_their_keys_as_in_go(oracle: Oracle) -> None:
    generated = random.Random(12)
    alphabet = "aAzZ0_é\x00<\u2028\ud7ff\ue000\uffff\U00010000\U0010ffff"
    maps = [
        {"".join(generated.choices(alphabet, k=generated.randrange(5))): i for i in range(20)}
        for _ in range(500)
    ]
    assert_as_go(oracle, JSON_SORTED, maps, dict_as="map")


@dataclasses.dataclass
class Inner:
    zeta: float
    alpha: list[str]


@dataclasses.dataclass
class Outer:
    user_id: int
    at: datetime
    after: timedelta
    data: bytes
    inner: Inner | None = None


def test_dataclasses_are_written_as_go_structs(oracle: Oracle) -> None:
    generated = random.Random(13)
    values = []
    for _ in range(1000):
        moment = datetime(1, 1, 3, tzinfo=UTC) + timedelta(
            seconds=generated.randrange(9998 * 365 * 86400), microseconds=generated.randrange(10**6)
        )
        inner = Inner(generated.choice([1.0, 1e21, 0.5, 1e-7]), ["<a>", "\u2028"])
        data = generated.randbytes(generated.randrange(10))
        after = timedelta(microseconds=generated.randrange(10**12))
        values.append(
            Outer(generated.getrandbits(40), moment, after, data, generated.choice([None, inner]))
        )
    assert_as_go(oracle, JSON, values)
    assert_as_go(oracle, JSON_SORTED, values, dict_as="map")


def test_times_are_written_as_in_go(oracle: Oracle) -> None:
    generated = random.Random(14)
    values: list[object] = []
    for _ in range(3000):
        offset = timedelta(
            seconds=generated.choice([0, 1, -1, -59, -60, 90, 3600, 19800, -34200])
            or generated.randrange(-86399, 86400)
        )
        micro = generated.choice([0, 1, 10, 500_000, 999_999, generated.randrange(10**6)])
        values.append(
            datetime(generated.randrange(2, 9999), 3, 5, 7, 8, 9, micro, tzinfo=timezone(offset))
        )
    values.append(datetime(2024, 7, 1, tzinfo=ZoneInfo("Europe/Berlin")))
    assert_as_go(oracle, JSON, values)


# --- text forms ---


def test_every_character_is_quoted_as_in_go(oracle: Oracle) -> None:
    codes = [code for code in range(0x110000) if not 0xD800 <= code <= 0xDFFF]
    # Texts of 64, so that both ways through `quote` are taken.
    asked = [chr(code) for code in codes]
    asked += ["".join(asked[i : i + 64]) for i in range(0, len(codes), 64)]
    answers = oracle.post("/gotext", {"quote": [b64(text.encode()) for text in asked]})["quote"]
    expected = [base64.b64decode(answer).decode() for answer in answers]
    assert len(expected) == len(asked)
    different = {
        text for text, answer in zip(asked, expected, strict=True) if gotext.quote(text) != answer
    }
    single = {text for text in different if len(text) == 1}
    # The only reason to differ: one of both tables does not know the character yet.
    assert {char for char in single if not known_to_one_only(char)} == set()
    assert all(set(text) & single for text in different)
    # However it was quoted, it reads back as the same.
    assert gotext.unquote('"' + "".join(answer[1:-1] for answer in expected) + '"') == "".join(
        asked
    )


# New in Unicode 15.1, which Python 3.13 has and Go 1.26 (15.0) has not.
NEW_IN_15_1 = {*range(0x2FFC, 0x3000), 0x31EF, *range(0x2EBF0, 0x2EE5E)}


def known_to_one_only(char: str) -> bool:
    """Says whether our Unicode tables do not know a character, or the oracle's cannot."""
    return unicodedata.category(char) == "Cn" or ord(char) in NEW_IN_15_1


def test_bytes_that_are_no_utf8_are_quoted_as_in_go(oracle: Oracle) -> None:
    generated = random.Random(21)
    asked = [bytes([byte]) for byte in range(256)]
    asked += [generated.randbytes(generated.randrange(12)) for _ in range(3000)]
    asked += [b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\x80", b'"\\\xff']
    answers = oracle.post("/gotext", {"quote": [b64(data) for data in asked]})["quote"]
    for data, answer in zip(asked, answers, strict=True):
        decoded = data.decode("utf-8", "surrogateescape")
        expected = base64.b64decode(answer).decode()
        if all(unicodedata.category(char) != "Cn" for char in decoded):
            assert gotext.quote(decoded) == expected
        assert gotext.unquote(expected) == decoded


def test_literals_are_read_as_in_go(oracle: Oracle) -> None:
    generated = random.Random(22)
    pieces = [
        "\\",
        '"',
        "'",
        "x",
        "u",
        "U",
        "0",
        "41",
        "d8",
        "00",
        "7",
        "e9",
        "110000",
        "é",
        "\n",
        "n",
        "t",
        "a",
        "\\x41",
        "\\u00e9",
        "\\U0001F600",
        "\\101",
        "\\777",
        "\\400",
        "\\'",
        "\\xff",
        "\\ud800",
        "\\U00110000",
    ]
    inside = ["".join(generated.choices(pieces, k=generated.randrange(5))) for _ in range(5000)]
    asked = [f'"{text}"' for text in inside] + ['"', '""', '"a', 'a"']
    answers = oracle.post("/gotext", {"unquote": [b64(text.encode()) for text in asked]})["unquote"]
    refused = 0
    for text, answer in zip(asked, answers, strict=True):
        if "error" in answer:
            refused += 1
            with pytest.raises(ValueError, match="invalid syntax"):
                gotext.unquote(text)
        else:
            expected = base64.b64decode(answer.get("text", "")).decode("utf-8", "surrogateescape")
            assert gotext.unquote(text) == expected, text
    assert 0 < refused < len(asked)


def test_durations_are_written_and_read_as_in_go(oracle: Oracle) -> None:
    generated = random.Random(23)
    asked = [0, 1, -1, 2**63 - 1, -(2**63), -(2**63) + 1]
    asked += [generated.randrange(-(2**bits), 2**bits) for bits in range(1, 64) for _ in range(100)]
    for unit in (1, 10**3, 10**6, 10**9, 60 * 10**9, 3600 * 10**9):
        asked += [
            sign * (unit * n + step)
            for n in (1, 2, 59, 60, 61, 999, 1000)
            for step in (-1, 0, 1)
            for sign in (1, -1)
        ]
    answers = oracle.post("/gotext", {"duration": asked})["duration"]
    for nanoseconds, answer in zip(asked, answers, strict=True):
        assert gotext.duration(nanoseconds) == answer
    assert_parses_as_go(oracle, answers)


def test_duration_texts_are_read_as_in_go(oracle: Oracle) -> None:
    generated = random.Random(24)
    pieces = [
        "1",
        "0",
        "00",
        "9",
        "12",
        "1.5",
        ".",
        ".5",
        "0.1",
        "9223372036854775807",
        "h",
        "m",
        "s",
        "ms",
        "us",
        "µs",
        "μs",
        "ns",
        "d",
        "-",
        "+",
        " ",
        "é",
        '"',
        "\\",
        "\n",
        "\x7f",
        "9223372036854775808",
        "0.3333333333333333333",
        "9999999999999999999",
        "2562047",
    ]
    units = ["h", "m", "s", "ms", "us", "µs", "μs", "ns"]
    asked = [
        "",
        "0",
        "-0",
        "+0",
        "-",
        "+",
        "+-1s",
        "1",
        ".s",
        "1.s",
        ".5s",
        "-.s",
        "\u0661s",
        "-9223372036854775808ns",
        "9223372036854775808ns",
        "-9223372036854775.808us",
        "9223372036854775.807us",
        "2562047h47m16.854775807s",
        "2562047h47m16.854775808s",
        "-2562047h47m16.854775808s",
        "3000000h",
        "0.100000000000000000000h",
        "0.9223372036854775807h",
        "0.9223372036854775808h",
        "0.830103483285477580700h",
        "39h9m14.425s",
        "00000000000000000000000001s",
        "1" * 5000 + "s",
        "0." + "9" * 5000 + "h",
    ]
    asked += ["".join(generated.choices(pieces, k=generated.randrange(1, 6))) for _ in range(6000)]
    for _ in range(6000):
        terms = [
            f"{generated.choice([str(generated.randrange(10 ** generated.randrange(1, 20))), ''])}"
            f".{generated.randrange(10 ** generated.randrange(1, 25))}{generated.choice(units)}"
            for _ in range(generated.randrange(1, 4))
        ]
        asked.append(generated.choice(["", "-", "+"]) + "".join(terms))
    refused = assert_parses_as_go(oracle, asked)
    assert 1000 < refused < len(asked) - 1000


def assert_parses_as_go(oracle: Oracle, asked: list[str]) -> int:
    answers = oracle.post("/gotext", {"parse_duration": [b64(text.encode()) for text in asked]})
    refused = 0
    for text, answer in zip(asked, answers["parse_duration"], strict=True):
        if "error" in answer:
            refused += 1
            with pytest.raises(ValueError, match=r"^time: ") as caught:
                gotext.parse_duration(text)
            assert str(caught.value) == answer["error"]
        else:
            assert gotext.parse_duration(text) == answer["number"], text
    return refused


LOCATIONS = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kolkata",
    "America/Sao_Paulo",
    "Asia/Tehran",
    "Australia/Lord_Howe",
    "Pacific/Apia",
]


def test_times_have_gos_unix_date(oracle: Oracle) -> None:
    generated = random.Random(25)
    asked: list[dict[str, object]] = []
    values: list[datetime] = []
    first, last = -62135596800 + 86400, 253402300799 - 86400
    for _ in range(4000):
        unix, zone = (
            generated.randrange(first, last),
            generated.choice(["", "", "EST", "XYZ", "-05"]),
        )
        offset = generated.choice([0, 19800, -34200, 3600, -1800, 30, -30, -3599, 86399])
        if not zone and not offset:
            zone = "UTC"  # Python cannot have offset 0 without a name
        asked.append({"unix": unix, "offset": offset, "zone": zone})
        delta = timedelta(seconds=offset)
        values.append(_at(unix, timezone(delta, zone) if zone else timezone(delta)))
    for _ in range(4000):
        # Where all releases of the time zone data agree.
        unix, location = generated.randrange(0, 1_700_000_000), generated.choice(LOCATIONS)
        asked.append({"unix": unix, "location": location})
        values.append(_at(unix, ZoneInfo(location)))
    answers = oracle.post("/gotext", {"unix_date": asked})["unix_date"]
    for value, answer in zip(values, answers, strict=True):
        assert gotext.unix_date(value) == answer


def _at(unix: int, zone: timezone | ZoneInfo) -> datetime:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=unix)).astimezone(zone)


@pytest.mark.parametrize("location", ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata"])
def test_unix_dates_are_read_as_in_go(oracle: Oracle, location: str) -> None:
    generated = random.Random(26)
    zones = [
        "UTC",
        "CET",
        "CEST",
        "EST",
        "EDT",
        "IST",
        "GMT",
        "GMT+3",
        "GMT-11",
        "XYZ",
        "+03",
        "-11",
    ]
    asked = []
    for _ in range(2000):
        # Years that all have summer time where there is any.
        unix = generated.randrange(700_000_000, 1_700_000_000)
        text = gotext.unix_date(_at(unix, ZoneInfo("UTC")))
        asked.append(text.replace("UTC", generated.choice(zones)))
    # The hour that is there twice.
    asked += [f"Sun Oct 29 02:30:00 {zone} 2023" for zone in ("CET", "CEST")]
    asked += [
        "Thu Feb 29 00:00:00 UTC 2024",
        "Thu Feb 29 00:00:00 UTC 2023",
        "",
        "Mon",
        "Mon Mar 32 00:00:00 UTC 2024",
        "Mon Mar  5 24:00:00 UTC 2024",
        "Mon Mar  5 07:60:00 UTC 2024",
    ]
    request = {"parse_unix_date": {"location": location, "texts": asked}}
    for text, answer in zip(asked, oracle.post("/gotext", request)["parse_unix_date"], strict=True):
        if "error" in answer:
            with pytest.raises(ValueError, match=r"."):
                gotext.parse_unix_date(text, ZoneInfo(location))
            continue
        value = gotext.parse_unix_date(text, ZoneInfo(location))
        offset = offset_of(value)
        assert (int(value.timestamp()), value.tzname(), offset) == (
            answer["number"],
            answer["text"],
            answer["offset"],
        ), text
