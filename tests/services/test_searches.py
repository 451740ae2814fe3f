"""Searches, which are several statements: what comes between them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from booking.app import Services, create_services
from booking.db.connection import Connection
from booking.models import SlotFilter
from booking.repositories import searches, slots
from tests.support.factories import make_config
from tests.support.sessions import terminate
from tests.support.snapshots import query

DOCTORS = 2 * searches.VERY_FEW_PROVIDERS
# Filled without the first of them.
PAGE = searches.VERY_FEW_PROVIDERS
MAKE_SLOTS = """
INSERT INTO slots (id, doctor_name, start_time, total_capacity, remaining_capacity)
SELECT gen_random_uuid(), 'Anna ' || n, now() + n * interval '1 hour', 1, 1
FROM generate_series(1, %s) AS n
RETURNING id::text
"""
ANNA = SlotFilter(doctor_name="anna")


@pytest.fixture
def url(new_database: Callable[..., str]) -> str:
    made = new_database()
    query(made, MAKE_SLOTS, DOCTORS)
    return made


@pytest.fixture
def parts(url: str) -> Iterator[Services]:
    made = create_services(make_config(database_url=url))
    yield made
    made.pool.close()


def _found(parts: Services, limit: int = PAGE) -> list[str]:
    page = parts.slots.list_bookable_slots(ANNA, min_seats=1, after=None, limit=limit)
    return [slot.doctor_name for slot in page.rows]


def test_search_sees_one_moment(url: str, parts: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slot that matches before and after is found, though who matches is another statement."""
    search_nearby = searches._search_nearby

    def change_and_search(*arguments: Any) -> Sequence[Any]:
        change = "UPDATE slots SET specialization = 'New' WHERE doctor_name = %s RETURNING id"
        assert len(query(url, change, "Anna 1")) == 1
        return search_nearby(*arguments)

    monkeypatch.setattr(searches, "_search_nearby", change_and_search)
    assert _found(parts) == [f"Anna {n}" for n in range(1, PAGE + 1)]


def test_search_whose_connection_is_lost_at_its_end_is_made_again(
    url: str, parts: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched: list[int] = []

    def search_and_die(conn: Connection, *arguments: Any) -> Sequence[Any]:
        rows = searches.search_slots(conn, *arguments)
        searched.append(len(rows))
        if len(searched) == 1:
            terminate(url, conn.info.backend_pid)
        return rows

    monkeypatch.setattr(slots, "search_slots", search_and_die)
    assert len(_found(parts)) == PAGE
    assert searched == [PAGE + 1, PAGE + 1]


@pytest.mark.parametrize(
    ("limit", "most"), [(PAGE, searches.FEW_PAGES * (PAGE + 1)), (200, searches.MAX_WALKED)]
)
def test_old_postgresql_walks_a_few_pages_instead(
    parts: Services, monkeypatch: pytest.MonkeyPatch, limit: int, most: int
) -> None:
    walked: list[int] = []
    walk = searches._queries.search_by_walk

    def keep_account(conn: Connection, **parameters: Any) -> Sequence[Any]:
        walked.append(parameters["max_walked"])
        return list(walk(conn, **parameters))

    monkeypatch.setattr(searches, "ONE_PASS_VERSION", 1_000_000)
    monkeypatch.setattr(searches._queries, "search_near", lambda *_, **__: pytest.fail("it was"))
    monkeypatch.setattr(searches._queries, "search_by_walk", keep_account)
    assert len(_found(parts, limit)) == min(limit, DOCTORS)
    assert walked == [most]
