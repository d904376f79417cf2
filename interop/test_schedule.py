"""Cron specs against robfig/cron itself: the same errors, the same times.

Go brings its own copy of the tz database, Python takes the system's. The copies
agree on clock changes of the past two decades' rules up to the first of the two
to be revised, so the zones and years below are those that have not been touched
by a release for a while; the queries are drawn with a fixed seed.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import pytest

from asynq_py.errors import ScheduleSyntaxError
from asynq_py.schedule import Schedule, parse_schedule
from asynq_py.schedule.robfig import Endless, search
from asynq_py.schedule.zone import load_zone

ZONES = []
