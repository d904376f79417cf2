"""What it ran on."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from asynq_py.testing import RedisServer


def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def describe(server: RedisServer) -> dict[str, str]:
    """Names and values for the head of a report."""
    return {
        "CPU": f"{_cpu_model()}, {cores()} cores",
        "load": f"{os.getloadavg()[0]:.2f} before the run",
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "Redis": f"{info(server, 'server')['redis_version']}, nothing saved to disk",
    }


def server_cpu_seconds(server: RedisServer) -> float:
    """CPU time that Redis has used since its start, user and system."""
    used = info(server, "cpu")
    return float(used["used_cpu_user"]) + float(used["used_cpu_sys"])


def info(server: RedisServer, section: str) -> dict[str, str]:
    """What Redis says of itself in one section."""
    text: bytes = server.command("INFO", section)
    return dict(line.split(":", 1) for line in text.decode().splitlines() if ":" in line)


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.processor() or platform.machine())
