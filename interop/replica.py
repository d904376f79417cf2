"""A scheduler as a program: one of several with the same entries, for tests of fail-over.

    python replica.py REDIS_URL GROUP ENTRIES LEASE RENEW_EVERY [--spec SPEC] [--freeze-at N]

Its entries are e0, e1, ...; an empty GROUP means no leader election, but the same ledger of
ticks. It prints JSON lines: "started"; "elected", "lost" and "resigned" with the term; and after
SIGTERM "stopped" with what became of the ticks.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import time
from collections.abc import Mapping

from asynq_py import LeaderElection, Misfire, Scheduler, SchedulerConfig, Task
from asynq_py.scheduler.config import Leadership

QUEUE = "ticks"


def tell(event: str, **details: object) -> None:
    """Prints an event."""
    print(json.dumps({"event": event, "at": time.time(), **details}), flush=True)  # noqa: T201


def tell_leadership(event: Leadership) -> None:
    """Prints what happened to the leadership."""
    tell(event.event, term=event.term, reason=event.reason)


class Freezer:
    """Stops the whole process as SIGSTOP does, before a tick is sent and after it was found that
    this process leads: where a leader can do the most harm."""

    def __init__(self, at: int) -> None:
        self._left = at

    def __call__(self, task: Task, options: Mapping[str, object]) -> None:
        self._left -= 1
        if self._left == 0:
            tell("freezing")
            os.kill(os.getpid(), signal.SIGSTOP)
            # On a busy machine the kernel stops us some time after that; the sender waits for
            # this function meanwhile.
            time.sleep(0.2)


def main() -> None:
    """Does what the module's docstring says."""
    parser = argparse.ArgumentParser()
    parser.add_argument("redis")
    parser.add_argument("group")
    parser.add_argument("entries", type=int)
    parser.add_argument("lease", type=float)
    parser.add_argument("renew_every", type=float)
    parser.add_argument("--spec", default="@every 1s")
    parser.add_argument("--freeze-at", type=int, default=0, help="before the N-th tick")
    arguments = parser.parse_args()
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)

    election = None
    if arguments.group:
        election = LeaderElection(
            group=arguments.group,
            lease=arguments.lease,
            renew_every=arguments.renew_every,
            on_change=tell_leadership,
        )
    config = SchedulerConfig(
        leader_election=election,
        misfire=None if election else Misfire.ALL(grace=60),
        pre_enqueue=Freezer(arguments.freeze_at) if arguments.freeze_at else None,
        # Go's tools then forget a leader that is gone after two seconds.
        heartbeat_interval=1,
        shutdown_timeout=5,
    )
    scheduler = Scheduler(arguments.redis, config)
    for n in range(arguments.entries):
        scheduler.register(arguments.spec, Task("tick", {"n": n}), name=f"e{n}", queue=QUEUE)
    tell("started", pid=os.getpid())
    scheduler.run()
    tell("stopped", counts=dict(scheduler.counts()))


if __name__ == "__main__":
    main()
