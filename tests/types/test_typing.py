"""The types, as mypy sees them."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from mypy import api

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


@pytest.fixture(scope="module")
def checked() -> dict[str, list[tuple[int, str]]]:
    """Line and code of every error, by the name of the file."""
    told, failure, _ = api.run(
        [
            "--strict",
            "--no-error-summary",
            "--no-pretty",
            "--show-error-codes",
            "--config-file=",
            f"--python-executable={sys.executable}",
            f"--cache-dir={ROOT / '.mypy_cache'}",
            "--follow-imports=silent",
            str(HERE / "good.py"),
            str(HERE / "bad.py"),
        ]
    )
    assert not failure, failure
    found: dict[str, list[tuple[int, str]]] = {}
    for line in told.splitlines():
        match = re.match(r"(.+?):(\d+): error: .*\[([a-z-]+)\]$", line)
        if match:
            name = Path(match[1]).name
            found.setdefault(name, []).append((int(match[2]), match[3]))
        else:
            assert ": note: " in line, line
    return found


def test_good_uses_pass(checked: dict[str, list[tuple[int, str]]]) -> None:
    assert checked.get("good.py", []) == []


def test_bad_uses_fail_where_they_should_and_nowhere_else(
    checked: dict[str, list[tuple[int, str]]],
) -> None:
    expected = [
        (number, match[1])
        for number, line in enumerate((HERE / "bad.py").read_text().splitlines(), 1)
        if (match := re.search(r"# expect: ([a-z-]+)$", line))
    ]

    # A call that is refused may be refused for more than one reason.
    assert sorted(set(checked.get("bad.py", []))) == expected
