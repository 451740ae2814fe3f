"""Damages for checks/versions.py."""

from __future__ import annotations

from tests.faults.chaos.damages.planting import Damage, slot_id

DAMAGES = {
    "a slot read at an earlier version than before": Damage(
        "slots_never_go_back",
        {"slot", "read_slot 3"},
        lambda run: run.with_answer("read_slot 3", slot={"version": 11}),
    ),
    "a read that does not know of a booking answered before": Damage(
        "slots_never_go_back",
        {"slot", "read_slot 3"},
        lambda run: run.with_answer("read_slot 3", slot={"version": 12}),
    ),
    "a booking at a version that was read before": Damage(
        "slots_never_go_back",
        {"slot", "change_slot 4"},
        lambda run: run.with_event("last", "BOOKED", slot_version=10),
    ),
    "one version with two capacities": Damage(
        "versions_show_one_state",
        {"slot", "read_slot 2", "change_slot 1"},
        lambda run: run.with_answer("read_slot 2", slot={"total_capacity": 10}),
    ),
    "one version with two statuses": Damage(
        "versions_show_one_state",
        {"slot", "row", "read_slot 3"},
        lambda run: run.with_slot(slot_id(run), status="CLOSED"),
    ),
}
