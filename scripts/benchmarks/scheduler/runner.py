"""Measures contenders in turn, round after round, on one fresh Redis."""

from __future__ import annotations

from collections.abc import Sequence

from asynq_py.testing import RedisServer

from ..machine import describe
from ..progress import Progress
from .model import Aim, Contender, Measured, Outcome, Part, Values
from .stage import Stage
from .turns import take_turns


def run(
    contenders: Sequence[Contender],
    parts: Sequence[Part],
    aims: tuple[Aim, ...],
    progress: Progress,
) -> Outcome:
    """Runs the suite, part by part."""
    measured = tuple(Measured(part, contender) for part in parts for contender in contenders)
    with RedisServer() as server:
        turns = _Turns(server, describe(server), progress)
        for part in parts:
            take_turns([one for one in measured if one.part is part], turns.measure, progress)
        progress.now("")
        return Outcome(turns.machine, turns.versions, measured, aims)


class _Turns:
    """Whose turn it is, and the Redis for all of them."""

    def __init__(self, server: RedisServer, machine: dict[str, str], progress: Progress) -> None:
        self.machine = machine
        #: Of each program, its parts and their versions.
        self.versions: dict[str, dict[str, str]] = {}
        self._server = server
        self._progress = progress
        self._commands: dict[str, list[str]] = {}

    def measure(self, one: Measured) -> Values:
        """Measures one contender in its part."""
        program = one.contender.program
        if program.name not in self._commands:
            command = program.command(self._server.address, self._progress.say)
            self._commands[program.name] = command
        with Stage(self._server, self._commands[program.name], one.contender.command) as stage:
            self.versions[program.name] = stage.versions
            return one.part.measure(stage)
