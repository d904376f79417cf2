"""A suite: workers, Go's, asynq_py's and those of other Python queues.

    suite       what to measure, and the aims
    workers     whom to measure, each with its best settings
    model       what a worker is
    parts       the measurements: tasks drained, latency, memory
    stage       a worker at work, and what is seen of it from outside
    left        how many tasks are left, by what each library has in Redis

What workers work on is in ../drivers/workers and interop/cmd/bench/server.go. What comes out has
the form of the suite `scheduler`, see ../scheduler/model.py.

Every measurement has an empty Redis and a worker of its own, started by the library's own command
line tool and killed in the end.
"""

from __future__ import annotations

from ..options import Options, having
from ..page import Report
from ..progress import Progress
from ..scheduler.report import report
from .runner import run
from .suite import LEGEND, aims, parts
from .workers import workers


def measure(options: Options, progress: Progress) -> Report:
    """Runs the suite `worker`."""
    contenders = having(workers(), options.only, "contender", lambda w: w.name)
    chosen = having(parts(options), options.tables, "table", lambda p: p.title)
    outcome = run(contenders, chosen, aims(contenders, chosen), progress)
    return report(
        outcome, suite="worker", title="Workers at work", legend=LEGEND, rows="contenders"
    )
