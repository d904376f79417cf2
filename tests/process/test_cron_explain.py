"""asynq-py cron explain."""

from __future__ import annotations

import pytest

from tests.support.commands import Command, Ran, columns


def explain(command: Command, *arguments: str) -> Ran:
    ran = command("cron", "explain", *arguments)
    assert (ran.code, ran.err) == (0, "")
    return ran


def test_the_next_runs_are_shown_in_local_time_and_utc(command: Command) -> None:
    ran = explain(
        command, "0 9 * * mon-fri", "--tz", "Asia/Tokyo", "-n", "2", "--from", "2026-07-03T12:00"
    )

    assert ran.lines == [
        "Zone   Asia/Tokyo (by --tz), JST, UTC+09:00",
        "",
        "   Local                        UTC                  In      Remarks",
        "1  2026-07-06 09:00:00 Mon JST  2026-07-06 00:00:00  2d 21h",
        "2  2026-07-07 09:00:00 Tue JST  2026-07-07 00:00:00  3d 21h",
    ]


def test_five_runs_in_utc_from_now_are_the_default(command: Command) -> None:
    ran = explain(command, "@every 1h")

    assert ran.lines[0] == "Zone   UTC (the default; see --tz), UTC+00:00"
    assert [columns(line)[3] for line in ran.lines[3:]] == ["1h", "2h", "3h", "4h", "5h"]


def test_a_prefix_of_the_spec_is_the_zone(command: Command) -> None:
    ran = explain(command, "CRON_TZ=Asia/Tokyo 0 9 * * *", "--tz", "Europe/Berlin")

    assert ran.lines[0] == "Zone   Asia/Tokyo (the spec says so), JST, UTC+09:00"


def test_a_moment_with_its_own_offset_is_taken_by_it(command: Command) -> None:
    ran = explain(
        command, "0 * * * *", "--tz", "Asia/Tokyo", "-n", "1", "--from", "2026-07-03T23:30:00Z"
    )

    assert columns(ran.lines[-1])[2:4] == ["2026-07-04 00:00:00", "30m"]


BERLIN = ("--tz", "Europe/Berlin")
SPRING = (*BERLIN, "--from", "2026-03-28T12:00")
AUTUMN = (*BERLIN, "--from", "2026-10-25")


def remarks(ran: Ran) -> list[tuple[str, str, str]]:
    """Number, local time and remarks of each line of the table."""
    start = ran.lines[2].index("Remarks") if ran.lines[2] else ran.lines[3].index("Remarks")
    table = [line for line in ran.lines if line[:1].isdigit() or line[:1] == "-"]
    return [(line[:1], line[3:22], line[start:]) for line in table]


def test_a_time_that_does_not_exist_is_shown_as_skipped(command: Command) -> None:
    ran = explain(command, "30 2 * * *", "-n", "1", *SPRING)

    assert remarks(ran) == [
        (
            "-",
            "2026-03-29 02:30:00",
            "02:30 does not exist on 2026-03-29, skipped: clocks go forward from 02:00 to 03:00",
        ),
        ("1", "2026-03-30 02:30:00", "from here on UTC+02:00"),
    ]


def test_with_once_a_time_that_does_not_exist_runs_after_the_gap(command: Command) -> None:
    ran = explain(command, "30 2 * * *", "-n", "1", "--dst", "once", *SPRING)

    assert "Rules  each local time once" in ran.lines
    assert remarks(ran) == [
        (
            "1",
            "2026-03-29 03:00:00",
            "clocks go forward from 02:00 to 03:00: in place of 02:30, which does not exist; from"
            " here on UTC+02:00",
        )
    ]


@pytest.mark.parametrize("start", ["2026-03-28", "2026-03-28T02:29:59"])
def test_what_is_skipped_after_the_last_run_is_not_shown(start: str, command: Command) -> None:
    ran = explain(command, "30 2 * * *", "-n", "1", *BERLIN, "--from", start)

    assert remarks(ran) == [("1", "2026-03-28 02:30:00", "")]


def test_several_times_that_do_not_exist_are_counted(command: Command) -> None:
    ran = explain(command, "*/15 * * * *", "-n", "1", *BERLIN, "--from", "2026-03-29T01:46")

    assert [remark for _, _, remark in remarks(ran)] == [
        "4 times from 02:00 to 02:45 do not exist on 2026-03-29, skipped: clocks go forward from"
        " 02:00 to 03:00",
        "from here on UTC+02:00",
    ]


