"""Errors of the asynq dialect: robfig's text, and the place."""

from __future__ import annotations

import pytest

from asynq_py.errors import ConfigError, ScheduleSyntaxError
from asynq_py.schedule import parse_schedule
from asynq_py.schedule.grammar import parse_fields

WRONG = [
    ("", "empty spec string", "", 0),
    ("  ", "expected exactly 5 fields, found 0: []", "", 2),
    ("* * * *", "expected exactly 5 fields, found 4: [* * * *]", "", 7),
    ("* * * *  * *", "expected exactly 5 fields, found 6: [* * * * * *]", "", 11),
    ("60 * * * *", "end of range (60) above maximum (59): 60", "minute", 0),
    ("5,1-60 * * * *", "end of range (60) above maximum (59): 1-60", "minute", 4),
    ("* * 0 * *", "beginning of range (0) below minimum (1): 0", "day of month", 4),
    ("* * * 5-1 *", "beginning of range (5) beyond end of range (1): 5-1", "month", 6),
    ("99/5 * * * *", "beginning of range (99) beyond end of range (59): 99/5", "minute", 0),
    ("*/0 * * * *", "step of range should be a positive number: */0", "minute", 2),
    ("* 1-2-3 * * *", "too many hyphens: 1-2-3", "hour", 5),
    ("1/2/3 * * * *", "too many slashes: 1/2/3", "minute", 3),
    ("* * L * *", 'failed to parse int from L: strconv.Atoi: parsing "L": invalid syntax',
     "day of month", 4),
    ("* * * * 1-5x", 'failed to parse int from 5x: strconv.Atoi: parsing "5x": invalid syntax',
     "day of week", 11),
    ("-1 * * * *", 'failed to parse int from : strconv.Atoi: parsing "": invalid syntax',
     "minute", 0),
    ("+ * * * *", 'failed to parse int from +: strconv.Atoi: parsing "+": invalid syntax',
     "minute", 1),
    ('"\x1f\u200b * * * *', 'failed to parse int from "\x1f\u200b: strconv.Atoi: '
     'parsing "\\"\\x1f\\u200b": invalid syntax', "minute", 0),
    ("99999999999999999999x * * * *", "failed to parse int from 99999999999999999999x: "
     'strconv.Atoi: parsing "99999999999999999999x": value out of range', "minute", 0),
    ("*/9223372036854775808 * * * *", "failed to parse int from 9223372036854775808: "
     'strconv.Atoi: parsing "9223372036854775808": value out of range', "minute", 2),
    ("*/mon * * * *", 'failed to parse int from mon: strconv.Atoi: parsing "mon": invalid syntax',
     "minute", 2),
    ("0 0 * * 7", "end of range (7) above maximum (6): 7", "day of week", 8),
    ("@foo", "unrecognized descriptor: @foo", "descriptor", 0),
    ("@daily ", "unrecognized descriptor: @daily ", "descriptor", 0),
    ("@every x", 'failed to parse duration @every x: time: invalid duration "x"', "duration", 7),
    ("TZ=UTC @every 1h2", "failed to parse duration @every 1h2: time: missing unit in duration "
     '"1h2"', "duration", 17),
    ("CRON_TZ=Asia/Tokyo 0 25 * * *", "end of range (25) above maximum (23): 25", "hour", 21),
    ("TZ=Nope * * * * *", "provided bad location Nope: unknown time zone Nope", "time zone", 3),
    ("CRON_TZ=../UTC * * * * *", "provided bad location ../UTC: time: invalid location name",
     "time zone", 8),
    ("TZ=UTC", "a blank is missing after the time zone: TZ=UTC", "time zone", 6),
    (" TZ=UTC 0 9 * * *", "expected exactly 5 fields, found 6: [TZ=UTC 0 9 * * *]", "", 16),
]  # fmt: skip


@pytest.mark.parametrize(("spec", "text", "field", "position"), WRONG)
def test_an_error_says_what_go_says_and_where(
    spec: str, text: str, field: str, position: int
) -> None:
    with pytest.raises(ScheduleSyntaxError) as caught:
        parse_schedule(spec)
    error = caught.value
    where = f"{field}, position {position}" if field else f"position {position}"
    assert str(error) == f"{text} ({where})"
    assert (error.spec, error.field, error.position) == (spec, field, position)
    assert isinstance(error, ConfigError)


@pytest.mark.parametrize(
    ("spec", "same"),
    [
        ("*-5 ? * * *", "* * * * *"),
        ("+5 007 * * *", "5 7 * * *"),
        (",,1,, * * * *", "1 * * * *"),
        ("50/5 * * * *", "50,55 * * * *"),
        ("0-59/70 * * * *", "0 * * * *"),
        ("0 0 * JAN-mar Sun", "0 0 * 1-3 0"),
        ("0 0 * * fr\u0130", "0 0 * * fri"),
        ("\t0  0\u00a0* \n* *\u3000", "0 0 * * *"),
    ],
)
def test_different_texts_mean_the_same(spec: str, same: str) -> None:
    left, right = parse_fields(spec), parse_fields(same)
    for attribute in ("minutes", "hours", "days", "months", "weekdays", "both"):
        assert getattr(left, attribute) == getattr(right, attribute)


@pytest.mark.parametrize(
    ("days", "both"),
    [("1 * *", True), ("*/1 * 1", True), ("*/2 * 1", False), ("1 * 1", False), ("1,? * 1", True)],
)
def test_a_star_among_the_day_fields_asks_for_both(days: str, both: bool) -> None:
    assert parse_fields(f"0 0 {days}").both is both


def test_a_separator_that_go_does_not_know_does_not_separate() -> None:
    with pytest.raises(ScheduleSyntaxError, match="found 4"):
        parse_schedule("*\x1c* * * *")
