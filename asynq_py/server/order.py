"""Which queue gives how many tasks of those that a server has room for."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from math import gcd


class Order:
    """Shares free slots out among queues.

    Args:
        priorities: Of each queue, 1 or more.
        strict: Whether a queue gives nothing before those of a higher priority are empty;
            otherwise each gives in proportion, by chance, as if each task were asked for alone.
    """

    def __init__(self, priorities: Mapping[str, int], *, strict: bool) -> None:
        least = gcd(*priorities.values())
        self.weights = {name: priority // least for name, priority in priorities.items()}
        self.queues = sorted(self.weights, key=lambda name: -self.weights[name])
        self._strict = strict

    def share(self, queues: Sequence[str], slots: int) -> Mapping[str, int]:
        """How many of each of these queues; those that give none are left out."""
        if len(queues) == 1 or self._strict:
            return {queues[0]: slots}
        weights = [self.weights[name] for name in queues]
        return Counter(random.choices(queues, weights, k=slots))
