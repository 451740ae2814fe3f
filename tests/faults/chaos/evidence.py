"""The history and the tables, joined once for all checks."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

from tests.faults.chaos.capacity import capacity_changes
from tests.faults.chaos.clock import DatabaseClock, fit_clock
from tests.faults.chaos.history import Call, History
from tests.faults.chaos.lives import Interval, Key, Life, calls_by_key, collect_lives
from tests.faults.chaos.records import (
    BOOKINGS,
    EventRow,
    Operation,
    Outcome,
    SlotRow,
    Tables,
)
from tests.faults.chaos.steps import Change, Steps


@dataclass(frozen=True)
class Evidence:
    """What the checks judge."""

    history: History
    tables: Tables

    @cached_property
    def clock(self) -> DatabaseClock:
        return fit_clock(call for call in self.history.calls if call.operation in BOOKINGS)

    @cached_property
    def asked(self) -> dict[Key, list[Call]]:
        """The requests for seats of each user's key."""
        return calls_by_key(self.history)

    @cached_property
    def lives(self) -> dict[str, Life]:
        """What is known of each booking, by its id."""
        return collect_lives(self.history, self.tables, self.asked, self.clock)

    @cached_property
    def slot_rows(self) -> dict[str, SlotRow]:
        return {row.id: row for row in self.tables.slots}

    @cached_property
    def events_of_bookings(self) -> dict[str, list[EventRow]]:
        """The events of each booking, in the order of their ids."""
        found: dict[str, list[EventRow]] = defaultdict(list)
        for event in sorted(self.tables.events, key=lambda event: event.id):
            found[event.booking_id].append(event)
        return dict(found)

    @cached_property
    def creations(self) -> dict[str, Call]:
        """The acknowledged creation of each slot, by the slot's id."""
        return {
            call.answer.slot.id: call
            for call in self.history.by_operation[Operation.CREATE_SLOT]
            if call.answer and call.answer.slot
        }

    @cached_property
    def changes(self) -> dict[str, list[Call]]:
        """The changes of each slot that may have taken effect, in the order of sending."""
        found: dict[str, list[Call]] = defaultdict(list)
        for call in self.history.by_operation[Operation.CHANGE_SLOT]:
            if call.may_have_effect:
                found[str(call.request.slot_id)].append(call)
        return dict(found)

    @cached_property
    def slot_answers(self) -> dict[str, list[Call]]:
        """The answers that showed each slot, in the order of sending."""
        found: dict[str, list[Call]] = defaultdict(list)
        for call in self.history.calls:
            if call.answer and call.answer.slot and call.outcome == Outcome.ACKNOWLEDGED:
                found[call.answer.slot.id].append(call)
        return dict(found)

    @cached_property
    def most_free(self) -> dict[str, Steps]:
        """The most seats that can have been free at each moment, by the slot's id."""
        return self._free_seats(max, _certainly_taken, sign=1)

    @cached_property
    def most_shown_free(self) -> dict[str, Steps]:
        """The most seats that can have been shown as free at each moment, by the slot's id."""
        return self._free_seats(max, _certainly_shown_taken, sign=1)

    @cached_property
    def least_free_negated(self) -> dict[str, Steps]:
        """The fewest seats that can have been free at each moment, times -1, by the slot's id."""
        return self._free_seats(min, _possibly_taken, sign=-1)

    def _free_seats(
        self,
        pick: Callable[..., int],
        taken: Callable[[Life], Iterable[Interval]],
        *,
        sign: int,
    ) -> dict[str, Steps]:
        changes: dict[str, list[Change]] = {
            slot_id: [
                (moment, sign * change)
                for moment, change in capacity_changes(self._capacity_writes(slot_id), pick)
            ]
            for slot_id in self.creations
        }
        for life in self.lives.values():
            if life.slot_id not in changes:
                continue
            for start, end in taken(life):
                if start < end:
                    changes[life.slot_id].append((start, -sign * life.num_seats))
                if start < end < math.inf:
                    changes[life.slot_id].append((end, sign * life.num_seats))
        return {slot_id: Steps(of_slot) for slot_id, of_slot in changes.items()}

    def _capacity_writes(self, slot_id: str) -> list[Call]:
        later = [
            call
            for call in self.changes.get(slot_id, [])
            if call.request.total_capacity is not None
        ]
        return [self.creations[slot_id], *later]


def _certainly_taken(life: Life) -> Iterable[Interval]:
    return (life.certainly_taken,)


def _possibly_taken(life: Life) -> Iterable[Interval]:
    return (life.possibly_taken,)


def _certainly_shown_taken(life: Life) -> Iterable[Interval]:
    (start, end), (lapsed, settled) = life.certainly_taken, life.maybe_shown_lapsed
    return ((start, lapsed), (settled, end)) if lapsed < settled else ((start, end),)
