"""Damages for checks/keys.py."""

from __future__ import annotations

from dataclasses import replace

from tests.faults.chaos.damages.planting import Damage, again, refuse, second, shown

DAMAGES = {
    "a key with two rows": Damage(
        "keys_book_once",
        {"booked", "twin"},
        lambda run: second(run, "booked", "twin"),
    ),
    "a retry that got another booking": Damage(
        "keys_book_once",
        {"lost", "twin"},
        lambda run: again(
            run,
            "book lost 2",
            "again",
            110.0,
            booking=replace(shown(run, "book lost 2"), id="twin"),
        ),
    ),
    "two keys answered with one booking": Damage(
        "bookings_have_one_key",
        {"booked"},
        lambda run: run.with_answer("book last 1", booking={"id": run.booking("booked").id}),
    ),
    "a first request that was marked as replayed": Damage(
        "replays_repeat_a_request",
        {"book booked 1"},
        lambda run: run.with_answer("book booked 1", replayed=True),
    ),
    "a replay of a request that was turned away": Damage(
        "replays_repeat_a_request",
        {"again"},
        lambda run: again(
            refuse(run, "book last 1", 503, "BUSY"),
            "book last 1",
            "again",
            110.0,
            status=201,
            code=None,
            replayed=True,
            booking=shown(run, "book last 1"),
        ),
    ),
    "a retry that was not marked as replayed": Damage(
        "replays_repeat_a_request",
        {"book booked 1", "again"},
        lambda run: again(run, "book booked 1", "again", 110.0),
    ),
    "a retry refused after its key had booked": Damage(
        "acknowledged_keys_are_replayed",
        {"book booked 1", "again"},
        lambda run: again(
            run,
            "book booked 1",
            "again",
            110.0,
            status=409,
            code="SLOT_FULL",
            remaining_capacity=0,
            booking=None,
        ),
    ),
}
