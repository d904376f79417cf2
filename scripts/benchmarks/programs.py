"""Starting the contenders."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from asynq_py.testing.go import GoError, build_programs, find_sources

from .model import Program, Say, Unavailable

ENVIRONMENTS = Path(__file__).parents[2] / ".cache" / "bench-venv"

#: Other libraries, and what is installed for them: each in an environment of its own, since they
#: want different releases of redis-py; one for all would hold everybody to the oldest.
PEERS: Mapping[str, tuple[str, ...]] = {
    "celery": ("celery[redis]", "redis[hiredis]", "gevent"),
    "rq": ("rq", "redis[hiredis]"),
    "arq": ("arq", "uvloop"),
    # It imports typing_extensions and does not say so.
    "saq": ("saq[redis,hiredis]", "typing_extensions", "uvloop"),
    "streaq": ("streaq", "uvloop"),
    "taskiq": ("taskiq-redis", "redis[hiredis]", "uvloop"),
    "dramatiq": ("dramatiq[redis]", "redis[hiredis]"),
}


def own(name: str, driver: str) -> Program:
    """A driver that runs where asynq_py is installed."""
    return Program(name, lambda address, _: _drive(sys.executable, driver, address))


def peer(name: str) -> Program:
    """The driver of another library, see PEERS."""
    return Program(name, lambda address, say: _drive(str(_python(name, say)), name, address))


def peer_tool(name: str, tool: str, *arguments: str) -> Program:
    """A command line tool that comes with another library."""

    def command(_: str, say: Say) -> list[str]:
        return [str(_python(name, say).parent / tool), *arguments]

    return Program(name, command)


def leashed(command: list[str]) -> list[str]:
    """A command line in whose stead drivers/leash.py answers."""
    return [sys.executable, "-P", "-m", f"{__package__}.drivers.leash", *command]


def go(name: str, program: str, *arguments: str) -> Program:
    """A program of interop/cmd."""

    def command(address: str, _: Say) -> list[str]:
        try:
            path = build_programs(find_sources()) / program
            return [str(path), "-redis", address, *arguments]
        except GoError as error:
            raise Unavailable(_last_line(str(error))) from error

    return Program(name, command)


def _drive(python: str, driver: str, address: str) -> list[str]:
    return [python, "-P", "-m", f"{__package__}.drivers.{driver}", address]


def _python(name: str, say: Say) -> Path:
    return _environment(ENVIRONMENTS / name, PEERS[name], say)


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
