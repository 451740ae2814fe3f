"""Damages for checks/refusals.py."""

from __future__ import annotations

from dataclasses import replace

from tests.faults.chaos.damages.planting import Damage, read, refuse, shown

DAMAGES = {
    "an acknowledged booking not found": Damage(
        "refusals_have_a_reason",
        {"booked", "read"},
        lambda run: refuse(
            read(run, "booked", "CONFIRMED", 110.0), "read", 404, "BOOKING_NOT_FOUND"
        ),
    ),
    "an open slot called closed": Damage(
        "refusals_have_a_reason",
        {"slot", "book last 1"},
        lambda run: refuse(run, "book last 1", 409, "SLOT_CLOSED"),
    ),
    "a key called reused that was not": Damage(
        "refusals_have_a_reason",
        {"slot", "book last 1"},
        lambda run: refuse(run, "book last 1", 422, "IDEMPOTENCY_KEY_REUSED"),
    ),
    "a key called in progress that was not": Damage(
        "refusals_have_a_reason",
        {"slot", "book last 1"},
        lambda run: refuse(run, "book last 1", 409, "IDEMPOTENCY_IN_PROGRESS"),
    ),
    "a user called at the limit with no holds": Damage(
        "refusals_have_a_reason",
        {"slot", "hold late 1"},
        lambda run: refuse(
            run.without("confirm late 1").without_booking("late"), "hold late 1", 429, "HOLD_LIMIT"
        ),
    ),
    "a capacity refused that would have fitted": Damage(
        "refusals_have_a_reason",
        {"slot", "change_slot 2"},
        lambda run: run.with_request("change_slot 2", total_capacity=8),
    ),
    "a good request called invalid": Damage(
        "refusals_have_a_reason",
        {"slot", "book last 1"},
        lambda run: refuse(run, "book last 1", 422, "VALIDATION_ERROR"),
    ),
    "a booking on a closed slot": Damage(
        "closed_slots_take_no_bookings",
        {"slot", "book locked out 1"},
        lambda run: run.with_answer(
            "book locked out 1",
            status=201,
            code=None,
            booking=replace(shown(run, "book last 1"), id="stray"),
        ),
    ),
}
