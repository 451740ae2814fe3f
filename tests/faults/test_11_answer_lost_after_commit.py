"""Retry 11: the answer is lost after the commit. The retry with the same key gets the same booking.

A standby that does not exist makes each commit wait when it is on disk and before it is answered;
ending the backend then is an error for the application, with the row there. That is a setting of a
whole server, so these tests have one of their own.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager

import pytest
from psycopg2.extensions import parse_dsn

from booking.db.migrations import migrate
from booking.embedded import embedded_postgres
from tests.conftest import ROOT
from tests.support.apps import Answer, Api, running_app
from tests.support.proxy import TcpProxy
from tests.support.rows import SlotRow, read_history, read_slot, read_statuses
from tests.support.sessions import session, terminate, wait_until, waiting_for
from tests.support.snapshots import query, violations_of
from tests.support.threads import background, result, results

Act = Callable[[], Answer]

UNANSWERED = """
SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'SyncRep'
"""


@pytest.fixture(scope="module")
def own_server_url() -> Iterator[str]:
    directory = ROOT / ".local" / f"test-{os.getpid()}-standby"
    try:
        with embedded_postgres(directory, settings={"synchronous_standby_names": "nobody"}) as url:
            set_wait_for_standby(url, "local")
            migrate(url)
            yield url
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def standby_url(own_server_url: str) -> Iterator[str]:
    """A database whose commits are answered, except within ``unanswered``."""
    yield own_server_url
    assert violations_of(own_server_url) == {}


def set_wait_for_standby(url: str, synchronous_commit: str) -> None:
    """Decide for the connections that begin from now on."""
    name = parse_dsn(url)["dbname"]
    with session(url) as admin:
        admin.execute("SET SESSION synchronous_commit = local")
        admin.execute(f'ALTER DATABASE "{name}" SET synchronous_commit = {synchronous_commit}')
        admin.commit()


def leave(_backend: int) -> None:
    """Do nothing to a backend that waits to answer its commit."""


@contextmanager
def unanswered(url: str) -> Iterator[Callable[..., Answer]]:
    """Yield what calls the application, and cuts its connection when the commit is made and
    ``meanwhile`` was done, which takes the backend.

    Whatever is sent after the cut, by the application itself too, is answered again.
    """

    def call(act: Act, meanwhile: Callable[[int], None] = leave) -> Answer:
        with background() as start:
            future: Future[Answer] = start(act)
            wait_until(lambda: bool(query(url, UNANSWERED)), "a commit without an answer")
            [(backend,)] = query(url, UNANSWERED)
            try:
                meanwhile(backend)
            finally:
                set_wait_for_standby(url, "local")
                terminate(url, backend)
            return result(future)

    set_wait_for_standby(url, "on")
    try:
        yield call
    finally:
        set_wait_for_standby(url, "local")


def assert_outcome_unknown(answer: Answer) -> None:
    assert (answer.status, answer.code) == (503, "OUTCOME_UNKNOWN")
    assert answer.body["retryable"] is True
    assert int(answer.headers["Retry-After"]) > 0


@pytest.mark.parametrize("hold", [False, True])
def test_retry_with_the_key_gets_the_booking(
    standby_url: str, keyed: dict[str, str], hold: bool
) -> None:
    with running_app(standby_url) as api:
        slot_id = api.create_slot(total_capacity=1)

    with running_app(standby_url) as api:

        def book() -> Answer:
            return api.book(slot_id, hold=hold, **keyed)

        with unanswered(standby_url) as call:
            lost = call(book)
        [(booking_id, status)] = read_statuses(standby_url, slot_id).items()
        found = book()

    assert_outcome_unknown(lost)
    assert status == ("PENDING" if hold else "CONFIRMED")
    assert (found.status, found.is_replay, found.data["id"]) == (201, True, booking_id)
    assert read_statuses(standby_url, slot_id) == {booking_id: status}
    assert read_slot(standby_url, slot_id) == SlotRow(total=1, remaining=0, version=2)


def test_second_request_waits_for_a_commit_that_is_not_answered(
    standby_url: str, keyed: dict[str, str]
) -> None:
    """On disk and not answered, the first one's booking is seen by nobody, and its key is held."""
    with running_app(standby_url) as api:
        slot_id = api.create_slot(total_capacity=5)

    with running_app(standby_url) as api, background() as start:
        seconds: list[Future[Answer]] = []

        def book() -> Answer:
            return api.book(slot_id, **keyed)

        def send_again(backend: int) -> None:
            seconds.append(start(book))
            wait_until(lambda: bool(waiting_for(standby_url, backend)), "the second request")

        with unanswered(standby_url) as call:
            lost = call(book, send_again)
        [second] = results(seconds)

    assert_outcome_unknown(lost)
    assert (second.status, second.is_replay) == (201, True)
    assert read_statuses(standby_url, slot_id) == {second.data["id"]: "CONFIRMED"}
    assert read_slot(standby_url, slot_id) == SlotRow(total=5, remaining=4, version=2)


