"""What a scheduler may be asked to do when.

    new --start--> running --stop--> stopping --(all is done)--> stopped

Entries are added and removed one by one while it is new; nothing leads back.
"""

from __future__ import annotations

from enum import Enum

from asynq_py.errors import SchedulerRunningError, SchedulerStoppedError


class State(Enum):
    """Where in its life a scheduler is."""

    NEW = "new"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"


class Lifecycle:
    """The state and its transitions; the caller holds the lock."""

    def __init__(self) -> None:
        self.state = State.NEW

    def check_unsealed(self, what: str) -> None:
        """Raises unless entries may be changed one by one."""
        if self.state is State.STOPPED:
            raise SchedulerStoppedError(f"cannot {what}: the scheduler was stopped; make a new one")
        if self.state is not State.NEW:
            raise SchedulerRunningError(f"cannot {what}: the scheduler runs, stop it first")

    def check_not_stopped(self, what: str) -> None:
        """Raises when the scheduler is about to stop, or has."""
        if self.state in (State.STOPPING, State.STOPPED):
            raise SchedulerStoppedError(f"cannot {what}: the scheduler was stopped; make a new one")

    def start(self) -> None:
        """From new to running."""
        if self.state is State.RUNNING:
            raise SchedulerRunningError("the scheduler is already running")
        self.check_not_stopped("start")
        self.state = State.RUNNING

    def stop(self) -> bool:
        """From running to stopping; False from anywhere else: there is nothing to stop."""
        if self.state is not State.RUNNING:
            return False
        self.state = State.STOPPING
        return True

    def end(self) -> None:
        """From stopping to stopped."""
        self.state = State.STOPPED
