"""docs/cli.md: it is what the commands say, and its examples and fields are true."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

import asynq_py
from asynq_py.cli.docs import document
from asynq_py.cli.task_shown import TABLES
from tests.support.commands import Command, columns
from tests.support.states import put

ROOT = Path(asynq_py.__file__).parents[1]
TEXT = (ROOT / "docs" / "cli.md").read_text()
TEMPLATE = (ROOT / "scripts" / "cli.md.in").read_text()


def test_it_is_up_to_date() -> None:
    assert document(TEMPLATE) == TEXT, "run scripts/gen-cli-docs"


def test_an_example_of_no_command_is_refused() -> None:
    with pytest.raises(ValueError, match="there are no commands task nope"):
        document(TEMPLATE + "%% task nope\n")


def test_every_command_has_its_options() -> None:
    assert "### task deleteall" in TEXT
    assert "| `--older-than` `SPAN` |" in TEXT
    assert "`ASYNQ_REDIS_TLS_CA`" in TEXT
    # What has another name is told once.
    assert "The same as `enqueue`." in TEXT
    assert "### task remove" not in TEXT


def test_every_command_has_an_example() -> None:
    sections = re.findall(r"^### (.+?)\n(.*?)(?=^##)", TEXT, flags=re.M | re.S)

    assert len(sections) > 25
    assert [n for n, body in sections if not re.search(rf"^\$ asynq-py {n}\b", body, re.M)] == []


def test_the_columns_of_the_examples_are_those_of_the_commands() -> None:
    shown = [columns(line) for line in TEXT.splitlines() if line.startswith("ID  ")]

    assert len(shown) >= 3
    assert all(row in map(list, TABLES.values()) for row in shown)


def fields_of(value: object) -> Iterator[str]:
    """The names of all fields, but of what is called by users or Redis."""
    if isinstance(value, list):
        for item in value:
            yield from fields_of(item)
    elif isinstance(value, dict):
        for name, item in value.items():
            yield name
            if name not in ("headers", "redis"):
                yield from fields_of(item)


@pytest.mark.parametrize(
    "arguments",
    [
        ["task", "ls", "default", "pending"],
        ["task", "inspect", "default", "raw"],
        ["queue", "ls"],
        ["queue", "inspect", "default"],
        ["queue", "history", "default"],
        ["group", "ls", "default"],
        ["stats"],
        ["task", "run", "default", "raw"],
        ["task", "runall", "default", "completed", "--yes"],
        ["task", "cancel", "raw"],
        ["queue", "pause", "default"],
        ["queue", "rm", "default", "--force", "--yes"],
        ["cron", "pause", "daily"],
        ["cron", "trigger", "daily"],
        ["cron", "explain", "30 2 * * *", "--tz", "Europe/Berlin", "--from", "2026-03-28"],
    ],
    ids=" ".join,
)
def test_every_json_field_is_told(
    arguments: list[str], asynq: Command, command: Command, database: redis.Redis
) -> None:
    put(database, "pending", "text", payload=b"p", headers={"a": "b"})
    put(database, "completed", "raw", payload=b"\xff", result=b"\xff", score=int(time.time()) + 99)
    put(database, "aggregating", "id", group="g")
    run = command if "explain" in arguments else asynq
    told = set(re.findall(r"`([a-z_0-9]+)`", TEXT[TEXT.index("## JSON") :]))

    found = set(fields_of(run(*arguments, "--output", "json").json))

    assert found
    assert found <= told
