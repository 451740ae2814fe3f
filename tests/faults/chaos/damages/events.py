"""Damages for checks/events.py."""

from __future__ import annotations

from dataclasses import replace

from tests.faults.chaos.damages.planting import Damage

DAMAGES = {
    "an event lost": Damage(
        "events_lead_to_status",
        {"held"},
        lambda run: run.without_event("held", "CONFIRMED"),
    ),
    "a booking with no history": Damage(
        "events_lead_to_status",
        {"booked"},
        lambda run: run.without_event("booked", "BOOKED"),
    ),
    "events of no booking": Damage(
        "events_lead_to_status",
        {"nobody"},
        lambda run: run.with_event("booked", "BOOKED", booking_id="nobody"),
    ),
    "an event that moves other seats": Damage(
        "events_lead_to_status",
        {"booked"},
        lambda run: run.with_event("booked", "BOOKED", seats=3),
    ),
    "an event of another slot": Damage(
        "events_lead_to_status",
        {"booked"},
        lambda run: run.with_event("booked", "BOOKED", slot_id="elsewhere"),
    ),
    "a final booking moved on": Damage(
        "events_lead_to_status",
        {"cancelled"},
        lambda run: run.with_events(
            replace(
                run.event("held", "CONFIRMED"),
                id=999,
                booking_id=run.booking("cancelled").id,
                from_status="CANCELLED",
            )
        ),
    ),
    "a move of seats with no version": Damage(
        "events_lead_to_status",
        {"booked"},
        lambda run: run.with_event("booked", "BOOKED", slot_version=None),
    ),
    "seats returned twice": Damage(
        "seats_move_once",
        {"cancelled"},
        lambda run: run.with_events(replace(run.event("cancelled", "CANCELLED"), id=999)),
    ),
    "seats never returned": Damage(
        "seats_move_once",
        {"lapsed"},
        lambda run: run.without_event("lapsed", "EXPIRED"),
    ),
}
