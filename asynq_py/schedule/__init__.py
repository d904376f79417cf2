"""Schedules: what a cron spec means and when it is due next.

`parse_schedule` reads robfig/cron's standard syntax, as asynq's scheduler does,
and answers with its times, oddities around clock changes included. Another
syntax (``dialect="extended"``) and a tamer rule (``dst="once"``) can be chosen.
"""

from asynq_py.schedule.parse import parse_schedule
from asynq_py.schedule.schedule import Schedule

__all__ = ["Schedule", "parse_schedule"]
