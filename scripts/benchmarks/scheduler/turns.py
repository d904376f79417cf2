"""Everybody's turn, round after round."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..model import Unavailable
from ..progress import Progress
from .model import Measured, Values


def take_turns(
    measured: Sequence[Measured], measure: Callable[[Measured], Values], progress: Progress
) -> None:
    """Measures all contenders of one part in as many rounds as it has."""
    part = measured[0].part
    for number in range(1, part.rounds + 1):
        progress.say(f"{part.title}: round {number} of {part.rounds}")
        # There and back again: whatever grows with time strikes all alike.
        for one in measured if number % 2 else reversed(measured):
            if one.reason:
                continue
            progress.now(f"{part.title}: {one.contender.name}")
            try:
                one.rounds.append(measure(one))
            except Unavailable as reason:
                drop_out([one], reason, progress)


def drop_out(measured: Sequence[Measured], reason: Unavailable, progress: Progress) -> None:
    """They are not measured, for this reason."""
    for one in measured:
        one.reason = str(reason)
        one.rounds.clear()
        progress.say(f"{one.contender.name}: not measured: {reason}")
