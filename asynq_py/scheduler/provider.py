"""Where a PeriodicTaskManager has its tasks from: a callable, or a file that is watched."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from os import PathLike, fspath, stat
from typing import TypeAlias

from asynq_py.errors import ConfigError
from asynq_py.scheduler.file import FileContents, load_file
from asynq_py.scheduler.periodic import PeriodicTask

__all__ = ["FileContents", "FileProvider", "Provider", "load_file"]

#: Gives all the tasks there are to be, each time it is called. An attribute
#: ``poll_interval``, a number of seconds, says that it is cheap enough to be called that often.
Provider: TypeAlias = Callable[[], Iterable[PeriodicTask]]

_Stamp: TypeAlias = tuple[int, int, int]


class FileProvider:
    """The tasks of a TOML or YAML file (see :func:`load_file`), read anew when it changes.

    To change a file that is in use, write another and rename it over the first: what is
    written in place may be read when half of it is there.

    Args:
        path: Ends in .toml, .yaml or .yml. Nothing is read yet.
    """

    #: How often to look whether the file has changed, seconds.
    poll_interval = 1.0

    def __init__(self, path: str | PathLike[str]) -> None:
        self._path = path
        self._stamp: _Stamp | None = None
        self._tasks: list[PeriodicTask] = []
        self._fault: str | None = None

    def __repr__(self) -> str:
        return f"FileProvider({fspath(self._path)!r})"

    def __call__(self) -> list[PeriodicTask]:
        """Gives the tasks; the same list until the file changes.

        Raises:
            ConfigError: With a line for each fault; again and again until the file changes.
        """
        # Before it is read: a change that comes in between is seen the next time.
        stamp = self._look()
        if stamp is None or stamp != self._stamp:
            self._stamp = None
            try:
                self._tasks = load_file(self._path).tasks
                self._fault = None
            except ConfigError as error:
                self._fault = str(error)
            self._stamp = stamp
        if self._fault is not None:
            raise ConfigError(self._fault)
        return self._tasks

    def _look(self) -> _Stamp | None:
        """What changes with the file; None where there is none, which reading it explains."""
        try:
            found = stat(self._path)
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino
