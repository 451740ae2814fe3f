"""Damages for checks/seats.py."""

from __future__ import annotations

from dataclasses import replace

from tests.faults.chaos.damages.planting import Damage, shown, slot_id
from tests.faults.chaos.records import Answer, Operation, Request
from tests.faults.chaos.story import Run


def oversell(run: Run) -> Run:
    """Acknowledge a booking of four seats where three are left."""
    extra = replace(shown(run, "book booked 1"), id="extra", user_id="extra", num_seats=4)
    asked = {
        "client": "c",
        "operation": Operation.BOOK,
        "slot_id": slot_id(run),
        "user_id": "extra",
        "idempotency_key": "extra",
        "num_seats": 4,
    }
    return run.with_records(
        Request(id="extra", sent=110.0, **asked),  # type: ignore[arg-type] # a request's own fields
        Answer(request_id="extra", answered=110.01, status=201, booking=extra),
    )


DAMAGES = {
    "a seat too many": Damage(
        "seats_add_up",
        {"slot"},
        lambda run: run.with_slot(slot_id(run), remaining_capacity=4),
    ),
    "seats not returned": Damage(
        "seats_add_up",
        {"slot"},
        lambda run: run.with_slot(slot_id(run), remaining_capacity=1),
    ),
    "more seats booked than there are": Damage(
        "seats_add_up",
        {"slot"},
        lambda run: run.with_slot(slot_id(run), remaining_capacity=-5, total_capacity=4),
    ),
    "more seats acknowledged than there are": Damage(
        "certain_seats_fit", {"slot", "extra"}, oversell
    ),
    "a lapsed hold's seats sold before it lapsed": Damage(
        "certain_seats_fit",
        {"slot"},
        lambda run: run.with_request("create_slot 1", total_capacity=8),
    ),
    "a slot called full with seats left": Damage(
        "full_slots_were_full",
        {"slot", "book locked out 1"},
        lambda run: run.with_answer("book locked out 1", code="SLOT_FULL", remaining_capacity=0),
    ),
    "a slot called full that had the seats asked for": Damage(
        "full_slots_were_full",
        {"book refused 1"},
        lambda run: run.with_answer("book refused 1", remaining_capacity=3),
    ),
    "a slot called full that had more seats left than can be": Damage(
        "full_slots_were_full",
        {"book refused 1"},
        lambda run: run.with_request("book refused 1", num_seats=9).with_answer(
            "book refused 1", remaining_capacity=8
        ),
    ),
    "fewer seats shown than were left": Damage(
        "shown_seats_were_possible",
        {"slot", "read_slot 3"},
        lambda run: run.with_answer("read_slot 3", slot={"remaining_capacity": 2}),
    ),
    "more seats shown than were left": Damage(
        "shown_seats_were_possible",
        {"slot", "read_slot 3"},
        lambda run: run.with_answer("read_slot 3", slot={"remaining_capacity": 4}),
    ),
}
