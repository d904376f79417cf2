"""What the suite is made of, and what comes out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Any, TypeAlias

from ..model import Program

#: The values of one measurement by the keys of figures.
Values: TypeAlias = Mapping[str, float]


@dataclass(frozen=True)
class Contender:
    """One who is measured. `command` is what its program is told, beside what all are."""

    key: str
    name: str
    program: Program
    command: Mapping[str, bool] = field(default_factory=dict)


@dataclass(frozen=True)
class Figure:
    """A line of a table.

    Args:
        key: For aims and JSON.
        name: For people, with the unit.
        digits: How many are shown after the point.
        compared: Whether its ratio to Go's says anything.
        spread: Whether its least and its most are shown, where contenders are rows.
    """

    key: str
    name: str
    digits: int = 0
    compared: bool = True
    spread: bool = False


@dataclass(frozen=True)
class Part:
    """A table: one kind of measurement of so many entries, in `rounds` turns of each contender.

    `measure` is given the suite's own Stage.
    """

    kind: str
    entries: int
    title: str
    figures: tuple[Figure, ...]
    rounds: int
    measure: Callable[[Any], Values]

    @property
    def key(self) -> str:
        """For aims and JSON."""
        return f"{self.kind} {self.entries}"


@dataclass(frozen=True)
class Aim:
    """What the project wants: a figure of one contender, or its ratio to others'.

    Args:
        text: For people.
        part: Where it is measured.
        figure: What.
        contender: Whose.
        bound: What it must not exceed, or must reach.
        against: The parts and the contenders with whose best figure it is compared.
        reach: Whether more is better.
    """

    text: str
    part: str
    figure: str
    contender: str
    bound: float
    against: tuple[tuple[str, str], ...] = ()
    reach: bool = False

    @property
    def bound_text(self) -> str:
        """The bound for people."""
        return f"at {'least' if self.reach else 'most'} {self.bound:g}"

    def is_met(self, value: float) -> bool:
        """Whether this is good enough."""
        return value >= self.bound if self.reach else value <= self.bound


@dataclass
class Measured:
    """All rounds of one contender in one part; without any, `reason` says why."""

    part: Part
    contender: Contender
    rounds: list[Values] = field(default_factory=list)
    reason: str = ""

    def median(self, figure: str) -> float:
        """The median of a figure over the rounds."""
        return median(values[figure] for values in self.rounds)

    def range(self, figure: str) -> tuple[float, float]:
        """The least and the most of a figure."""
        found = [values[figure] for values in self.rounds]
        return min(found), max(found)


@dataclass(frozen=True)
class Outcome:
    """What a run gave. `versions` has the names of programs and then of their parts."""

    machine: Mapping[str, str]
    versions: Mapping[str, Mapping[str, str]]
    measured: tuple[Measured, ...]
    aims: tuple[Aim, ...]

    def value(self, part: str, contender: str, figure: str) -> float | None:
        """A median; None if it was not measured."""
        for one in self.measured:
            if (one.part.key, one.contender.key) == (part, contender) and one.rounds:
                return one.median(figure)
        return None

    def ratio(self, part: str, contender: str, figure: str, against: str) -> float | None:
        """A median in terms of another contender's; None if there is no such thing."""
        return self._in_terms(self.value(part, contender, figure), figure, ((part, against),))

    def reached(self, aim: Aim) -> float | None:
        """What an aim is about; None if it was not measured."""
        value = self.value(aim.part, aim.contender, aim.figure)
        return self._in_terms(value, aim.figure, aim.against, aim.reach) if aim.against else value

    def _in_terms(
        self,
        value: float | None,
        figure: str,
        against: tuple[tuple[str, str], ...],
        most: bool = False,
    ) -> float | None:
        bases = [base for part, key in against if (base := self.value(part, key, figure))]
        if value is None or not bases:
            return None
        return value / (max(bases) if most else min(bases))
