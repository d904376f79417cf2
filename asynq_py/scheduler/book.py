"""The entries and where each of them stands: the one state that all threads share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from itertools import count
from typing import NamedTuple

from asynq_py.broker.ledger import Noted
from asynq_py.errors import ConfigError, NotFoundError
from asynq_py.schedule import parse_schedule
from asynq_py.scheduler.config import SchedulerConfig
from asynq_py.scheduler.entry import Record, RunOutcome, Slot
from asynq_py.scheduler.periodic import PeriodicTask
from asynq_py.scheduler.policy import Overlap
from asynq_py.scheduler.rwlock import ReadWriteLock
from asynq_py.scheduler.timetable import Due, Missed, Timetable

#: How many entries are published under one scheduler ID.
SHARD_ENTRIES = 500


class Changes(NamedTuple):
    """What a new set of periodic tasks changed."""

    added: int
    removed: int
    changed: int
    unchanged: int


class Book:
    """Entries by ID, and their timetable. Who calls holds ``lock``, in the way that is named."""

    def __init__(self, config: SchedulerConfig) -> None:
        self.lock = ReadWriteLock()
        self._config = config
        self._slots: dict[str, Slot] = {}
        #: Of the entries of ``apply``: ID and fingerprint, by key.
        self._applied: dict[str, tuple[str, str]] = {}
        self._timetable = Timetable()
        #: Those that wait for what the ledger has of them.
        self._unread: dict[str, Slot] = {}
        self._paused: frozenset[str] = frozenset()
        #: Parts of the published entries that are not published as they stand.
        self.dirty_shards: set[int] = set()
        #: The entries by part; a new list with every change of the set.
        self.shards: list[list[Slot]] = [[]]

    def __len__(self) -> int:
        return len(self._slots)

    def slots(self) -> Iterator[Slot]:
        """All of them, in the order of their registration. Reads."""
        return iter(self._slots.values())

    def find(self, entry_id: str) -> Slot | None:
        """One of them, if there is one. Reads."""
        return self._slots.get(entry_id)

    def slot(self, entry_id: str) -> Slot:
        """One of them. Reads.

        Raises:
            NotFoundError: There is none of that ID.
        """
        slot = self._slots.get(entry_id)
        if slot is None:
            raise NotFoundError(f"there is no entry {entry_id!r}")
        return slot

    def add(self, slot: Slot) -> None:
        """Adds one; it does not tick before ``begin``. Writes.

        Without a ledger, entries may be the same in all, as in Go; their IDs are numbered.

        Raises:
            ConfigError: The ID is taken.
        """
        if slot.id in self._slots:
            if slot.definition.name is not None or slot.field is not None:
                raise ConfigError(_taken(slot))
            number = next(n for n in count(2) if f"{slot.id}-{n}" not in self._slots)
            slot.id = f"{slot.id}-{number}"
        self._slots[slot.id] = slot

    def remove(self, entry_id: str) -> None:
        """Removes one. Writes.

        Raises:
            NotFoundError: There is none of that ID.
        """
        self.slot(entry_id).is_gone = True
        del self._slots[entry_id]

    def begin(self, now_s: int) -> None:
        """Has all of them tick from now on; those with a ledger once it is read. Writes."""
        for slot in self._slots.values():
            slot.advance(now_s)
            slot.active_since_s = now_s
        self.unread_all()
        self._rearrange()

    def replace(self, slots: Sequence[tuple[Slot, str]], now_s: int, *, running: bool) -> Changes:
        """Replaces the whole set; entries that did not change go on as they are. Writes.

        Args:
            slots: The new ones, with their fingerprints.
            now_s: Unix seconds.
            running: Whether they are to tick at once.
        """
        before = self._applied
        kept = 0
        changed = 0
        self._applied = {}
        old = self._slots
        self._slots = {}
        for slot, fingerprint in slots:
            key = slot.definition.name or fingerprint
            known = before.get(key)
            now = slot
            if known is not None and known[0] in old:
                previous = old[known[0]]
                if known[1] == fingerprint:
                    now = previous
                    kept += 1
                else:
                    _take_over(slot, previous)
                    changed += 1
            self._applied[key] = (now.id, fingerprint)
            self._slots[now.id] = now
            if now is slot and running:
                slot.advance(now_s)
                slot.active_since_s = now_s
                slot.paused = self._is_paused(slot)
                if slot.field is not None:
                    self._unread[slot.id] = slot
        for entry_id, slot in old.items():
            if self._slots.get(entry_id) is not slot:
                slot.is_gone = True
                self._unread.pop(entry_id, None) if self._unread.get(entry_id) is slot else None
        if running:
            self._rearrange()
        added = len(self._slots) - kept - changed
        return Changes(added, len(old) - kept - changed, changed, kept)

    def unread_all(self) -> None:
        """Has all entries with a ledger wait until it is read again. Writes."""
        self._unread = {s.id: s for s in self._slots.values() if s.field is not None}
        self.refill()

    def unread(self, most: int) -> list[Slot]:
        """Some of those that wait for the ledger. Reads."""
        return [slot for slot, _ in zip(self._unread.values(), range(most), strict=False)]

    def read(self, slots: Sequence[Slot], noted: Sequence[Noted], now_s: int) -> None:
        """Notes what the ledger has; they tick once ``refill`` is called. Writes."""
        for slot, known in zip(slots, noted, strict=True):
            if self._unread.get(slot.id) is not slot:
                continue
            del self._unread[slot.id]
            slot.active_since_s = now_s
            slot.resume_after(known.tick)
            if slot.definition.max_runs is not None and known.runs >= slot.definition.max_runs:
                slot.next_s = None
            if known.runs and (slot.previous_s is None or slot.previous_s < known.tick):
                slot.previous_s = known.tick
            self.dirty_shards.add(slot.shard)

    def refill(self) -> None:
        """Makes the timetable anew. Writes."""
        self._timetable.fill(s for s in self._slots.values() if s.id not in self._unread)

    @property
    def next_ms(self) -> int | None:
        """When the next tick is due, Unix milliseconds; None for never. Reads."""
        return self._timetable.next_ms

    def take_due(self, now_ns: int, most: int) -> tuple[list[Due], list[Missed]]:
        """The ticks due by now of at most so many entries, and those left out. Writes."""
        due, missed = self._timetable.take_due(now_ns // 1_000_000, most)
        self.dirty_shards.update(tick.slot.shard for tick in due)
        for each in missed:
            each.slot.missed += each.count
            self.dirty_shards.add(each.slot.shard)
            for tick_s in each.ticks:
                each.slot.note(Record(tick_s, now_ns, RunOutcome.MISSED, "", None))
        return due, missed

    def exhaust(self, slots: Sequence[Slot]) -> None:
        """Has entries never tick again. Writes."""
        for slot in slots:
            slot.next_s = None
            self.dirty_shards.add(slot.shard)
        self.refill()

    def pause(self, names: frozenset[str]) -> None:
        """Has the entries of these names (an ID, or group/ID) paused, and no others. Writes."""
        self._paused = names
        for slot in self._slots.values():
            slot.paused = bool(names) and self._is_paused(slot)

    def _is_paused(self, slot: Slot) -> bool:
        election = self._config.leader_election
        group = f"{election.group}/" if election else "/"
        return slot.id in self._paused or group + slot.id in self._paused

    def _rearrange(self) -> None:
        slots = list(self._slots.values())
        # A scheduler without entries is shown, too.
        starts = range(0, len(slots) or 1, SHARD_ENTRIES)
        self.shards = [slots[start : start + SHARD_ENTRIES] for start in starts]
        for number, shard in enumerate(self.shards):
            for slot in shard:
                slot.shard = number
                slot.paused = bool(self._paused) and self._is_paused(slot)
        self.dirty_shards = set(range(len(self.shards)))
        self.refill()


def make_slot(definition: PeriodicTask, config: SchedulerConfig) -> Slot:
    """An entry at work; its ID is the same whenever and wherever it is made.

    Args:
        definition: What it is to do.
        config: The scheduler's.

    Raises:
        ScheduleSyntaxError: The spec cannot be read.
        ConfigError: The location is unknown.
    """
    location = config.location if definition.location is None else definition.location
    schedule = parse_schedule(definition.spec, location, dialect=definition.dialect, dst=config.dst)
    misfire = definition.misfire or config.default_misfire
    election = config.leader_election
    has_ledger = (
        election is not None
        or misfire.policy != "skip"
        or misfire.grace is not None
        or definition.overlap is Overlap.SKIP
        or definition.max_runs is not None
    )
    entry_id = definition.name
    if entry_id is None:
        defining = f"{definition.fingerprint()} {schedule.location} {config.dst}"
        entry_id = sha256(defining.encode()).hexdigest()[:32]
    field = f"{election.group if election else ''}:{entry_id}" if has_ledger else None
    zoned = definition.location is None or definition.spec.startswith(("TZ=", "CRON_TZ="))
    return Slot(definition, schedule, entry_id, misfire, field, zoned=zoned)


def make_slots(
    definitions: Iterable[PeriodicTask], config: SchedulerConfig
) -> list[tuple[Slot, str]]:
    """Entries with their fingerprints.

    Raises:
        ConfigError: Names every fault.
    """
    made: list[tuple[Slot, str]] = []
    faults: list[str] = []
    taken: set[str] = set()
    for number, definition in enumerate(definitions, 1):
        where = f"task {number}"
        if not isinstance(definition, PeriodicTask):
            faults.append(f"{where}: must be a PeriodicTask, not {type(definition).__name__}")
            continue
        if definition.name is not None:
            where += f" ({definition.name!r})"
        try:
            slot = make_slot(definition, config)
        except ConfigError as error:
            faults.append(f"{where}: {error}")
            continue
        if slot.id in taken:
            faults.append(f"{where}: {_taken(slot)}")
            continue
        taken.add(slot.id)
        made.append((slot, definition.fingerprint()))
    if faults:
        raise ConfigError("\n".join(faults))
    return made


def _take_over(slot: Slot, previous: Slot) -> None:
    """A changed entry keeps its history."""
    slot.runs = previous.runs
    slot.failures = previous.failures
    slot.missed = previous.missed
    slot.previous_s = previous.previous_s
    slot.trimmed_ns, slot.untrimmed = previous.trimmed_ns, previous.untrimmed


def _taken(slot: Slot) -> str:
    if slot.definition.name is not None:
        return f"there is an entry named {slot.definition.name!r} already"
    return "there is an entry that is the same in all; give one of them a name"
