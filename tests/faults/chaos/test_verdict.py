"""A run passes, is violated, or is void, and says why."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.faults.chaos.damages.planting import shown, slot_id
from tests.faults.chaos.records import Fault
from tests.faults.chaos.story import Run
from tests.faults.chaos.verdict import Requirements, Result, count, judge

KILL = Fault(id="1", kind="worker_killed", target="4711", began=101.0, ended=102.0, effect="gone")
CUT = Fault(id="2", kind="cut", target="proxy", began=103.0, ended=104.0, effect="3 connections")
ENOUGH = Requirements(
    acknowledged=7,
    unknown=3,
    slot_full=1,
    faults=2,
    fault_kinds=frozenset({"worker_killed", "cut"}),
)


@pytest.fixture
def faulty(story: Run) -> Run:
    """The story with two faults in it."""
    return story.with_records(KILL, CUT)


def test_run_with_enough_in_it_passes(faulty: Run) -> None:
    verdict = judge(faulty.history, faulty.tables, ENOUGH)
    assert verdict.result == Result.PASSED
    [line] = verdict.lines()
    assert line == (
        "passed: 7 acknowledged, 3 unknown, 1 slot_full, 2 faults, 1 not_done, 1 replayed,"
        " 1 confirmed, 1 cancelled, 1 lapsed, 5 reads, 1 slot_closed, 3 changed"
    )


@pytest.mark.parametrize("name", sorted(set(Requirements.__dataclass_fields__) - {"fault_kinds"}))
def test_run_with_too_little_of_anything_is_void(name: str, faulty: Run) -> None:
    found = count(faulty.history, faulty.tables)[name]
    required = replace(ENOUGH, **{name: found + 1})  # type: ignore[arg-type] # one of the numbers
    verdict = judge(faulty.history, faulty.tables, required)
    assert verdict.result == Result.VOID
    assert verdict.void_reasons == (f"{name}: {found} of {found + 1} that are needed",)


def test_every_count_is_required(faulty: Run) -> None:
    names = set(count(faulty.history, faulty.tables))
    assert names == set(Requirements.__dataclass_fields__) - {"fault_kinds"}


def test_run_without_a_kind_of_fault_is_void(faulty: Run) -> None:
    required = replace(ENOUGH, fault_kinds=frozenset({"cut", "disk_full", "stopped"}))
    verdict = judge(faulty.history, faulty.tables, required)
    assert verdict.void_reasons == ("no fault with an effect of the kind disk_full, stopped",)


def test_fault_whose_effect_was_not_seen_makes_void(story: Run) -> None:
    run = story.with_records(KILL, CUT, replace(CUT, id="3", effect=None))
    verdict = judge(run.history, run.tables, ENOUGH)
    assert verdict.result == Result.VOID
    assert verdict.void_reasons == ("fault 3 (cut of proxy) was not seen to do anything",)


def test_fault_that_never_ended_makes_void(story: Run) -> None:
    run = story.with_records(KILL, CUT, replace(CUT, id="3", ended=None))
    verdict = judge(run.history, run.tables, ENOUGH)
    assert verdict.void_reasons == ("fault 3 (cut of proxy) was not seen to end",)


def test_clock_that_was_set_makes_void(faulty: Run) -> None:
    created = shown(faulty, "book last 1").created_at.replace(hour=1)
    run = faulty.with_answer("book last 1", booking={"created_at": created})
    run = run.with_booking("last", created_at=created)
    verdict = judge(run.history, run.tables, ENOUGH)
    assert verdict.result == Result.VOID
    [reason] = verdict.void_reasons
    assert reason.startswith("a clock was set by 3599.")


def test_violation_counts_in_a_void_run_too(story: Run) -> None:
    run = story.with_slot(slot_id(story), remaining_capacity=9)
    verdict = judge(run.history, run.tables, ENOUGH)
    assert verdict.result == Result.VIOLATED
    lines = list(verdict.lines())
    assert lines[0].startswith("violated: 7 acknowledged")
    assert "void: faults: 0 of 2 that are needed" in lines
    assert f"seats_add_up: 9 remaining and 9 booked of 12 seats ({slot_id(run)})" in lines


def test_first_of_many_violations_are_told(faulty: Run) -> None:
    run = replace(faulty, tables=replace(faulty.tables, bookings=()))
    lines = list(judge(run.history, run.tables, ENOUGH).lines(most_per_check=2))
    told = [line for line in lines if line.startswith("acknowledged_bookings_are_stored")]
    assert len(told) == 3
    assert told[-1] == "acknowledged_bookings_are_stored: 5 more"
