"""Retry 13: the same key from two connections at once, from another user, with another body."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from tests.concurrency.races import queue_for_slot
from tests.support.apps import Answer, Api
from tests.support.factories import unique
from tests.support.failpoints import Breakpoint, breakpoint_at
from tests.support.rows import SlotRow, count_events, read_slot, read_statuses
from tests.support.sessions import LOCK_SLOT, cancel_statement, holding, terminate
from tests.support.threads import at_once, background, result

StartApi = Callable[..., Api]
Keyed = dict[str, str]
SHORT_LOCK_TIMEOUT_MS = 300


@dataclass(frozen=True)
class Stopped:
    """A first request that has the key and the seats, and does not commit."""

    answer: Future[Answer]
    backend: int
    stop: Breakpoint


@contextmanager
def stopped_first(url: str, slot_id: str, book: Callable[[], Answer]) -> Iterator[Stopped]:
    with (
        breakpoint_at(url, "booking_events", when=f"NEW.slot_id = '{slot_id}'") as stop,
        background() as start,
    ):
        first: Future[Answer] = start(book)
        [backend] = stop.wait_for_stop()
        try:
            yield Stopped(first, backend, stop)
        finally:
            stop.release()


def behind_first(first: Stopped, book: Callable[[], Answer], then: Callable[[], None]) -> Answer:
    """Let a second request wait for the first; return its answer when ``then`` was done to that."""
    with background() as start:
        second: Future[Answer] = start(book)
        first.stop.wait_for_stop(2)
        then()
        first.stop.release()
        return result(second)


@pytest.fixture
def keyed() -> Keyed:
    """A user, and a key of that user."""
    return {"user_id": unique("user"), "key": unique("key")}


@pytest.mark.parametrize("capacity", [5, 1])
def test_second_replays_when_the_first_commits(
    api: Api, database_url: str, keyed: Keyed, capacity: int
) -> None:
    slot_id = api.create_slot(total_capacity=capacity)

    def book() -> Answer:
        return api.book(slot_id, **keyed)

    with stopped_first(database_url, slot_id, book) as first:
        second = behind_first(first, book, then=lambda: None)
        original = result(first.answer)

    assert (original.status, original.is_replay) == (201, False)
    assert (second.status, second.is_replay) == (201, True)
    assert second.data == original.data
    assert read_statuses(database_url, slot_id) == {original.data["id"]: "CONFIRMED"}
    assert read_slot(database_url, slot_id) == SlotRow(capacity, capacity - 1, version=2)


@pytest.mark.parametrize(
    ("end", "code"), [(cancel_statement, "BUSY"), (terminate, "OUTCOME_UNKNOWN")]
)
def test_second_books_when_the_first_is_rolled_back(
    api: Api,
    database_url: str,
    keyed: Keyed,
    end: Callable[[str, int], None],
    code: str,
) -> None:
    slot_id = api.create_slot(total_capacity=5)

    def book() -> Answer:
        return api.book(slot_id, **keyed)

    with stopped_first(database_url, slot_id, book) as first:
        second = behind_first(first, book, then=lambda: end(database_url, first.backend))
        failed = result(first.answer)

    assert (failed.status, failed.code, failed.body["retryable"]) == (503, code, True)
    assert (second.status, second.is_replay) == (201, False)
    assert read_statuses(database_url, slot_id) == {second.data["id"]: "CONFIRMED"}
    assert read_slot(database_url, slot_id) == SlotRow(total=5, remaining=4, version=2)
    assert count_events(database_url, slot_id) == {"BOOKED": 1}


@pytest.mark.parametrize("same_slot", [True, False])
def test_second_gives_up_when_the_first_stays_stuck(
    api: Api, start_api: StartApi, database_url: str, keyed: Keyed, same_slot: bool
) -> None:
    hasty = start_api(db_lock_timeout_ms=SHORT_LOCK_TIMEOUT_MS)
    slot_id = api.create_slot(total_capacity=5)
    wanted_id = slot_id if same_slot else api.create_slot(total_capacity=5)

    with stopped_first(database_url, slot_id, lambda: api.book(slot_id, **keyed)) as first:
        second = hasty.book(wanted_id, **keyed)
        assert not first.answer.done()
        first.stop.release()
        original = result(first.answer)

    assert (second.status, second.code) == (409, "IDEMPOTENCY_IN_PROGRESS")
    assert second.body["retryable"] is True
    assert int(second.headers["Retry-After"]) > 0
    assert original.status == 201
    third = hasty.book(wanted_id, **keyed)
    if same_slot:
        assert (third.data, third.is_replay) == (original.data, True)
    else:
        assert (third.status, third.code) == (422, "IDEMPOTENCY_KEY_REUSED")
        assert read_slot(database_url, wanted_id) == SlotRow(total=5, remaining=5, version=1)
    assert read_slot(database_url, slot_id) == SlotRow(total=5, remaining=4, version=2)


@pytest.mark.parametrize("same_slot", [True, False])
def test_key_of_another_request_at_once(
    api: Api, database_url: str, keyed: Keyed, same_slot: bool
) -> None:
    slot_id = api.create_slot(total_capacity=5)
    other_id = slot_id if same_slot else api.create_slot(total_capacity=5)

    with stopped_first(database_url, slot_id, lambda: api.book(slot_id, **keyed)) as first:
        second = behind_first(
            first,
            lambda: api.book(other_id, num_seats=2, **keyed),
            then=lambda: None,
        )
        original = result(first.answer)

    assert original.status == 201
    assert (second.status, second.code) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert read_slot(database_url, slot_id) == SlotRow(total=5, remaining=4, version=2)
    if not same_slot:
        assert read_slot(database_url, other_id) == SlotRow(total=5, remaining=5, version=1)
        assert read_statuses(database_url, other_id) == {}


def test_key_of_another_user_at_once(api: Api, start_api: StartApi, database_url: str) -> None:
    """It is another key: nobody waits for it."""
    slot_id, other_id = api.create_slot(total_capacity=5), api.create_slot(total_capacity=5)

    with stopped_first(database_url, slot_id, lambda: api.book(slot_id, key="shared")) as first:
        elsewhere = first.stop.run_beside(lambda: api.book(other_id, key="shared"))
        behind = behind_first(first, lambda: api.book(slot_id, key="shared"), then=lambda: None)
        original = result(first.answer)

    made = [original, elsewhere, behind]
    assert [(answer.status, answer.is_replay) for answer in made] == [(201, False)] * 3
    assert len({answer.data["id"] for answer in made}) == 3
    assert read_slot(database_url, slot_id) == SlotRow(total=5, remaining=3, version=3)


def test_key_does_not_turn_somebody_elses_lock_into_a_request_in_progress(
    start_api: StartApi, database_url: str, keyed: Keyed
) -> None:
    hasty = start_api(db_lock_timeout_ms=SHORT_LOCK_TIMEOUT_MS)
    slot_id = hasty.create_slot(total_capacity=5)

    with holding(database_url, LOCK_SLOT, slot_id):
        answer = hasty.book(slot_id, **keyed)

    assert (answer.status, answer.code) == (503, "BUSY")
    assert answer.body["retryable"] is True
    assert int(answer.headers["Retry-After"]) > 0
    assert hasty.book(slot_id, **keyed).is_replay is False
    assert read_slot(database_url, slot_id) == SlotRow(total=5, remaining=4, version=2)


@pytest.mark.parametrize("capacity", [5, 1])
def test_one_request_sent_many_times_at_once(
    api: Api, database_url: str, keyed: Keyed, capacity: int
) -> None:
    slot_id = api.create_slot(total_capacity=capacity)

    answers = at_once([lambda: api.book(slot_id, **keyed)] * 25)

    assert {answer.status for answer in answers} == {201}
    assert sum(not answer.is_replay for answer in answers) == 1
    assert read_statuses(database_url, slot_id) == {answers[0].data["id"]: "CONFIRMED"}
    assert {answer.data["id"] for answer in answers} == {answers[0].data["id"]}
    assert read_slot(database_url, slot_id) == SlotRow(capacity, capacity - 1, version=2)


def test_requests_with_one_key_that_all_found_it_unused(
    api: Api, database_url: str, keyed: Keyed
) -> None:
    slot_id = api.create_slot(total_capacity=20)

    answers = queue_for_slot(database_url, slot_id, [lambda: api.book(slot_id, **keyed)] * 10)

    assert {answer.status for answer in answers} == {201}
    assert sum(not answer.is_replay for answer in answers) == 1
    assert read_slot(database_url, slot_id) == SlotRow(total=20, remaining=19, version=2)
    assert read_statuses(database_url, slot_id) == {answers[0].data["id"]: "CONFIRMED"}
