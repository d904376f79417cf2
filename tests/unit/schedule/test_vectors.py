"""What Go answered, once and for all: errors and times recorded from robfig/cron v3.0.1."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from asynq_py.errors import ScheduleSyntaxError
from asynq_py.schedule import parse_schedule

VECTORS = json.loads((Path(__file__).parent / "cron_vectors.json").read_text())


def name(vector: dict[str, Any]) -> str:
    return f"{vector['spec']!r}-{vector['zone']}-{vector['from']}"


@pytest.mark.parametrize("vector", [v for v in VECTORS if "err" in v], ids=name)
def test_a_wrong_spec_is_refused_in_the_words_of_go(vector: dict[str, Any]) -> None:
    with pytest.raises(ScheduleSyntaxError) as caught:
        parse_schedule(vector["spec"], vector["zone"])
    assert str(caught.value).startswith(vector["err"] + " (")
    assert caught.value.spec == vector["spec"]


@pytest.mark.parametrize("vector", [v for v in VECTORS if "err" not in v], ids=name)
def test_the_times_are_those_of_go(vector: dict[str, Any]) -> None:
    schedule = parse_schedule(vector["spec"], vector["zone"])
    at: datetime | None = datetime.fromisoformat(vector["from"])
    for expected in vector["next"]:
        assert at is not None
        at = schedule.next(at)
        if expected == "zero":
            assert at is None
        else:
            assert at is not None
            assert at.timestamp() == datetime.fromisoformat(expected).timestamp()


def test_no_vector_was_lost() -> None:
    assert len(VECTORS) == 102
