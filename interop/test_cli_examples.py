"""The examples of docs/cli.md, run again on a Redis that Go has filled, print the same."""

from __future__ import annotations

import re
from pathlib import Path

import asynq_py
from asynq_py.cli.examples import renewed

TEMPLATE = (Path(asynq_py.__file__).parents[1] / "scripts" / "cli.md.in").read_text()
#: What is another each time, and what it becomes.
_CHANGING = (
    (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "UUID"),
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(Z|,\d+)?", "MOMENT"),
    (r"\b(\d+h)?(\d+m)?\d+s\b", "SPAN"),
    (r"\bIn SPAN|\bNow\b", "WHEN"),
    (r"\d+", "N"),
    (r"(?m)^\S+ +(?=N +active )", "HOST "),
    (r" +", " "),
)


def alike(text: str) -> list[str]:
    """The lines in which nothing is left that is another each time, sorted: what runs next
    depends on the time of day."""
    for pattern, name in _CHANGING:
        text = re.sub(pattern, name, text)
    return sorted(text.splitlines())


def test_they_print_the_same_again() -> None:
    # How many tasks the demo runs in its seconds is not certain.
    examples, _, rest = TEMPLATE.partition("%% demo\n")
    assert rest

    assert alike(renewed(examples)) == alike(examples)
