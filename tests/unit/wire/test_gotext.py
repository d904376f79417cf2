"""Go's text forms of strings, durations and times, and reading them back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from asynq_py.wire.gotext import (
    duration,
    parse_duration,
    parse_unix_date,
    quote,
    unix_date,
    unquote,
)

BERLIN = ZoneInfo("Europe/Berlin")
SAO_PAULO = ZoneInfo("America/Sao_Paulo")

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", '""'),
        ("default", '"default"'),
        ('a"b\\c', r'"a\"b\\c"'),
        ("\a\b\f\n\r\t\v", r'"\a\b\f\n\r\t\v"'),
        ("\x00\x1b\x7f", r'"\x00\x1b\x7f"'),
        ("'`", '"\'`"'),
        ("é日😀", '"é日😀"'),
        ("a b\u00a0c", r'"a b\u00a0c"'),
        ("\x80\u00ad\u200b\u2028\ufeff\ue000", r'"\u0080\u00ad\u200b\u2028\ufeff\ue000"'),
        ("\U000e0001\U0010ffff", r'"\U000e0001\U0010ffff"'),
        ("\ufffd", '"\ufffd"'),
        (b"\xff\x00".decode("utf-8", "surrogateescape"), r'"\xff\x00"'),
        ("\udcc3\udca9", '"é"'),
    ],
)
def test_quote_is_gos(text: str, expected: str) -> None:
    assert quote(text) == expected


def test_quote_refuses_surrogates_that_stand_for_no_byte() -> None:
    with pytest.raises(ValueError, match="surrogates"):
        quote("\ud800")


@given(st.text(st.characters(exclude_categories=["Cs"])) | st.text('"\\\n\x00éx'))
@example('\\"')
def test_what_is_quoted_reads_back(text: str) -> None:
    quoted = quote(text)
    assert unquote(quoted) == text
    assert quoted.isprintable()


@given(st.binary())
def test_bytes_that_are_quoted_read_back(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")
    assert unquote(quote(text)).encode("utf-8", "surrogateescape") == data


@pytest.mark.parametrize(
    ("literal", "expected"),
    [
        (r'"\xc3\xa9"', "é"),
        (r'"\303\251\000"', "é\x00"),
        (r'"\u00e9\U0001F600\u00E9"', "é😀é"),
        (r'"\377"', "\udcff"),
        ('"\t"', "\t"),
    ],
)
def test_unquote_reads_every_escape(literal: str, expected: str) -> None:
    assert unquote(literal) == expected


@pytest.mark.parametrize(
    "literal",
    [
        "",
        '"',
        "a",
        '"a',
        'a"',
        "'a'",
        "`a`",
        '"a"b"',
        '"\n"',
        r'"\"',
        r'"\x4"',
        r'"\8"',
        r'"\400"',
        r'"\18"',
        r'"\q"',
        '"\\\'"',
        r'"\ud800"',
        r'"\U00110000"',
        r'"\u12"',
        '"a" ',
        r'"\X41"',
    ],
)
def test_unquote_refuses_what_is_no_literal(literal: str) -> None:
    with pytest.raises(ValueError, match="invalid syntax"):
        unquote(literal)


DURATIONS = [
    (0, "0s"),
    (1, "1ns"),
    (999, "999ns"),
    (1_000, "1µs"),
    (1_100, "1.1µs"),
    (1_500_000, "1.5ms"),
    (999_999_999, "999.999999ms"),
    (SECOND, "1s"),
    (SECOND + 1, "1.000000001s"),
    (10 * SECOND, "10s"),
    (59 * SECOND + SECOND // 2, "59.5s"),
    (MINUTE, "1m0s"),
    (90 * SECOND, "1m30s"),
    (30 * MINUTE, "30m0s"),
    (HOUR, "1h0m0s"),
    (24 * HOUR, "24h0m0s"),
    (26 * HOUR + SECOND // 2, "26h0m0.5s"),
    (-MINUTE, "-1m0s"),
    (-1, "-1ns"),
    (2**63 - 1, "2562047h47m16.854775807s"),
    (-(2**63), "-2562047h47m16.854775808s"),
]


@pytest.mark.parametrize(("nanoseconds", "text"), DURATIONS)
def test_durations_are_gos(nanoseconds: int, text: str) -> None:
    assert duration(nanoseconds) == text
    assert parse_duration(text) == nanoseconds


def test_the_micro_sign_is_u_00b5() -> None:
    assert duration(1000) == "1\u00b5s"


@pytest.mark.parametrize("nanoseconds", [2**63, -(2**63) - 1])
def test_durations_beyond_64_bits_are_refused(nanoseconds: int) -> None:
    with pytest.raises(ValueError, match="64 bits"):
        duration(nanoseconds)


@given(st.integers(-(2**63), 2**63 - 1) | st.integers(-(10**10), 10**10))
def test_durations_read_back(nanoseconds: int) -> None:
    assert parse_duration(duration(nanoseconds)) == nanoseconds


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("-0", 0),
        ("+5s", 5 * SECOND),
        ("1h30m", 90 * MINUTE),
        ("1m1h1m", 62 * MINUTE),
        (".5s", SECOND // 2),
        ("1.s", SECOND),
        ("2us", 2000),
        ("2μs", 2000),
        ("0.9ns", 0),
        ("0.3333333333333333333h", 20 * MINUTE),
        ("0.830103483285477580700h", 2_988_372_539_827),
        ("0000000000000000000000001s", SECOND),
        ("-9223372036854775808ns", -(2**63)),
    ],
)
def test_parse_duration_reads_as_go(text: str, expected: int) -> None:
    assert parse_duration(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", 'time: invalid duration ""'),
        ("-", 'time: invalid duration "-"'),
        (".s", 'time: invalid duration ".s"'),
        ("+-1s", 'time: invalid duration "+-1s"'),
        ("h", 'time: invalid duration "h"'),
        ("1h x", 'time: unknown unit "h x" in duration "1h x"'),
        ("3", 'time: missing unit in duration "3"'),
        ("1h3", 'time: missing unit in duration "1h3"'),
        ("1d", 'time: unknown unit "d" in duration "1d"'),
        ("1é", r'time: unknown unit "\xc3\xa9" in duration "1\xc3\xa9"'),
        ('1"\\\n', r'time: unknown unit "\"\\\x0a" in duration "1\"\\\x0a"'),
        ("9223372036854775808ns", 'time: invalid duration "9223372036854775808ns"'),
        ("9223372036854775809", 'time: invalid duration "9223372036854775809"'),
        ("3000000h", 'time: invalid duration "3000000h"'),
        ("2562047h47m16.854775808s", 'time: invalid duration "2562047h47m16.854775808s"'),
        ("\u0661s", r'time: invalid duration "\xd9\xa1s"'),
    ],
)
def test_parse_duration_fails_with_gos_words(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=r"^time: ") as caught:
        parse_duration(text)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (datetime(2024, 3, 5, 7, 8, 9, 999_999, UTC), "Tue Mar  5 07:08:09 UTC 2024"),
        (datetime(2024, 12, 25, 23, 0, tzinfo=ZoneInfo("UTC")), "Wed Dec 25 23:00:00 UTC 2024"),
        (datetime(2024, 1, 5, tzinfo=BERLIN), "Fri Jan  5 00:00:00 CET 2024"),
        (datetime(2024, 7, 5, tzinfo=BERLIN), "Fri Jul  5 00:00:00 CEST 2024"),
        (datetime(2024, 1, 5, tzinfo=SAO_PAULO), "Fri Jan  5 00:00:00 -03 2024"),
        (datetime(2024, 1, 5, tzinfo=ZoneInfo("Asia/Kolkata")), "Fri Jan  5 00:00:00 IST 2024"),
        (
            datetime(2024, 1, 5, tzinfo=timezone(timedelta(hours=5, minutes=30))),
            "Fri Jan  5 00:00:00 +0530 2024",
        ),
        (
            datetime(2024, 1, 5, tzinfo=timezone(-timedelta(hours=9, minutes=30))),
            "Fri Jan  5 00:00:00 -0930 2024",
        ),
        (
            datetime(2024, 1, 5, tzinfo=timezone(timedelta(hours=-5), "EST")),
            "Fri Jan  5 00:00:00 EST 2024",
        ),
        (datetime(1, 1, 1, tzinfo=UTC), "Mon Jan  1 00:00:00 UTC 0001"),
    ],
)
def test_unix_dates_are_gos(value: datetime, expected: str) -> None:
    assert unix_date(value) == expected


def test_a_naive_time_has_no_unix_date() -> None:
    with pytest.raises(ValueError, match="naive datetime 2024-01-01"):
        unix_date(datetime(2024, 1, 1))  # noqa: DTZ001


@given(
    st.datetimes(timezones=st.just(UTC)),
    st.none() | st.integers(-1439, 1439).map(lambda m: timezone(timedelta(minutes=m))),
)
def test_unix_dates_read_back(value: datetime, zone: timezone | None) -> None:
    value = value.replace(microsecond=0, tzinfo=zone or UTC)
    text = unix_date(value)
    parsed = parse_unix_date(text)
    assert (parsed, parsed.utcoffset()) == (value, value.utcoffset())
    assert unix_date(parsed) == text


def test_an_unknown_abbreviation_keeps_its_name_and_has_no_offset() -> None:
    value = parse_unix_date("Tue Jul  5 07:08:09 CEST 2022")
    assert value == datetime(2022, 7, 5, 7, 8, 9, tzinfo=UTC)
    assert value.tzname() == "CEST"


def test_an_abbreviation_that_is_known_locally_has_its_offset() -> None:
    text = "Sun Oct 29 02:30:00 {} 2023"
    summer = parse_unix_date(text.format("CEST"), BERLIN)
    winter = parse_unix_date(text.format("CET"), BERLIN)
    assert summer.astimezone(UTC) == datetime(2023, 10, 29, 0, 30, tzinfo=UTC)
    assert winter.astimezone(UTC) == datetime(2023, 10, 29, 1, 30, tzinfo=UTC)
    assert (summer.tzname(), winter.tzname()) == ("CEST", "CET")


def test_a_local_abbreviation_counts_all_year() -> None:
    value = parse_unix_date("Tue Jul  5 07:08:09 CET 2022", BERLIN)
    assert unix_date(value) == "Tue Jul  5 08:08:09 CEST 2022"


def test_gmt_with_hours_is_the_instant_that_go_gives() -> None:
    value = parse_unix_date("Tue Jul  5 07:08:09 GMT+3 2022")
    assert value == datetime(2022, 7, 5, 7, 8, 9, tzinfo=UTC)
    assert unix_date(value) == "Tue Jul  5 10:08:09 GMT+3 2022"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Tue Mar  5 07:08:09 2024",
        "Tue Mar  5 07:08:09 UTC 24",
        "Tue Feb 30 07:08:09 UTC 2024",
        "Tue Mar  5 24:08:09 UTC 2024",
        "Xyz Mar  5 07:08:09 UTC 2024",
        "Tue Xyz  5 07:08:09 UTC 2024",
        "Tue Mar  5 07:08:09 UTC 2024 ",
        "Tue Mar  5 07:08:09 UTC 0000",
        "Tue Mar  5 07:08:09 +9999 2024",
    ],
)
def test_parse_unix_date_refuses_what_is_no_such_text(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_unix_date(text)
