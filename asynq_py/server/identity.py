"""Who a server is."""

from __future__ import annotations

import os
import socket
from typing import NamedTuple

from asynq_py.client.prepare import new_task_id


class Identity(NamedTuple):
    """Host, process, and a UUID."""

    host: str
    pid: int
    server_id: str

    @property
    def text(self) -> str:
        """As it stands in keys: ``host:pid:UUID``."""
        return f"{self.host}:{self.pid}:{self.server_id}"


def new_identity() -> Identity:
    """That of a server of this process."""
    try:
        host = socket.gethostname()
    except OSError:
        host = ""
    return Identity(host or "unknown-host", os.getpid(), new_task_id())
