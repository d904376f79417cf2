"""Measures contenders in turn, round after round, on one fresh Redis."""

from __future__ import annotations

from collections.abc import Sequence

from asynq_py.testing import RedisServer

from ..machine import describe
from ..model import Unavailable
from ..progress import Progress
from .model import Aim, Contender, Measured, Outcome, Part
from .stage import Stage


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
            turns.play([one for one in measured if one.part is part])
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

    def play(self, measured: Sequence[Measured]) -> None:
        """Measures everybody in one part."""
        part = measured[0].part
        for number in range(1, part.rounds + 1):
            self._progress.say(f"{part.title}: round {number} of {part.rounds}")
            # There and back again: whatever grows with time strikes all alike.
            for one in measured if number % 2 else reversed(measured):
                if one.reason:
                    continue
                self._progress.now(f"{part.title}: {one.contender.name}")
                try:
                    self._measure(one)
                except Unavailable as reason:
                    one.reason = str(reason)
                    one.rounds.clear()
                    self._progress.say(f"{one.contender.name}: not measured: {reason}")

    def _measure(self, one: Measured) -> None:
        program = one.contender.program
        if program.name not in self._commands:
            command = program.command(self._server.address, self._progress.say)
            self._commands[program.name] = command
        with Stage(self._server, self._commands[program.name], one.contender.command) as stage:
            self.versions[program.name] = stage.versions
            one.rounds.append(one.part.measure(stage))
