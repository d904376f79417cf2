"""Python workers as processes of this machine, held as Go workers are: they print the same."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from asynq_py.testing import GoWorker, Redis
from asynq_py.testing.program import ProcessProgram

PROGRAM = Path(__file__).with_name("pyworker.py")


def start_python_worker(
    redis: Redis, *, db: int = 0, timeout: float = 20.0, **options: object
) -> GoWorker:
    """Starts `pyworker.py` and returns when it consumes; `options` are those of `Stack.worker`."""
    command = [sys.executable, "-W", "error", str(PROGRAM), redis.url_for(db), json.dumps(options)]
    worker = GoWorker(ProcessProgram(command, os.environ))
    worker.log.wait_for_event("ready", timeout=timeout)
    return worker
