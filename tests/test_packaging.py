"""What is shipped: the wheel has all it needs, and generated code is up to date."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import asynq_py

ROOT = Path(asynq_py.__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel, built without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (path,) = folder.glob("*.whl")
    return zipfile.ZipFile(path)


def test_the_wheel_holds_every_file_of_the_package_and_nothing_else(
    wheel: zipfile.ZipFile,
) -> None:
    source = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "asynq_py").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    packed = {name for name in wheel.namelist() if ".dist-info/" not in name}
    # The Go programs that the test harness builds come along; their binaries do not.
    of_go = {name for name in packed if name.startswith("asynq_py/testing/interop/")}

    assert packed - of_go == source
    assert [name for name in of_go if "/bin/" in name or name.endswith(".py")] == []


@pytest.mark.parametrize(
    "name",
    [
        "asynq_py/py.typed",
        "asynq_py/wire/asynq_pb2.py",
        "asynq_py/wire/asynq_pb2.pyi",
        "asynq_py/broker/lua/enqueue.lua",
        "asynq_py/broker/lua/record_enqueue_event.lua",
        "asynq_py/broker/lua/write_scheduler_entries.lua",
    ],
)
def test_the_wheel_holds_what_is_not_python(wheel: zipfile.ZipFile, name: str) -> None:
    assert wheel.read(name) == (ROOT / name).read_bytes()


def test_the_wheel_has_the_licence_the_command_and_the_plugin_of_pytest(
    wheel: zipfile.ZipFile,
) -> None:
    (info,) = {name.split("/")[0] for name in wheel.namelist() if ".dist-info/" in name}

    assert f"{info}/licenses/LICENSE" in wheel.namelist()
    entry_points = wheel.read(f"{info}/entry_points.txt").decode()
    assert "asynq-py = asynq_py.cli:main" in entry_points
    assert "[pytest11]\nasynq_py = asynq_py.testing.plugin\n" in entry_points


def test_the_wheel_works_where_the_source_is_not(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    wheel.extractall(tmp_path)
    code = (
        "import asynq_py, asynq_py.broker.scripts as s; "
        "print(asynq_py.__file__); print(len(s.ENQUEUE.text))"
    )

    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert done.stdout.startswith(str(tmp_path))


def test_the_generated_protobuf_code_is_up_to_date() -> None:
    done = subprocess.run(
        [str(ROOT / "scripts" / "gen-proto"), "--check"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
