"""The command line."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from . import enqueue, inspecting, scheduler, working
from .model import BenchmarkError
from .options import Options
from .page import Report, show
from .progress import Progress

#: Every suite is a module with a function `measure`.
SUITES: Mapping[str, Callable[[Options, Progress], Report]] = {
    "enqueue": enqueue.measure,
    "scheduler": scheduler.measure,
    "inspect": inspecting.measure,
    "worker": working.measure,
}


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Measures asynq_py beside others, in turn, on one fresh Redis.",
        epilog="enqueue takes 3 minutes, 20 s with --quick; scheduler 25 minutes, 5 with "
        "--quick; inspect 2 minutes, 30 s with --quick; worker 30 minutes, 5 with --quick. Exit "
        "code: 0 it was measured, whether or not aims are reached; 1 it was not.",
    )
    parser.add_argument("suite", nargs="?", default="enqueue", choices=list(SUITES))
    parser.add_argument("--quick", action="store_true", help="fewer and shorter measurements")
    parser.add_argument("--rounds", type=_positive, metavar="N", help="turns of each contender")
    parser.add_argument(
        "--tasks",
        type=_positive,
        metavar="N",
        help="tasks in a burst, not what a time gives; entries of a scheduler, or tasks to look "
        "at, not the usual ones; tasks to drain, or as many as a worker does in 10 s",
    )
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="TEXT",
        help="contenders with TEXT in their names",
    )
    parser.add_argument(
        "--table", action="append", default=[], metavar="TEXT", help="tables with TEXT in titles"
    )
    parser.add_argument("--output", type=Path, metavar="FILE.json", help="write the numbers, too")
    return parser.parse_args()


def main() -> int:
    """Runs one suite."""
    arguments = _arguments()
    options = Options(
        arguments.quick,
        arguments.rounds,
        arguments.tasks,
        tuple(arguments.only),
        tuple(arguments.table),
    )
    try:
        report = SUITES[arguments.suite](options, Progress())
    except BenchmarkError as error:
        sys.stderr.write(f"\nbench: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    show(report.page)
    if arguments.output:
        arguments.output.write_text(json.dumps(report.data, indent=2) + "\n")
    return 0


sys.exit(main())
