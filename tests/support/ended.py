"""Waiting for the end of processes that are not our children, without polling."""

from __future__ import annotations

import os
import select
from pathlib import Path


def wait_until_gone(*pids: int, timeout: float = 20) -> None:
    """Waits until all of them have ended, whether or not their parents know."""
    for pid in pids:
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            ended, _, _ = select.select([descriptor], [], [], timeout)
        finally:
            os.close(descriptor)
        assert ended, f"process {pid} lives on: {Path(f'/proc/{pid}/cmdline').read_bytes()!r}"
