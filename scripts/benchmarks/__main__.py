"""The command line."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from . import enqueue
from .model import BenchmarkError, Settings, Suite
from .progress import Progress
from .report import show, to_json
from .runner import run

#: Every suite is a module with a function `suite`.
SUITES: Mapping[str, Callable[[], Suite]] = {"enqueue": enqueue.suite}

DEFAULT = Settings(rounds=7, seconds=0.6)
QUICK = Settings(rounds=2, seconds=0.2)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Measures asynq_py beside others, in turn, on one fresh Redis.",
        epilog="Exit code: 0 it was measured, whether or not aims are reached; 1 it was not.",
    )
    parser.add_argument("suite", nargs="?", default="enqueue", choices=list(SUITES))
    parser.add_argument("--quick", action="store_true", help="about 20 s instead of 3 minutes")
    parser.add_argument("--rounds", type=_positive, metavar="N", help="bursts of each contender")
    parser.add_argument(
        "--tasks", type=_positive, metavar="N", help="tasks in a burst, not what a time gives"
    )
    parser.add_argument(
        "--only", action="append", metavar="TEXT", help="contenders with TEXT in their names"
    )
    parser.add_argument("--output", type=Path, metavar="FILE.json", help="write the numbers, too")
    return parser.parse_args()


def _narrowed(suite: Suite, only: list[str] | None) -> Suite:
    """The contenders whose names have one of the texts in them."""
    if not only:
        return suite
    texts = [text.lower() for text in only]
    kept = [c for c in suite.contenders if any(text in c.name.lower() for text in texts)]
    if not kept:
        raise BenchmarkError(f"no contender is named like {' or '.join(only)}")
    return replace(suite, contenders=tuple(kept))


def main() -> int:
    """Runs one suite."""
    arguments = _arguments()
    usual = QUICK if arguments.quick else DEFAULT
    settings = Settings(arguments.rounds or usual.rounds, usual.seconds, arguments.tasks)
    try:
        suite = _narrowed(SUITES[arguments.suite](), arguments.only)
        outcome = run(suite, settings, Progress())
    except BenchmarkError as error:
        sys.stderr.write(f"\nbench: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    show(outcome)
    if arguments.output:
        arguments.output.write_text(to_json(outcome) + "\n")
    return 0


sys.exit(main())
