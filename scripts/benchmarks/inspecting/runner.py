"""Measures contenders in turn, round after round, on the same data."""

from __future__ import annotations

from collections.abc import Sequence

from asynq_py.testing import RedisServer

from ..machine import describe
from ..model import Unavailable
from ..process import Process
from ..progress import Progress
from ..scheduler.model import Aim, Contender, Measured, Outcome, Part, Values
from ..scheduler.turns import drop_out, take_turns
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

        def measure(one: Measured) -> Values:
            stage.enter(processes[one.contender.key])
            return one.part.measure(stage)

        try:
            for contender in contenders:
                try:
                    command = contender.program.command(server.address, progress.say)
                    processes[contender.key] = Process(command)
                    ready = processes[contender.key].wait_until_ready()
                    versions[contender.program.name] = ready
                except Unavailable as reason:
                    drop_out([m for m in measured if m.contender is contender], reason, progress)
            for part in parts:
                take_turns([one for one in measured if one.part is part], measure, progress)
        finally:
            for process in processes.values():
                process.stop()
        progress.now("")
        return Outcome(machine, versions, measured, aims)
