"""Files of tasks: what their keys mean, every fault at once, and when they are read anew."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from asynq_py import (
    JSON_SORTED,
    MSGPACK,
    ConfigError,
    LeaderElection,
    Misfire,
    Overlap,
    PeriodicTask,
    SchedulerConfig,
    Task,
)
from asynq_py.scheduler.provider import FileProvider, load_file

Write = Callable[..., Path]
DOCUMENTATION = Path(__file__).parents[3] / "docs" / "schedule-file.md"


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes the file, by a rename as one should; gives its path, relative as users have it."""
    monkeypatch.chdir(tmp_path)

    def write_(text: str | bytes, name: str = "schedules.toml") -> Path:
        beside = Path(name + ".new")
        beside.write_bytes(text.encode() if isinstance(text, str) else text)
        return beside.rename(name)

    return write_


def faults(path: Path) -> list[str]:
    """Every line of the one error that reading a file raises."""
    with pytest.raises(ConfigError) as caught:
        load_file(path)
    assert type(caught.value) is ConfigError
    return str(caught.value).splitlines()


def same(found: PeriodicTask, expected: PeriodicTask) -> bool:
    return found.fingerprint() == expected.fingerprint()


MINIMAL = """
[[task]]
spec = "@daily"
type = "report"
"""


# -- what the keys mean --


def test_the_least_that_is_needed(write: Write) -> None:
    contents = load_file(write(MINIMAL))

    assert contents.config == SchedulerConfig()
    assert contents.sync_interval == 180
    (task,) = contents.tasks
    assert same(task, PeriodicTask("@daily", Task("report")))


def test_a_byte_order_mark_and_windows_lines_do_no_harm(write: Write) -> None:
    text = MINIMAL.replace("\n", "\r\n").encode("utf-8-sig")

    assert len(load_file(write(text)).tasks) == 1


EVERYTHING = """
[scheduler]
location = "Europe/Berlin"
shutdown_timeout = "1m30s"
heartbeat_interval = 5
misfire = { policy = "all", grace = "1h", cap = 7 }
dst = "once"
rate_limit = 12.5
max_payload_size = 1000
sync_interval = "500ms"

[scheduler.leader_election]
group = "billing"
lease = 30
renew_every = "10s"

[[task]]
spec = "0 9 * * mon-fri"
type = "report:daily"
payload = { b = [1, 2.5, true], a = "<x>", at = 2026-01-31T09:00:00+01:00 }
codec = "json_sorted"
headers = { trace = "1" }
name = "daily-report"
location = "Asia/Tokyo"
misfire = "latest"
overlap = "skip"
jitter = 1.5
start_at = 2026-01-01T00:00:00Z
end_at = "2027-01-01T00:00:00+01:00"
max_runs = 3
exclude = [2026-12-24, "2026-12-25"]
queue = "reports"
task_id = "one"
max_retry = 0
timeout = "5m"
deadline = 2030-01-01T00:00:00Z
unique = 3600
process_in = "1m30s"
retention = "24h"
group = "g"

[[task]]
spec = "@every 1m"
type = "plain"
payload_text = "täglich"
misfire = { policy = "all", grace = 60 }

[[task]]
spec = "@every 1m"
type = "packed"
payload = [1]
codec = "msgpack"

[[task]]
spec = "@every 1m"
type = "text"
payload = "x"
"""


def test_every_key_means_what_the_argument_of_that_name_means(write: Write) -> None:
    config, sync_interval, tasks = load_file(write(EVERYTHING))

    assert config == SchedulerConfig(
        location="Europe/Berlin",
        shutdown_timeout=90,
        heartbeat_interval=5,
        misfire=Misfire.ALL(grace=3600, cap=7),
        dst="once",
        rate_limit=12.5,
        max_payload_size=1000,
        leader_election=LeaderElection("billing", lease=30, renew_every=10),
    )
    assert sync_interval == 0.5
    payload = {"b": [1, 2.5, True], "a": "<x>", "at": datetime.fromisoformat("2026-01-31T09:00+01")}
    expected = [
        PeriodicTask(
            "0 9 * * mon-fri",
            Task("report:daily", payload, codec=JSON_SORTED, headers={"trace": "1"}),
            name="daily-report",
            location="Asia/Tokyo",
            misfire=Misfire.LATEST,
            overlap=Overlap.SKIP,
            jitter=1.5,
            start_at=datetime(2026, 1, 1, tzinfo=UTC),
            end_at=datetime(2026, 12, 31, 23, tzinfo=UTC),
            max_runs=3,
            exclude=[date(2026, 12, 24), date(2026, 12, 25)],
            queue="reports",
            task_id="one",
            max_retry=0,
            timeout=300,
            deadline=datetime(2030, 1, 1, tzinfo=UTC),
            unique=3600,
            process_in=90,
            retention=86400,
            group="g",
        ),
        PeriodicTask("@every 1m", Task("plain", "täglich".encode()), misfire=Misfire.ALL(grace=60)),
        PeriodicTask("@every 1m", Task("packed", [1], codec=MSGPACK)),
        PeriodicTask("@every 1m", Task("text", "x")),
    ]
    assert [same(*pair) for pair in zip(tasks, expected, strict=True)] == [True] * 4


