"""The tests that README.md and docs/testing.md show pass."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def programs(page: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", (ROOT / page).read_text(), re.M | re.S)


def run_pytest(folder: Path) -> str:
    plugins = ["-p", "asynq_py.testing.plugin", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-W", "error", "-q", *plugins],
        cwd=folder,
        env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.stdout + done.stderr


@pytest.mark.parametrize("clock", ["going", "still"])
def test_those_of_the_page(tmp_path: Path, clock: str) -> None:
    first, fixture, second = programs("docs/testing.md")
    (tmp_path / "test_page.py").write_text(first + second)
    if clock == "still":
        (tmp_path / "conftest.py").write_text(fixture)

    assert "3 passed" in (told := run_pytest(tmp_path)), told


def test_that_of_the_readme(tmp_path: Path) -> None:
    (shown,) = [program for program in programs("README.md") if "def test_" in program]
    (tmp_path / "test_readme.py").write_text(shown)

    assert "1 passed" in (told := run_pytest(tmp_path)), told
