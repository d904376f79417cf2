"""A suite: schedulers with many entries, Go's and asynq_py's.

    suite       whom to compare at what, and the aims
    model       what a part is made of, and what comes out
    parts       the measurements: all at once, spread over a minute, idle
    stage       a contender's process: registering, starting, stopping; its CPU and memory
    arrivals    when the tasks came, by what Redis has
    turns       contenders in turn, round after round
    runner      a process for each measurement
    report      tables and data

A contender has a process and an empty Redis to itself for each measurement, so that the most
memory it ever had is that measurement's.
"""

from __future__ import annotations

from ..options import Options, having
from ..page import Report
from ..progress import Progress
from .report import report
from .runner import run
from .suite import CONTENDERS, aims, parts


def measure(options: Options, progress: Progress) -> Report:
    """Runs the suite `scheduler`."""
    contenders = having(CONTENDERS, options.only, "contender", lambda c: c.name)
    chosen = having(parts(options), options.tables, "table", lambda p: p.title)
    return report(run(contenders, chosen, aims(chosen), progress))
