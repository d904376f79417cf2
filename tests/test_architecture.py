"""How the package is layered: who may import whom, and one door for each third party."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import asynq_py

PACKAGE = Path(asynq_py.__file__).parent

#: From the ground up; parts of one layer know nothing of each other.
LAYERS: list[set[str]] = [
    {"errors", "clock"},
    {"wire"},
    {"broker"},
    {"codec"},
    {"options"},
    {"task", "info"},
    {"schedule"},
    {"connection"},
    {"client"},
    {"scheduler"},
    {"inspector", "doctor", "server"},
    {"testing"},
    {"cli"},
    {"__main__"},
]
RANK = {part: rank for rank, parts in enumerate(LAYERS) for part in parts}
#: What only one part may import.
DOORS = {
    "redis": "connection",
    "hiredis": "connection",
    "google": "wire",
    "uvloop": "server",
    "pebble": "server",
    "msgpack": "codec",
    "croniter": "schedule",
    "yaml": "scheduler",
    "testcontainers": "testing",
    "docker": "testing",
    "rich": "cli",
    "watchfiles": "cli",
    "typer": "cli",
}

MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def part_of(path: Path) -> str:
    """The part of the package that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and dotted name of everything imported, inside of functions too."""
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            assert node.module is not None
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from ((node.lineno, name) for name in names)


def faults(path: Path) -> Iterator[str]:
    """Every import of a module that goes the wrong way."""
    own = part_of(path)
    for line, name in imports(path):
        top, _, rest = name.partition(".")
        if top == "asynq_py":
            part = rest.split(".")[0]
            if part != own and part in RANK and RANK[part] >= RANK[own]:
                yield f"{path.name}:{line}: {own} imports {part}"
            elif part not in RANK and own not in ("cli", "testing", "__main__"):
                yield f"{path.name}:{line}: {own} imports {name}, which is in no layer"
        elif DOORS.get(top, own) != own:
            yield f"{path.name}:{line}: only {DOORS[top]} may import {top}"


def test_every_part_has_a_layer() -> None:
    assert {part_of(path) for path in MODULES} <= RANK.keys()


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_only_from_below_and_through_the_doors(path: Path) -> None:
    assert list(faults(path)) == []


def test_the_check_sees_a_wrong_import_inside_a_function(tmp_path: Path) -> None:
    (tmp_path / "broker").mkdir()
    bad = tmp_path / "broker" / "bad.py"
    bad.write_text(
        "from asynq_py.errors import AsynqError\n"
        "def f():\n"
        "    from asynq_py.task import Task\n"
        "    import redis.asyncio\n"
    )

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.modules[__name__], "PACKAGE", tmp_path)
        found = list(faults(bad))

    assert found == ["bad.py:3: broker imports task", "bad.py:4: only connection may import redis"]


def test_the_docstring_of_the_package_names_every_part() -> None:
    told = asynq_py.__doc__ or ""

    assert [part for part in RANK if part not in told and part != "__main__"] == []


def test_importing_the_package_imports_no_third_party_that_is_slow_or_optional() -> None:
    unwanted = [name for name in DOORS if name not in ("google", "docker")]
    code = (
        "import sys, asynq_py\n"
        f"print([name for name in {unwanted!r} if name in sys.modules])\n"
        "print('asynq_py.testing' in sys.modules or 'asynq_py.cli' in sys.modules)"
    )

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )

    assert done.stdout.split("\n")[:2] == ["[]", "False"]
