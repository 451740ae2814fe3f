"""What is known of each booking: who asked for it, who saw it when, and its row."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

from tests.faults.chaos.clock import DatabaseClock
from tests.faults.chaos.history import Call, History
from tests.faults.chaos.records import (
    BOOKINGS,
    BookingRow,
    Operation,
    Outcome,
    ShownBooking,
    Tables,
)

LIVE = frozenset({"PENDING", "CONFIRMED"})
FINAL = frozenset({"FAILED", "CANCELLED"})

# What a refusal says of the booking that it is about.
STATUS_OF_REFUSAL = {"BOOKING_EXPIRED": "FAILED", "BOOKING_CANCELLED": "CANCELLED"}

Key = tuple[str, str]
Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Sighting:
    """An answer that told a booking's status, with the whole booking or by a refusal's code."""

    call: Call
    status: str
    booking: ShownBooking | None


@dataclass
class Life:
    """One booking. ``asked`` are the calls of its key, ``calls`` those that name its id."""

    id: str
    clock: DatabaseClock
    row: BookingRow | None = None
    key: Key | None = None
    asked: list[Call] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    sightings: list[Sighting] = field(default_factory=list)

    @cached_property
    def shown(self) -> BookingRow | ShownBooking | None:
        """What it is: by its row, or else as it was first seen."""
        if self.row:
            return self.row
        return next((seen.booking for seen in self.sightings if seen.booking), None)

    @cached_property
    def slot_id(self) -> str | None:
        return self.shown.slot_id if self.shown else None

    @cached_property
    def num_seats(self) -> int:
        return self.shown.num_seats if self.shown else 0

    @cached_property
    def is_hold(self) -> bool:
        """Whether it was a hold once, whatever became of it."""
        return bool(self.shown and self.shown.expires_at)

    @cached_property
    def statuses(self) -> frozenset[str]:
        """Every status that it was seen in, its row's included."""
        seen = {sighting.status for sighting in self.sightings}
        return frozenset(seen | {self.row.status} if self.row else seen)

    @cached_property
    def expiry(self) -> Interval:
        """Between which moments its expiry lies; never (infinity) for what was no hold."""
        expires_at = self.shown.expires_at if self.shown else None
        if expires_at is None:
            return math.inf, math.inf
        return self.clock.earliest(expires_at), self.clock.latest(expires_at)

    @cached_property
    def asked_from(self) -> float:
        """When it was first asked for by a request that may have made it."""
        return min((call.sent for call in self.asked if call.may_have_effect), default=-math.inf)

    @cached_property
    def known_from(self) -> float:
        """When it was there for certain."""
        return min((seen.call.answered for seen in self.sightings), default=math.inf)

    @cached_property
    def final_by(self) -> float:
        """When it was seen to stand no more."""
        return self._seen_by(FINAL)

    @cached_property
    def cancelled_by(self) -> float:
        """When it was seen CANCELLED."""
        return self._seen_by({"CANCELLED"})

    def _seen_by(self, statuses: Iterable[str]) -> float:
        return min(
            (seen.call.answered for seen in self.sightings if seen.status in statuses),
            default=math.inf,
        )

    def asked_to(self, operation: Operation) -> float:
        """Return when somebody first sent a request that may have done it; never: infinity."""
        return min(
            (
                call.sent
                for call in self.calls
                if call.operation == operation and call.may_have_effect
            ),
            default=math.inf,
        )

    @cached_property
    def certainly_taken(self) -> Interval:
        """Between which moments it held its seats, whatever happened to what is not known.

        From when it was first seen to the sending of a cancel, or to the earliest moment of its
        expiry unless it was confirmed at any time. What stands in the end was never cancelled.
        """
        end = math.inf
        if not (self.row and self.row.status in LIVE):
            end = self.asked_to(Operation.CANCEL)
        if "CONFIRMED" not in self.statuses:
            end = min(end, self.expiry[0])
        return self.known_from, end

    @cached_property
    def maybe_shown_lapsed(self) -> Interval:
        """Between which moments its seats may be shown as free while it has them.

        A confirm or cancel decides by the clock and commits a moment later: who reads the slot
        between the two, past the expiry, sees a lapsed hold. Empty for all but the rare.
        """
        start, end = self.certainly_taken
        return max(start, self.expiry[0]), min(end, self.moved_on_by)

    @cached_property
    def moved_on_by(self) -> float:
        """When it was seen not to be pending any more."""
        return self._seen_by(FINAL | {"CONFIRMED"})

    @cached_property
    def possibly_taken(self) -> Interval:
        """Outside of which moments it held no seats, whatever happened to what is not known.

        From the first request for it to when it was first seen not to stand, or to the latest
        moment of its expiry where it cannot have been confirmed.
        """
        end = self.final_by
        was_confirmed = "CONFIRMED" in self.statuses or (
            self.asked_to(Operation.CONFIRM) < math.inf
            and not (self.row and self.row.status in {"PENDING", "FAILED"})
        )
        if not was_confirmed:
            end = min(end, self.expiry[1])
        return self.asked_from, end


def collect_lives(
    history: History, tables: Tables, asked: dict[Key, list[Call]], clock: DatabaseClock
) -> dict[str, Life]:
    """Return every booking that has a row or that a request or an answer named, by its id."""
    lives: dict[str, Life] = {}

    def life_of(booking_id: str) -> Life:
        if booking_id not in lives:
            lives[booking_id] = Life(booking_id, clock)
        return lives[booking_id]

    for row in tables.bookings:
        life = life_of(row.id)
        life.row = row
        if row.idempotency_key is not None:
            life.key = (row.user_id, row.idempotency_key)
    for call in history.calls:
        sighting = _sighting_in(call)
        if call.request.booking_id is not None:
            life_of(call.request.booking_id).calls.append(call)
        if sighting:
            life = life_of(_booking_of(sighting))
            life.sightings.append(sighting)
            if call.operation in BOOKINGS:
                life.key = life.key or key_of(call)
    for life in lives.values():
        life.asked = asked.get(life.key, []) if life.key else []
    return lives


def _booking_of(sighting: Sighting) -> str:
    return sighting.booking.id if sighting.booking else str(sighting.call.request.booking_id)


def _sighting_in(call: Call) -> Sighting | None:
    answer = call.answer
    if answer is None:
        return None
    if answer.booking and call.outcome == Outcome.ACKNOWLEDGED:
        return Sighting(call, answer.booking.status, answer.booking)
    status = STATUS_OF_REFUSAL.get(answer.code or "")
    return Sighting(call, status, None) if status else None


def key_of(call: Call) -> Key:
    """Return whose key a request for seats bears, and which."""
    return str(call.request.user_id), str(call.request.idempotency_key)


def calls_by_key(history: History) -> dict[Key, list[Call]]:
    """Return the requests for seats of each user's key, in the order of sending."""
    found: dict[Key, list[Call]] = defaultdict(list)
    for call in history.calls:
        if call.operation in BOOKINGS:
            found[key_of(call)].append(call)
    return dict(found)
