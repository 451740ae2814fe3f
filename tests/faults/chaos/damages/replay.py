"""Damages for checks/replay.py."""

from __future__ import annotations

from tests.faults.chaos.damages.planting import Damage, slot_id

DAMAGES = {
    "seats that left at no version": Damage(
        "events_replay_to_slots",
        {"slot"},
        lambda run: run.without_event("booked", "BOOKED"),
    ),
    "an event at a version yet to come": Damage(
        "events_replay_to_slots",
        {"slot"},
        lambda run: run.with_event("last", "BOOKED", slot_version=14),
    ),
    "an admin's version that no admin asked for": Damage(
        "events_replay_to_slots",
        {"slot"},
        lambda run: run.without("change_slot 1"),
    ),
    "a capacity changed beside the API": Damage(
        "events_replay_to_slots",
        {"slot"},
        lambda run: run.with_slot(slot_id(run), total_capacity=13, remaining_capacity=4),
    ),
    "seats taken beside the events": Damage(
        "events_replay_to_slots",
        {"slot"},
        lambda run: run.with_slot(slot_id(run), remaining_capacity=2),
    ),
    "more seats taken at a version than there are": Damage(
        "events_replay_to_slots",
        {"slot"},
        lambda run: run.with_event("last", "BOOKED", seats=5),
    ),
    "a read that its version contradicts": Damage(
        "shown_slots_match_their_version",
        {"slot", "read_slot 1"},
        lambda run: run.with_answer("read_slot 1", slot={"remaining_capacity": 6}),
    ),
}
