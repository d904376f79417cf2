"""What RQ's worker calls."""

from . import work


def welcome(user_id: int, email: str, template: str) -> None:
    """The task."""
    work.note(user_id)
