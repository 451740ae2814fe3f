"""Damages for checks/expiry.py."""

from __future__ import annotations

from dataclasses import replace

from tests.faults.chaos.damages.planting import Damage, read, shown

DAMAGES = {
    "a hold shown as failed before its expiry": Damage(
        "holds_are_shown_until_they_lapse",
        {"lapsed", "read"},
        lambda run: read(run, "lapsed", "FAILED", 101.0),
    ),
    "a hold shown as pending after its expiry": Damage(
        "holds_are_shown_until_they_lapse",
        {"lapsed", "read_booking lapsed 1"},
        lambda run: run.with_answer("read_booking lapsed 1", booking={"status": "PENDING"}),
    ),
    "a dead hold confirmed": Damage(
        "lapsed_holds_stay_lapsed",
        {"held", "confirm held 1"},
        lambda run: run.with_request("confirm held 1", sent=110.0).with_answer(
            "confirm held 1", answered=110.01
        ),
    ),
    "a dead hold cancelled": Damage(
        "lapsed_holds_stay_lapsed",
        {"lapsed", "cancel lapsed 1"},
        lambda run: run.without("read_booking lapsed 1").with_answer(
            "cancel lapsed 1",
            status=200,
            code=None,
            booking=replace(shown(run, "hold lapsed 1"), status="CANCELLED"),
        ),
    ),
    "an event that confirms a dead hold": Damage(
        "events_keep_to_the_expiry",
        {"held"},
        lambda run: run.with_event("held", "CONFIRMED", at=run.tables.read_at),
    ),
    "an event that fails a hold before its expiry": Damage(
        "events_keep_to_the_expiry",
        {"lapsed"},
        lambda run: run.with_event("lapsed", "EXPIRED", at=run.booking("lapsed").created_at),
    ),
    "an instant booking that was pending": Damage(
        "events_keep_to_the_expiry",
        {"booked"},
        lambda run: run.with_event("booked", "BOOKED", from_status="PENDING"),
    ),
}
