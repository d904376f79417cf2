"""Starting the contenders."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from asynq_py.testing.go import GoError, build_programs, find_sources

from .model import Program, Say, Unavailable

ENVIRONMENTS = Path(__file__).parents[2] / ".cache" / "bench-venv"


def own(name: str, driver: str) -> Program:
    """A driver that runs where asynq_py is installed."""
    return Program(name, lambda address, _: _drive(sys.executable, driver, address))


def peer(name: str, driver: str, *requirements: str) -> Program:
    """A driver of another library, in a virtual environment of its own.

    Of its own, since they want different releases of redis-py: one environment for all would
    hold everybody to the oldest.
    """

    def command(address: str, say: Say) -> list[str]:
        python = _environment(ENVIRONMENTS / name, requirements, say)
        return _drive(str(python), driver, address)

    return Program(name, command)


def go(name: str, program: str) -> Program:
    """A program of interop/cmd."""

    def command(address: str, _: Say) -> list[str]:
        try:
            return [str(build_programs(find_sources()) / program), "-redis", address]
        except GoError as error:
            raise Unavailable(_last_line(str(error))) from error

    return Program(name, command)


def _drive(python: str, driver: str, address: str) -> list[str]:
    return [python, "-P", "-m", f"{__package__}.drivers.{driver}", address]


def _environment(folder: Path, requirements: tuple[str, ...], say: Say) -> Path:
    """Makes a virtual environment unless it is there; gives its interpreter."""
    python = folder / "bin" / "python"
    stamp = folder / "requirements.txt"
    wanted = f"# {sys.version}\n" + "\n".join(requirements) + "\n"
    if stamp.exists() and stamp.read_text() == wanted:
        return python
    say(f"installing {' '.join(requirements)}")
    uv = shutil.which("uv")
    if uv:
        make = [uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)]
        install = [uv, "pip", "install", "--quiet", "--python", str(python), *requirements]
    else:
        make = [sys.executable, "-m", "venv", "--clear", str(folder)]
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        install = [*pip, *requirements]
    for command in (make, install):
        _run(command)
    stamp.write_text(wanted)
    return python


def _run(command: list[str]) -> None:
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    except OSError as error:
        raise Unavailable(f"{command[0]}: {error}") from error
    if done.returncode:
        raise Unavailable(f"cannot be installed: {_last_line(done.stderr or done.stdout)}")


def _last_line(text: str) -> str:
    return next((line for line in reversed(text.splitlines()) if line.strip()), "no reason given")
