"""Damages for checks/statuses.py."""

from __future__ import annotations

from datetime import timedelta

from tests.faults.chaos.damages.planting import Damage, read

DAMAGES = {
    "a booking cancelled that nobody cancelled": Damage(
        "bookings_end_in_a_legal_status",
        {"booked"},
        lambda run: run.with_booking("booked", status="CANCELLED"),
    ),
    "a hold confirmed that nobody confirmed": Damage(
        "bookings_end_in_a_legal_status",
        {"late"},
        lambda run: run.without("confirm late 1"),
    ),
    "a confirmation undone": Damage(
        "bookings_end_in_a_legal_status",
        {"held", "confirm held 1"},
        lambda run: run.with_booking("held", status="FAILED", failure_reason="EXPIRED"),
    ),
    "a cancel undone": Damage(
        "bookings_end_in_a_legal_status",
        {"cancelled", "cancel cancelled 1"},
        lambda run: run.with_booking("cancelled", status="CONFIRMED"),
    ),
    "a hold failed before its time": Damage(
        "bookings_end_in_a_legal_status",
        {"late"},
        lambda run: run.with_booking(
            "late",
            status="FAILED",
            failure_reason="EXPIRED",
            expires_at=run.tables.read_at + timedelta(seconds=5),
        ),
    ),
    "a hold failed for no reason": Damage(
        "bookings_end_in_a_legal_status",
        {"lapsed"},
        lambda run: run.with_booking("lapsed", failure_reason=None),
    ),
    "a booking seen cancelled before anybody cancelled it": Damage(
        "statuses_were_asked_for",
        {"cancelled", "read_booking cancelled 1"},
        lambda run: run.with_answer("read_booking cancelled 1", booking={"status": "CANCELLED"}),
    ),
    "a hold seen confirmed before anybody confirmed it": Damage(
        "statuses_were_asked_for",
        {"late", "hold late 1"},
        lambda run: run.with_answer("hold late 1", booking={"status": "CONFIRMED"}),
    ),
    "a cancelled booking read as confirmed": Damage(
        "bookings_never_go_back",
        {"cancelled", "cancel cancelled 1", "read"},
        lambda run: read(run, "cancelled", "CONFIRMED", 110.0),
    ),
    "a confirmed hold read as pending": Damage(
        "bookings_never_go_back",
        {"held", "confirm held 1", "read"},
        lambda run: read(run, "held", "PENDING", 101.0),
    ),
    "a booking seen both confirmed and expired": Damage(
        "bookings_never_go_back",
        {"held", "confirm held 1", "read"},
        lambda run: read(run, "held", "FAILED", 110.0),
    ),
}