def test_no_tasks_must_be_said(write: Write) -> None:
    assert load_file(write("task = []")).tasks == []
    (fault,) = faults(write(""))
    assert "there is no task" in fault


def test_the_example_and_the_faults_in_the_documentation_are_true(write: Write) -> None:
    _, example, _, told, _ = DOCUMENTATION.read_text().split("```")
    example = example.removeprefix("toml")

    config, _, tasks = load_file(write(example))

    assert config.leader_election == LeaderElection("billing")
    assert [task.name for task in tasks] == ["daily-report", "refresh"]
    broken = example.replace("0 9", "60 9").replace("queue =", "quue =")
    assert faults(write(broken)) == told.split("\n")[1:-1]


YAML = """
scheduler:
  location: Europe/Berlin
task:
  - spec: "0 9 * * *"
    type: report
    name: daily
    payload: {to: [1, 2]}
    start_at: 2026-01-01T00:00:00Z
    exclude: [2026-12-24]
    timeout: 5m
  - {spec: "@hourly", type: nothing, payload: null}
"""


@pytest.mark.parametrize("name", ["tasks.yaml", "tasks.YML"])
def test_yaml_has_the_same_keys(name: str, write: Write) -> None:
    pytest.importorskip("yaml")

    config, _, tasks = load_file(write(YAML, name))

    assert config.location == "Europe/Berlin"
    report = PeriodicTask(
        "0 9 * * *",
        Task("report", {"to": [1, 2]}),
        name="daily",
        start_at=datetime(2026, 1, 1, tzinfo=UTC),
        exclude=[date(2026, 12, 24)],
        timeout=300,
    )
    assert same(tasks[0], report)
    assert same(tasks[1], PeriodicTask("@hourly", Task("nothing", None)))


def test_aliases_in_yaml_stand_for_what_they_name(write: Write) -> None:
    pytest.importorskip("yaml")
    text = """
task:
  - {spec: "@daily", type: a, payload: &shared {x: 1}}
  - {spec: "@daily", type: b, payload: *shared}
"""

    assert [task.task.payload for task in load_file(write(text, "t.yaml")).tasks] == [
        b'{"x":1}',
        b'{"x":1}',
    ]
    assert faults(write("task: &tasks [*tasks]", "t.yaml")) == [
        "t.yaml: task 1: it must be a table"
    ]


def test_a_fault_in_yaml_has_its_line(write: Write) -> None:
    pytest.importorskip("yaml")

    assert faults(write("task:\n  - {spec: [\n", "t.yaml"))[0].startswith(
        "t.yaml: line 3, column 1"
    )
    assert faults(write("- a", "t.yaml")) == ["t.yaml: the file must be a table, not a list"]
    (fault,) = faults(write("task:\n  - type: a\n    type: b", "t.yaml"))
    assert fault == 't.yaml: line 3, column 5: the key "type" is there twice'
    (fault,) = faults(write("task: [{type: a, spec: '@daily', start_at: 2026-99-01}]", "t.yaml"))
    assert "month must be in 1..12" in fault or "start_at must be a moment" in fault


def test_without_pyyaml_one_is_told_how_to_get_it(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)

    assert faults(write(YAML, "t.yaml")) == [
        "t.yaml: YAML needs another package: pip install pyyaml"
    ]


# -- faults --


