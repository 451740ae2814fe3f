"""A slot's events added up by version, and what its answers say of its capacity at each."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate

from tests.faults.chaos.evidence import Evidence
from tests.faults.chaos.records import EventRow

TAKING = frozenset({"HELD", "BOOKED"})


@dataclass(frozen=True)
class Ledger:
    """Seats by version. ``versions`` are those at which seats moved, in order."""

    versions: list[int]
    # Seats taken once a version was there; one more in front, for before the first.
    taken: list[int]
    # Of these, seats of holds that were still pending, by all that is known, at their expiry.
    lapsing: list[int]

    def taken_at(self, version: int) -> int:
        return self.taken[bisect_right(self.versions, version)]

    def lapsing_at(self, version: int) -> int:
        return self.lapsing[bisect_right(self.versions, version)]


def ledgers(evidence: Evidence) -> Iterator[tuple[str, Ledger]]:
    """Return the ledger of each slot that has a row or events."""
    moves: dict[str, list[EventRow]] = {row.id: [] for row in evidence.tables.slots}
    for event in evidence.tables.events:
        if event.slot_version is not None:
            moves.setdefault(event.slot_id, []).append(event)
    lapsing = {
        life.id
        for life in evidence.lives.values()
        if life.is_hold and life.moved_on_by > life.expiry[0]
    }
    for slot_id, events in moves.items():
        yield slot_id, _add_up(events, lapsing)


def _add_up(events: Iterable[EventRow], lapsing: set[str]) -> Ledger:
    seats: dict[int, int] = defaultdict(int)
    seats_lapsing: dict[int, int] = defaultdict(int)
    for event in events:
        version = event.slot_version or 0
        moved = event.seats if event.type in TAKING else -event.seats
        seats[version] += moved
        seats_lapsing[version] += moved if event.booking_id in lapsing else 0
    versions = sorted(seats)
    return Ledger(
        versions,
        list(accumulate((seats[version] for version in versions), initial=0)),
        list(accumulate((seats_lapsing[version] for version in versions), initial=0)),
    )