def test_a_repeated_time_runs_twice(command: Command) -> None:
    ran = explain(command, "30 2 * * *", "-n", "3", *AUTUMN)

    again = "clocks go back from 03:00 to 02:00, 02:30 is repeated: this is the"
    assert remarks(explain(command, "30 2 * * *", "-n", "1", *AUTUMN)) == [
        ("1", "2026-10-25 02:30:00", f"{again} first time")
    ]
    assert remarks(ran) == [
        ("1", "2026-10-25 02:30:00", f"{again} first time"),
        ("2", "2026-10-25 02:30:00", f"{again} second time; from here on UTC+01:00"),
        ("3", "2026-10-26 02:30:00", ""),
    ]


def test_with_once_a_repeated_time_runs_once(command: Command) -> None:
    ran = explain(command, "30 2 * * *", "-n", "2", "--dst", "once", *AUTUMN)

    assert [(local, remark) for _, local, remark in remarks(ran)] == [
        (
            "2026-10-25 02:30:00",
            "clocks go back from 03:00 to 02:00, 02:30 is repeated: it runs only the first time",
        ),
        ("2026-10-26 02:30:00", "from here on UTC+01:00"),
    ]


def test_what_counts_seconds_is_only_told_the_new_offset(command: Command) -> None:
    ran = explain(command, "@every 40m", "-n", "2", *BERLIN, "--from", "2026-03-29T01:30")

    assert [remark for _, _, remark in remarks(ran)] == ["from here on UTC+02:00", ""]


def test_a_day_that_does_not_exist_is_told_with_both_dates(command: Command) -> None:
    ran = explain(command, "0 0 * * *", "-n", "1", "--tz", "Pacific/Apia", "--from", "2011-12-29")

    assert "from 2011-12-30 00:00 to 2011-12-31 00:00" in remarks(ran)[0][2]


def test_what_asynq_alone_makes_of_a_change_is_said(command: Command) -> None:
    ran = explain(
        command, "30 5 3 11 *", "--tz", "America/Sao_Paulo", "-n", "1", "--from", "2018-11-03T06"
    )

    assert remarks(ran)[0][1] == "2018-11-04 05:30:00"
    assert "not a time of the spec" in remarks(ran)[0][2]


@pytest.mark.parametrize(
    ("spec", "said"),
    [("0 0 30 2 *", "It never runs."), ("0 0 29 2 *", "It does not run again after that.")],
)
def test_that_it_ends_is_said(spec: str, said: str, command: Command) -> None:
    ran = explain(command, spec, "--from", "2094-01-01")

    assert ran.lines[-1] == said


def test_the_extended_dialect_can_be_chosen(command: Command) -> None:
    ran = explain(command, "0 0 L * *", "--dialect", "extended", "-n", "1", "--from", "2026-02-01")

    assert "Rules  the extended dialect" in ran.lines
    assert remarks(ran)[0][1] == "2026-02-28 00:00:00"


def test_runs_and_skipped_times_are_there_for_programs(command: Command) -> None:
    ran = explain(command, "30 2 * * *", "-n", "1", *SPRING, "--output", "json")

    assert ran.json == {
        "spec": "30 2 * * *",
        "location": "Europe/Berlin",
        "dialect": "asynq",
        "dst": "asynq",
        "from": "2026-03-28T12:00:00+01:00",
        "runs": [
            {
                "local": "2026-03-30T02:30:00+02:00",
                "utc": "2026-03-30T00:30:00Z",
                "remarks": ["from here on UTC+02:00"],
            }
        ],
        "skipped": [
            {
                "local": "2026-03-29T02:30:00",
                "times": 1,
                "remarks": [
                    "02:30 does not exist on 2026-03-29, skipped: clocks go forward from 02:00 to"
                    " 03:00"
                ],
            }
        ],
    }


@pytest.mark.parametrize(
    ("spec", "error", "caret"),
    [
        ("60 * * * *", "end of range (60) above maximum (59): 60 (minute, position 0)", 0),
        ("0 9 * * mon-fry", "failed to parse int from fry: strconv.Atoi", 12),
        ("TZ=Nowhere @daily", "unknown time zone Nowhere (time zone, position 3)", 3),
    ],
)
def test_a_wrong_spec_is_pointed_at(spec: str, error: str, caret: int, command: Command) -> None:
    ran = command("cron", "explain", spec)

    first, shown, pointer = ran.err.splitlines()
    assert (ran.code, ran.out) == (1, "")
    assert first.startswith("asynq-py: ")
    assert error in first
    assert shown == "  " + spec
    assert pointer == " " * (2 + caret) + "^"


@pytest.mark.parametrize(
    "arguments",
    [
        ["explain"],
        ["explain", "@daily", "--tz", "Mars/Phobos"],
        ["explain", "@daily", "--from", "yesterday"],
        ["explain", "@daily", "-n", "0"],
        ["explain", "@daily", "--dst", "twice"],
    ],
)
def test_wrong_usage_exits_with_2(arguments: list[str], command: Command) -> None:
    ran = command("cron", *arguments)

    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("asynq-py: ")
    assert ran.err.count("\n") == 1
