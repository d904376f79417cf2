"""Standing for election, renewing a term, giving it back. Redis' clock decides, and issues the
terms: numbers that only grow."""

from __future__ import annotations

from typing import NamedTuple

from asynq_py.broker.op import Arg, Op
from asynq_py.broker.scripts import CAMPAIGN, RESIGN, evaluate
from asynq_py.errors import BrokerError
from asynq_py.wire.keys import leader_key


class Ballot(NamedTuple):
    """How it went."""

    #: Our term; 0 if another leads.
    term: int
    #: For how long it is ours, or the other's (0: it is nobody's).
    left_s: float
    #: Redis' clock, Unix seconds.
    now_s: float


def campaign(
    group: str, candidate: str, lease_s: float, term: int = 0, *, floor: int = 0
) -> Op[Ballot]:
    """Takes the leadership if nobody has it; with a term, renews that one.

    Args:
        group: Whose leadership.
        candidate: Who asks.
        lease_s: For how long, seconds.
        term: The one to renew.
        floor: The highest term that is known to have been.

    Raises:
        BrokerError: Redis failed; whether it is ours is not known.
    """
    args: list[Arg] = [candidate, round(lease_s * 1000), str(term) if term else "", str(floor)]
    reply = yield from evaluate(CAMPAIGN, [leader_key(group)], args)
    match reply:
        case [int(ours), int(left_ms), int(now_ms)]:
            return Ballot(ours, left_ms / 1000, now_ms / 1000)
    raise BrokerError(f"campaign.lua answered {reply!r}")


def resign(group: str, candidate: str, term: int) -> Op[bool]:
    """Gives a leadership back; returns whether it was still ours."""
    return (yield from evaluate(RESIGN, [leader_key(group)], [candidate, str(term)])) == 1
