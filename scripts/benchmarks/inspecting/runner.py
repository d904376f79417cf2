"""Measures contenders in turn, round after round, on the same data."""

from __future__ import annotations

from collections.abc import Sequence

from asynq_py.testing import RedisServer

from ..machine import describe
from ..model import Unavailable
from ..process import Process
from ..progress import Progress
from ..scheduler.model import Aim, Contender, Measured, Outcome, Part
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
        machine = describe(server)
        stage = Stage(server, progress.now)
        processes: dict[str, Process] = {}
        versions: dict[str, dict[str, str]] = {}
        try:
            for contender in contenders:
                try:
                    command = contender.program.command(server.address, progress.say)
                    processes[contender.key] = Process(command)
                    ready = processes[contender.key].wait_until_ready()
                    versions[contender.program.name] = ready
                except Unavailable as reason:
                    _drop_out([m for m in measured if m.contender is contender], reason, progress)
            for part in parts:
                _play([one for one in measured if one.part is part], stage, processes, progress)
        finally:
            for process in processes.values():
                process.stop()
        progress.now("")
        return Outcome(machine, versions, measured, aims)


def _play(
    measured: Sequence[Measured], stage: Stage, processes: dict[str, Process], progress: Progress
) -> None:
    part = measured[0].part
    for number in range(1, part.rounds + 1):
        progress.say(f"{part.title}: round {number} of {part.rounds}")
        # There and back again: whatever grows with time strikes all alike.
        for one in measured if number % 2 else reversed(measured):
            if one.reason:
                continue
            stage.enter(processes[one.contender.key])
            try:
                one.rounds.append(part.measure(stage))
            except Unavailable as reason:
                _drop_out([one], reason, progress)


def _drop_out(measured: Sequence[Measured], reason: Unavailable, progress: Progress) -> None:
    for one in measured:
        one.reason = str(reason)
        one.rounds.clear()
        progress.say(f"{one.contender.name}: not measured: {reason}")
