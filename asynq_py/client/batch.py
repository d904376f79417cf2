"""Many tasks at once: who goes, who was refused at the door, what became of each. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from asynq_py.broker.enqueue import Draft, Outcome
from asynq_py.client.prepare import new_task_ids, prepare, task_info
from asynq_py.errors import ConfigError
from asynq_py.info import EnqueueResult
from asynq_py.options import Normalized
from asynq_py.task import Task


class Batch:
    """Tasks prepared together; one that can never work is not among ``drafts``."""

    def __init__(
        self,
        tasks: Iterable[Task],
        options: Normalized,
        *,
        now_ns: int,
        max_payload_size: int | None,
    ) -> None:
        self._tasks = list(tasks)
        self._options = options
        self._now_ns = now_ns
        self._max_payload_size = max_payload_size
        self._refused: dict[int, ConfigError] = {}
        self._drafts: list[Draft] = []

    def drafts(self) -> Iterator[Draft]:
        """Prepares the tasks one by one; one that can never work is left out."""
        ids = new_task_ids(len(self._tasks))
        for index, (task, task_id) in enumerate(zip(self._tasks, ids, strict=True)):
            try:
                draft = prepare(
                    task,
                    self._options,
                    now_ns=self._now_ns,
                    max_payload_size=self._max_payload_size,
                    task_id=task_id,
                )
            except ConfigError as error:
                self._refused[index] = error
            else:
                self._drafts.append(draft)
                yield draft

    def results(self, outcomes: Sequence[Outcome]) -> list[EnqueueResult]:
        """What became of each task, in the order given; ``outcomes`` are those of drafts."""
        now_ns = self._now_ns
        results = [
            EnqueueResult(task_info(draft, now_ns) if outcome is None else None, outcome)
            for draft, outcome in zip(self._drafts, outcomes, strict=True)
        ]
        for index, error in self._refused.items():
            results.insert(index, EnqueueResult(error=error))
        return results
