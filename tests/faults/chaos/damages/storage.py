"""Damages for checks/storage.py."""

from __future__ import annotations

from dataclasses import replace

from tests.faults.chaos.damages.planting import Damage, second, slot_id

DAMAGES = {
    "an acknowledged booking lost without a trace": Damage(
        "acknowledged_bookings_are_stored",
        {"booked"},
        lambda run: run.without_booking("booked"),
    ),
    "a booking that only a read showed, lost": Damage(
        "acknowledged_bookings_are_stored",
        {"held", "confirm held 1"},
        lambda run: run.without("hold held 1").without_booking("held"),
    ),
    "a booking stored with fewer seats": Damage(
        "acknowledged_bookings_are_stored",
        {"booked", "book booked 1"},
        lambda run: run.with_booking("booked", num_seats=1),
    ),
    "a hold stored with a later expiry": Damage(
        "acknowledged_bookings_are_stored",
        {"late"},
        lambda run: run.with_booking("late", expires_at=run.tables.read_at),
    ),
    "a slot lost": Damage(
        "acknowledged_slots_are_stored",
        {"create_slot 1"},
        lambda run: replace(run, tables=replace(run.tables, slots=())),
    ),
    "a slot stored at an earlier version": Damage(
        "acknowledged_slots_are_stored",
        {"read_slot 3"},
        lambda run: run.with_slot(slot_id(run), version=12),
    ),
    "a booking that nobody sent": Damage(
        "bookings_were_asked_for",
        {"stray"},
        lambda run: second(run, "booked", "stray", idempotency_key="stray"),
    ),
    "a booking with no key": Damage(
        "bookings_were_asked_for",
        {"stray"},
        lambda run: second(run, "booked", "stray", idempotency_key=None),
    ),
    "a booking of another slot than was asked for": Damage(
        "bookings_were_asked_for",
        {"booked"},
        lambda run: run.with_booking("booked", slot_id="elsewhere"),
    ),
    "a booking that was said not to be done": Damage(
        "bookings_were_asked_for",
        {"stray", "book busy 1"},
        lambda run: second(
            run, "lost", "stray", user_id="busy", idempotency_key="busy", num_seats=1
        ),
    ),
    "a booking that was refused": Damage(
        "bookings_were_asked_for",
        {"stray", "book refused 1"},
        lambda run: second(
            run, "booked", "stray", user_id="refused", idempotency_key="refused", num_seats=3
        ),
    ),
    "a slot that nobody created": Damage(
        "slots_were_asked_for",
        {"stray"},
        lambda run: replace(
            run,
            tables=replace(
                run.tables,
                slots=(*run.tables.slots, replace(run.tables.slots[0], id="stray")),
            ),
        ),
    ),
}