def test_server_does_not_send_a_booking_again_by_itself(standby_url: str) -> None:
    with running_app(standby_url) as api:
        slot_id = api.create_slot(total_capacity=5)

    with running_app(standby_url) as api, unanswered(standby_url) as call:
        lost = call(lambda: api.book(slot_id))

    assert_outcome_unknown(lost)
    assert len(read_statuses(standby_url, slot_id)) == 1
    assert read_slot(standby_url, slot_id) == SlotRow(total=5, remaining=4, version=2)


@pytest.mark.parametrize(
    ("act", "history", "slot"),
    [
        (Api.confirm, ["HELD", "CONFIRMED"], SlotRow(total=5, remaining=4, version=2)),
        (Api.cancel, ["HELD", "CANCELLED"], SlotRow(total=5, remaining=5, version=3)),
    ],
    ids=["confirm", "cancel"],
)
def test_confirm_and_cancel_are_made_once(
    standby_url: str, act: Callable[[Api, str], Answer], history: list[str], slot: SlotRow
) -> None:
    with running_app(standby_url) as api:
        slot_id = api.create_slot(total_capacity=5)
        booking_id = api.make_booking(slot_id, hold=True)

    with running_app(standby_url) as api:
        with unanswered(standby_url) as call:
            lost = call(lambda: act(api, booking_id))
        again = act(api, booking_id)

    assert_outcome_unknown(lost)
    assert (again.status, again.data["status"]) == (200, history[-1])
    assert read_history(standby_url, booking_id) == history
    assert read_slot(standby_url, slot_id) == slot


def test_change_of_a_slot_is_made_once(standby_url: str) -> None:
    with running_app(standby_url) as api:
        slot_id = api.create_slot(total_capacity=5)

    with running_app(standby_url) as api, unanswered(standby_url) as call:
        lost = call(lambda: api.change_slot(slot_id, total_capacity=9))

    assert_outcome_unknown(lost)
    assert read_slot(standby_url, slot_id) == SlotRow(total=9, remaining=9, version=2)


def test_reply_of_the_database_that_the_network_lost(
    database_url: str,
    proxied_url: str,
    database_proxy: TcpProxy,
    keyed: dict[str, str],
) -> None:
    with running_app(proxied_url) as api:
        slot_id = api.create_slot(total_capacity=5)
        # The statement is prepared then: the reply that is lost is that of its execution.
        api.make_booking(api.create_slot())

        database_proxy.lose_replies()
        lost = api.book(slot_id, **keyed)
        database_proxy.lose_replies(lose=False)
        found = api.book(slot_id, **keyed)

    assert database_proxy.lost_bytes
    assert_outcome_unknown(lost)
    assert found.is_replay
    assert read_statuses(database_url, slot_id) == {found.data["id"]: "CONFIRMED"}
    assert read_slot(database_url, slot_id) == SlotRow(total=5, remaining=4, version=2)