def test_every_fault_is_told_at_once_with_its_place(write: Write) -> None:
    path = write("""
taks = 1
[scheduler]
location = "Mars/Phobos"
shutdown_timeout = "soon"
misfire = { policy = "never", cap = "many", graze = 1 }
rate_limit = "fast"
heart_beat = 1
[scheduler.leader_election]
lease = 15
[[task]]
spec = "60 * * * *"
type = "t"
name = "daily-report"
quue = "q"
timeout = "5 minutes"
[[task]]
spec = "@daily"
name = "daily-report"
payload = { at = 2026-01-01 }
payload_text = "x"
max_retry = "3"
overlap = "maybe"
[[task]]
type = ""
spec = "TZ=Nowhere/City @daily"
headers = { a = 1 }
start_at = 2026-01-01T00:00:00
exclude = [2026-01-01T00:00:00Z]
max_runs = 0
unique = 0
codec = "xml"
location = "Nowhere"
jitter = -1
misfire = 5
""")
    election = "scheduler.leader_election"
    assert faults(path) == [
        f"schedules.toml: {fault}"
        for fault in (
            "scheduler: location 'Mars/Phobos': unknown time zone",
            'scheduler: shutdown_timeout must be a number of seconds or text like "1m30s", not'
            ' "soon"',
            'scheduler: misfire: cap must be a whole number, not "many"; unknown key "graze"; did'
            ' you mean "grace"?',
            'scheduler: rate_limit must be a number, not "fast"',
            'scheduler: unknown key "heart_beat"; did you mean "heartbeat_interval"?',
            f"{election}: group is missing",
            'task 1 ("daily-report"): spec "60 * * * *": end of range (60) above maximum (59): 60'
            " (minute, position 0)",
            'task 1 ("daily-report"): timeout must be a number of seconds or text like "1m30s",'
            ' not "5 minutes"',
            'task 1 ("daily-report"): unknown key "quue"; did you mean "queue"?',
            'task 2 ("daily-report"): type is missing',
            'task 2 ("daily-report"): payload and payload_text exclude each other: give one of'
            " them",
            'task 2 ("daily-report"): payload["at"]: date cannot be encoded as JSON; use an aware'
            " datetime, or value.isoformat()",
            'task 2 ("daily-report"): overlap must be one of allow, skip, not "maybe"',
            'task 2 ("daily-report"): max_retry must be an int, not str',
            'task 2 ("daily-report"): task 1 has that name already',
            "task 3: location 'Nowhere': unknown time zone",
            'task 3: spec "TZ=Nowhere/City @daily": provided bad location Nowhere/City: unknown'
            " time zone Nowhere/City (time zone, position 3)",
            "task 3: type must contain one or more characters that are not blank",
            'task 3: codec must be one of json, json_sorted, msgpack, not "xml"',
            "task 3: headers: the value of 'a' must be a str, not int",
            "task 3: misfire must be a str, not int",
            "task 3: jitter must not be negative, but is -1",
            "task 3: start_at must be a moment with its offset from UTC, like"
            " 2026-01-31T09:00:00Z or 2026-01-31T09:00:00+02:00, not 2026-01-01T00:00:00",
            "task 3: max_runs must be a number of runs, 1 or more, not 0",
            "task 3: exclude must hold dates like 2026-01-31, not 2026-01-01T00:00:00+00:00",
            "task 3: unique must be more than zero: it is how long the lock is held",
            'unknown key "taks"; did you mean "task"?',
        )
    ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a = \n", "line 1, column 5: Invalid value"),
        ("[a\n", "line 1, column 3: Expected ']' at the end of a table declaration"),
        ("a = '''x", "end of document: "),
        (b"a = 1\nb = '\xff'", "line 2: this is no UTF-8"),
        ("task = 1", "task must be a list, not 1"),
        ("[task]\nspec = '@daily'", "task must be a list, not a table"),
        ("task = [1]", "task 1: it must be a table"),
        ("scheduler = true\ntask = []", "scheduler must be a table, not true"),
        (
            "task = []\n[scheduler.leader_election]\ngroup = 'g'\nlease = 2",
            "scheduler.leader_election: renew_every must be at most half of the lease (2), but is"
            " 5",
        ),
        (
            MINIMAL + "end_at = 2025-01-01T00:00:00Z\nstart_at = 2026-01-01T00:00:00Z",
            "task 1: end_at must not be before start_at",
        ),
        (MINIMAL + MINIMAL, "task 2: it is the same as task 1; give one of them a name"),
        (MINIMAL + "process_at = 2026-01-01T00:00:00Z", 'task 1: unknown key "process_at"; did'),
    ],
)
def test_a_fault_is_told_with_its_place(text: str, fault: str, write: Write) -> None:
    (found,) = faults(write(text))

    assert found.startswith(f"schedules.toml: {fault}")


def test_a_file_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    missing = tmp_path / "none.toml"
    assert faults(missing) == [f"{missing}: it cannot be read: No such file or directory"]
    folder = tmp_path / "folder.toml"
    folder.mkdir()
    assert faults(folder) == [f"{folder}: it cannot be read: Is a directory"]
    (fault,) = faults(tmp_path / "tasks.json")
    assert "its name must end in .toml, .yaml or .yml" in fault


# -- watching --


def test_an_unchanged_file_is_not_read_again(write: Write) -> None:
    provider = FileProvider(write(MINIMAL))

    assert provider() is provider()


def test_a_changed_file_is_read_again(write: Write) -> None:
    provider = FileProvider(write(MINIMAL))
    first = provider()

    write(MINIMAL.replace("@daily", "@hourly"))
    second = provider()

    assert [task.spec for task in first + second] == ["@daily", "@hourly"]


def test_a_change_of_the_time_alone_is_a_change(write: Write) -> None:
    path = write(MINIMAL)
    provider = FileProvider(str(path))
    first = provider()

    os.utime(path, ns=(1, 1))

    assert provider() is not first
    assert provider() is provider()


def test_a_fault_is_told_until_it_is_mended(write: Write) -> None:
    provider = FileProvider(write(MINIMAL.replace("type", "typ")))
    for _ in range(2):
        with pytest.raises(ConfigError, match="type is missing"):
            provider()

    write(MINIMAL)

    assert len(provider()) == 1


def test_a_file_that_went_away_and_came_back_is_read_again(write: Write) -> None:
    path = write(MINIMAL)
    provider = FileProvider(path)
    provider()
    away = path.rename("away")
    with pytest.raises(ConfigError, match=r"schedules.toml: it cannot be read"):
        provider()

    away.rename(path)

    assert len(provider()) == 1
