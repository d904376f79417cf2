"""A suite: looking at much and deleting much, by Go's Inspector and asynq_py's.

    suite       whom to compare at what, and the aims
    parts       the measurements
    stage       a contender's process, and the Redis that is filled for it
    probe       how long Redis lets others wait meanwhile
    runner      contenders in turn, round after round, on the same data

What comes out has the form of the suite `scheduler`, see ../scheduler/model.py.
"""

from __future__ import annotations

from ..options import Options, having
from ..page import Report
from ..progress import Progress
from ..scheduler.report import report
from .runner import run
from .suite import CONTENDERS, LEGEND, aims, parts


def measure(options: Options, progress: Progress) -> Report:
    """Runs the suite `inspect`."""
    contenders = having(CONTENDERS, options.only, "contender", lambda c: c.name)
    chosen = having(parts(options), options.tables, "table", lambda p: p.title)
    outcome = run(contenders, chosen, aims(chosen), progress)
    return report(outcome, suite="inspect", title="Inspectors at much data", legend=LEGEND)
