"""What is legal passes: a story with every kind of call, and simulated runs of many clients."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.faults.chaos.checker import find_violations
from tests.faults.chaos.simulation import Simulation, Size
from tests.faults.chaos.story import Run
from tests.faults.chaos.verdict import count

SIZES = st.builds(
    Size,
    clients=st.sampled_from([1, 2, 5, 20]),
    slots=st.sampled_from([1, 2, 5]),
    capacity=st.sampled_from([3, 10, 40]),
    requests=st.sampled_from([10, 40, 150]),
)


def test_story_violates_nothing(story: Run) -> None:
    assert find_violations(story.history, story.tables) == []


@settings(
    max_examples=60,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(seed=st.integers(0, 2**32), size=SIZES)
def test_simulated_run_violates_nothing(seed: int, size: Size) -> None:
    run = Simulation(seed, size).run()
    assert find_violations(run.history, run.tables) == []


def test_simulated_run_is_no_empty_one() -> None:
    run = Simulation(1, Size(clients=20, slots=3, capacity=40, requests=2000)).run()
    counts = count(run.history, run.tables)
    del counts["faults"]
    assert min(counts.values()) > 10, counts
    versions = [
        (event.slot_id, event.slot_version)
        for event in run.tables.events
        if event.type in {"HELD", "BOOKED"}
    ]
    assert len(set(versions)) < len(versions), "no two bookings shared a version"


@pytest.mark.parametrize("size", [Size(clients=64, slots=1, capacity=2000, requests=8000)])
def test_hot_slot_violates_nothing(size: Size) -> None:
    run = Simulation(7, size).run()
    assert find_violations(run.history, run.tables) == []
