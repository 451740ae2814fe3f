"""What is under way may be seen from before or after; what is done may not be seen undone."""

from __future__ import annotations

import pytest

from tests.faults.chaos.checker import find_violations
from tests.faults.chaos.model import HOLD_SECONDS
from tests.faults.chaos.records import Failure, Operation
from tests.faults.chaos.story import LATENCY_SECONDS, Fate, Run, Story, checks_of


def _checks(run: Run) -> set[str]:
    return checks_of(find_violations(run.history, run.tables))


@pytest.fixture
def confirmed_at_the_last_moment() -> Run:
    """A hold is confirmed just before its expiry, and the slot is read just after."""
    told = Story()
    slot_id = told.create(5)
    told.book(slot_id, "ann", 2, hold=True)
    told.wait(HOLD_SECONDS - 0.1)
    told.about("ann", Operation.CONFIRM)
    told.wait(0.2)
    told.call(Operation.READ_SLOT, slot_id=slot_id)
    return told.end()


def test_hold_may_be_shown_lapsed_while_its_confirmation_commits(
    confirmed_at_the_last_moment: Run,
) -> None:
    run = confirmed_at_the_last_moment
    read = run.answer("read_slot 1")
    committed_late = run.with_answer("confirm ann 1", answered=read.answered + LATENCY_SECONDS)
    assert (
        _checks(committed_late.with_answer("read_slot 1", slot={"remaining_capacity": 5})) == set()
    )


def test_hold_is_not_shown_lapsed_after_its_confirmation(
    confirmed_at_the_last_moment: Run,
) -> None:
    run = confirmed_at_the_last_moment
    assert _checks(run) == set()
    damaged = run.with_answer("read_slot 1", slot={"remaining_capacity": 5})
    assert _checks(damaged) == {"shown_seats_were_possible", "shown_slots_match_their_version"}


@pytest.fixture
def cancelled_unheard() -> Run:
    """A cancel whose answer is lost; then a reader finds the slot full, and a user is refused."""
    told = Story()
    slot_id = told.create(2)
    told.book(slot_id, "ann", 2)
    told.about("ann", Operation.CANCEL, Fate.ANSWER_LOST)
    told.call(Operation.READ_SLOT, slot_id=slot_id)
    told.book(slot_id, "bob", 1, fate=Fate.TURNED_AWAY)
    return told.end()


def test_lost_cancel_may_take_effect_at_any_later_time(cancelled_unheard: Run) -> None:
    run = cancelled_unheard.with_answer(
        "read_slot 1", etag='"2"', slot={"remaining_capacity": 0, "version": 2}
    )
    refused = run.with_answer("book bob 1", status=409, code="SLOT_FULL", remaining_capacity=0)
    assert _checks(refused) == set()


def test_answered_cancel_has_taken_effect(cancelled_unheard: Run) -> None:
    shown = cancelled_unheard.answer("book ann 1").booking
    run = cancelled_unheard.with_answer("cancel ann 1", status=200, failure=None, booking=shown)
    run = run.with_answer("cancel ann 1", booking={"status": "CANCELLED"})
    assert _checks(run) == set()
    refused = run.with_answer("book bob 1", status=409, code="SLOT_FULL", remaining_capacity=0)
    assert _checks(refused) == {"full_slots_were_full"}


def test_lost_change_of_capacity_may_take_effect_at_any_later_time() -> None:
    told = Story()
    slot_id = told.create(2)
    told.call(Operation.CHANGE_SLOT, Fate.ANSWER_LOST, slot_id=slot_id, total_capacity=5)
    told.book(slot_id, "ann", 3, fate=Fate.TURNED_AWAY)
    run = told.end().with_answer("book ann 1", status=409, code="SLOT_FULL", remaining_capacity=2)
    assert _checks(run) == set()
    heard = run.with_answer(
        "change_slot 1",
        status=200,
        failure=None,
        etag='"2"',
        slot=run.answer("create_slot 1").slot,
    ).with_answer(
        "change_slot 1", slot={"version": 2, "total_capacity": 5, "remaining_capacity": 5}
    )
    assert _checks(heard) == {"full_slots_were_full"}


@pytest.fixture
def asked_twice() -> Run:
    """A user who has a hold asks for another, whose key is sent twice."""
    told = Story()
    slot_id = told.create(9)
    told.book(slot_id, "ann", 2, hold=True)
    told.book(slot_id, "bob", 1)
    told.book(slot_id, "bob", 1)
    return told.end().without_booking("bob")


def _refused(run: Run, request_id: str, status: int, code: str) -> Run:
    return run.with_answer(request_id, status=status, code=code, replayed=False, booking=None)


def _reasons(run: Run) -> set[str]:
    return _checks(run) & {"refusals_have_a_reason"}


def test_key_is_in_progress_while_another_request_of_it_is_under_way(asked_twice: Run) -> None:
    run = _refused(asked_twice, "book bob 2", 409, "IDEMPOTENCY_IN_PROGRESS")
    assert _reasons(run) == {"refusals_have_a_reason"}
    first = run.answer("book bob 1")
    overlapping = run.with_request("book bob 2", sent=first.answered - LATENCY_SECONDS / 2)
    assert _reasons(overlapping) == set()
    unheard = run.with_answer("book bob 1", status=None, failure=Failure.TIMEOUT, booking=None)
    assert _reasons(unheard) == set()


def test_user_with_holds_may_be_at_the_limit(asked_twice: Run) -> None:
    run = asked_twice.with_request("book bob 1", user_id="ann", operation=Operation.HOLD)
    at_limit = _refused(run, "book bob 1", 429, "HOLD_LIMIT")
    assert _reasons(at_limit) == set()
    after_expiry = at_limit.with_request("book bob 1", sent=110.0)
    assert _reasons(after_expiry.with_answer("book bob 1", answered=110.1)) == {
        "refusals_have_a_reason"
    }


@pytest.mark.parametrize(
    ("fate", "checks"),
    [(Fate.REQUEST_LOST, {"full_slots_were_full"}), (Fate.ANSWER_LOST, set())],
)
def test_lost_confirmation_counts_where_the_row_may_have_it(fate: Fate, checks: set[str]) -> None:
    told = Story()
    slot_id = told.create(2)
    told.book(slot_id, "ann", 2, hold=True)
    told.about("ann", Operation.CONFIRM, fate)
    told.wait(HOLD_SECONDS + 1)
    told.book(slot_id, "bob", 1, fate=Fate.TURNED_AWAY)
    run = told.end().with_answer("book bob 1", status=409, code="SLOT_FULL", remaining_capacity=0)
    assert _checks(run) == checks
