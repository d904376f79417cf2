"""Finding what is damaged in a Redis that Asynq uses, saying why, and mending it."""

from asynq_py.doctor.doctor import Doctor
from asynq_py.doctor.finding import Finding, Severity

__all__ = ["Doctor", "Finding", "Severity"]
