"""Measures workers in turn, round after round, on one fresh Redis."""

from __future__ import annotations

from collections.abc import Sequence

from asynq_py.testing import RedisServer

from ..machine import describe
from ..model import BenchmarkError
from ..progress import Progress
from ..scheduler.model import Aim, Measured, Outcome, Part, Values
from ..scheduler.turns import take_turns
from .model import Worker
from .stage import Stage
from .suite import takes_part


def run(
    workers: Sequence[Worker], parts: Sequence[Part], aims: tuple[Aim, ...], progress: Progress
) -> Outcome:
    """Runs the suite, part by part.

    Raises:
        BenchmarkError: Nobody who was chosen takes part.
    """
    by_key = {worker.key: worker for worker in workers}
    measured = tuple(
        Measured(part, worker) for part in parts for worker in workers if takes_part(worker, part)
    )
    if not measured:
        raise BenchmarkError("nobody takes part in what was chosen")
    with RedisServer() as server, Stage(server, progress) as stage:
        machine = describe(server)

        def measure(one: Measured) -> Values:
            stage.enter(by_key[one.contender.key])
            return one.part.measure(stage)

        for part in parts:
            if those := [one for one in measured if one.part is part]:
                take_turns(those, measure, progress)
        progress.now("")
        return Outcome(machine, stage.versions, measured, aims)
