"""Who leads: one scheduler of a group, for a term at a time.

Redis decides, by one key a group and its own clock (see lua/campaign.lua), and numbers the
terms: a term is a fencing token, which every enqueueing carries and which the ledger compares
with the highest it has seen. This process uses its own monotonic clock only to bound how long
it trusts what Redis said last: from *before* it asked, for a lease less a margin. So its trust
ends before its lease does, whatever the network did to the answer.

    following --won--> leading --not renewed in time, or taken--> following
                       leading --stop--> resigned

A follower asks again when the other's lease ends, or at once when it hears that the leader
resigned. A leader renews every ``renew_every``; that Redis does not answer does not end its
term, that its trust ends does. Who lost a term steps down, and stands again in the same process.

A lost lease, with a lease of 15 s:

    A  0 s    renews term 7; trusts it until 13.5 s
    A  4 s    is stopped (SIGSTOP), say between looking at its term and sending ticks
    B 15 s    the lease is over by Redis' clock: B wins term 8, reads the ledger, and makes up
              for the ticks since A's last one
    A 40 s    goes on, and sends the ticks it was about to send. Each is refused: the queue has
              seen term 8; and where B had nothing to enqueue yet, the ledger takes each tick once
    A 40 s    its clock says that its trust ended at 13.5 s: it steps down, and follows B

``is_leader`` may thus be wrong for as long as it takes to read it and act; that no tick is
enqueued twice never depends on it.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from asynq_py.broker.control import RESIGNED, announce
from asynq_py.broker.election import Ballot, campaign, resign
from asynq_py.errors import AsynqError
from asynq_py.scheduler.config import LeaderElection, Leadership

if TYPE_CHECKING:
    from asynq_py.connection.sync import Connection

#: The part of a lease that is not trusted: clocks do not run at quite the same pace.
MARGIN = 0.1
#: The longest wait between attempts while Redis is away, seconds.
LONGEST_PAUSE_S = 5.0
#: How long a follower waits at most before it looks again, seconds.
LONGEST_WAIT_S = 60.0
#: Of what difference between Redis' clock and ours the log tells, seconds.
SKEW_S = 2.0


class Elector:
    """Stands for election until stopped. One thread of a scheduler.

    Args:
        connection: Where the election is held.
        election: Its group, lease and pace.
        candidate: Who stands; unique.
        on_change: Told every change; must not block.
        log: Where changes are logged.
        monotonic: A clock that never goes back, seconds.
    """

    def __init__(
        self,
        connection: Connection,
        election: LeaderElection,
        candidate: str,
        on_change: Callable[[Leadership], None],
        log: logging.Logger,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connection = connection
        self._group = election.group
        self._lease_s = election.lease_s
        self._renew_every_s = election.renew_every_s
        self._candidate = candidate
        self._on_change = on_change
        self._log = log
        self._monotonic = monotonic
        self._term = 0
        self._trusted_until = 0.0
        self._failures = 0
        #: The highest term that a later one must exceed.
        self._floor = 0
        #: Set once Redis was asked, whatever it answered.
        self.has_asked = threading.Event()
        self._is_stopping = False
        self._wake = threading.Event()

    @property
    def term(self) -> int | None:
        """The term we lead in; None while we do not. Costs no more than a look at the clock."""
        term = self._term
        return term if term and self._monotonic() < self._trusted_until else None

    def run(self) -> None:
        """Stands, renews and stands again until stopped."""
        while not self._is_stopping:
            try:
                pause_s = self.step()
            except Exception:
                # A fault of ours must not end all terms to come.
                self._log.exception("the elector met a fault of asynq_py; it goes on")
                pause_s = self._renew_every_s
            self.has_asked.set()
            self._wake.wait(pause_s)
            # Then only, since ``stop`` is looked for after it.
            self._wake.clear()

    def stop(self) -> None:
        """Asks ``run`` to return; the leadership is kept until ``resign``."""
        self._is_stopping = True
        self._wake.set()

    def wake(self) -> None:
        """Has ``run`` ask at once: something happened to the leader."""
        if not self._term:
            self._wake.set()

    def step_down(self, reason: str, seen: int) -> None:
        """Ends our term: a later one has been seen."""
        self._floor = max(self._floor, seen)
        self._lose(reason)
        self._wake.set()

    def step(self) -> float:
        """Asks Redis once; returns after how many seconds to ask again."""
        asked_at = self._monotonic()
        held = self._term if self.term is not None else 0
        if self._term and not held:
            self._lose("the lease was not renewed in time")
        try:
            ballot = self._connection.run(
                campaign(self._group, self._candidate, self._lease_s, held, floor=self._floor)
            )
        except AsynqError as error:
            return self._failed(error)
        self._failures = 0
        if held and self._term != held:
            return 0.0  # it stepped down meanwhile
        if ballot.term:
            self._trusted_until = asked_at + self._lease_s * (1 - MARGIN)
            if ballot.term != self._term:
                self._win(ballot)
            return self._renew_every_s
        if held:
            self._lose("another scheduler has taken it, or Redis lost it")
            return 0.0
        # A little later, by chance: not all followers at the same moment.
        left_s = min(max(ballot.left_s, 0.001), LONGEST_WAIT_S)
        return left_s + random.uniform(0, 0.05 * self._renew_every_s)

    def resign(self) -> None:
        """Gives the leadership back, so that another has it at once."""
        term, self._term = self._term, 0
        if not term:
            return
        try:
            self._connection.run(resign(self._group, self._candidate, term))
            self._connection.run(announce(RESIGNED, "", self._group))
        except AsynqError as error:
            self._log.warning("leadership of %r ends with its lease: %s", self._group, error)
        self._tell("resigned", term, "stopped")

    def _win(self, ballot: Ballot) -> None:
        self._term = ballot.term
        skew = ballot.now_s - time.time()
        if abs(skew) > SKEW_S:
            self._log.warning("Redis' clock is %+.1f s from ours", skew)
        self._tell("elected", ballot.term, "")

    def _lose(self, reason: str) -> None:
        term, self._term = self._term, 0
        if term:
            self._tell("lost", term, reason)

    def _failed(self, error: AsynqError) -> float:
        self._failures += 1
        if self._failures == 1:
            self._log.warning("leadership of %r is not decided: %s", self._group, error)
        pause = min(LONGEST_PAUSE_S, self._renew_every_s, 0.1 * 2.0 ** min(self._failures, 10))
        if self._term and self.term is None:
            self._lose("the lease was not renewed in time")
        # Full jitter, but no hot loop.
        return random.uniform(0.01, max(0.02, pause))

    def _tell(self, event: str, term: int, reason: str) -> None:
        level = logging.WARNING if event == "lost" else logging.INFO
        self._log.log(
            level,
            "leadership of %r: %s, term %d%s",
            self._group,
            event,
            term,
            f" ({reason})" if reason else "",
        )
        self._on_change(Leadership(self._group, event, term, reason))
