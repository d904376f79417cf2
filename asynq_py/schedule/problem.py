"""An error found inside a part of a spec, before its place in the whole is known."""

from __future__ import annotations

from asynq_py.errors import ScheduleSyntaxError


class Problem(Exception):
    """Something wrong at an index of the text at hand.

    Attributes:
        text: What robfig/cron says of it, word for word.
        position: Index in the text at hand of the first wrong character.
        field: What part is wrong, or "".
    """

    def __init__(self, text: str, position: int = 0, field: str = "") -> None:
        super().__init__(text)
        self.text = text
        self.position = position
        self.field = field

    def error(self, spec: str, offset: int = 0) -> ScheduleSyntaxError:
        """Returns the user's error; ``offset`` is where in ``spec`` the text at hand starts."""
        position = offset + self.position
        where = f"{self.field}, position {position}" if self.field else f"position {position}"
        return ScheduleSyntaxError(
            f"{self.text} ({where})", spec=spec, field=self.field, position=position
        )
