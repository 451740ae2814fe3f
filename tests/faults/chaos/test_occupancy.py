"""The parts that seats are judged by, against their definition by brute force."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.faults.chaos.capacity import capacity_changes
from tests.faults.chaos.history import Call
from tests.faults.chaos.records import Answer, Failure, Operation, Request, ShownSlot
from tests.faults.chaos.steps import Steps

repeatable = settings(derandomize=True, database=None, deadline=None, max_examples=300)

MOMENTS = st.integers(0, 200)


@repeatable
@given(
    changes=st.lists(st.tuples(MOMENTS, st.integers(-5, 5)), max_size=150),
    start=MOMENTS,
    length=MOMENTS,
)
def test_highest_is_the_highest_of_every_moment(
    changes: list[tuple[int, int]], start: int, length: int
) -> None:
    # At moments of their own, so that the order at one moment plays no part.
    distinct = [(moment + number / 1000, delta) for number, (moment, delta) in enumerate(changes)]
    moments = [start, *(moment for moment, _ in distinct if start <= moment <= start + length)]
    by_hand = [
        sum(delta for moment, delta in distinct if moment <= now or math.isclose(moment, now))
        for now in moments
    ]
    before = sum(delta for moment, delta in distinct if moment < start)
    assert Steps(distinct).highest(start, start + length) == max(before, *by_hand)


def test_seats_that_leave_and_return_at_one_moment_count() -> None:
    assert Steps([(1.0, 2), (2.0, -2), (2.0, 3), (3.0, -3)]).highest(2.0, 2.0) == 5


Write = tuple[int, int, int, bool]
WRITES = st.lists(
    st.tuples(MOMENTS, st.integers(1, 60), st.integers(1, 9), st.booleans()),
    max_size=8,
    unique_by=lambda write: write[0],
)


def _call(number: int, write: Write) -> Call:
    sent, latency, capacity, is_told = write
    operation = Operation.CHANGE_SLOT if number else Operation.CREATE_SLOT
    request = Request(
        id=str(number),
        client="c",
        operation=operation,
        sent=sent,
        slot_id="s",
        total_capacity=capacity,
    )
    slot = ShownSlot(
        id="s", total_capacity=capacity, remaining_capacity=0, status="OPEN", version=1
    )
    answered = sent + latency + 0.5
    told = Answer(request_id=str(number), answered=answered, status=200, slot=slot)
    lost = Answer(request_id=str(number), answered=answered, failure=Failure.TIMEOUT)
    return Call(request, told if is_told else lost)


@repeatable
@given(writes=WRITES, now=MOMENTS)
def test_capacity_is_one_that_no_later_change_undid(writes: list[Write], now: int) -> None:
    first: Write = (-10, 1, 5, True)
    calls = [_call(number, write) for number, write in enumerate([first, *sorted(writes)])]
    moment = now + 0.25
    possible = [
        int(call.request.total_capacity or 0)
        for call in calls
        if call.sent <= moment
        and not any(other.sent > call.done_by and other.done_by <= moment for other in calls)
    ]
    for pick in (min, max):
        steps = Steps(capacity_changes(calls, pick))
        assert steps.highest(moment, moment) == pick(possible)
