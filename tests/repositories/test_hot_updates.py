"""Bookings of one slot update its row in place: no index has to follow (design, "The hot slot")."""

from __future__ import annotations

from collections.abc import Callable

from booking.app import create_app
from tests.support.factories import booking_body, make_config, slot_body
from tests.support.snapshots import query

BOOKED_COLUMNS = {"remaining_capacity", "version", "updated_at"}
INDEXES = "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename = 'slots'"


def test_no_index_names_what_a_booking_changes(database_url: str) -> None:
    definitions = [definition for (definition,) in query(database_url, INDEXES)]
    assert len(definitions) >= 2
    for definition in definitions:
        assert not [column for column in BOOKED_COLUMNS if column in definition], definition


def test_bookings_of_a_slot_are_hot_updates(new_database: Callable[..., str]) -> None:
    url = new_database()
    app = create_app(make_config(database_url=url, db_pool_size=1))
    client = app.test_client()
    slot = client.post("/api/admin/slots", json=slot_body(total_capacity=1000)).get_json()["data"]
    for number in range(300):
        made = client.post("/api/bookings", json=booking_body(slot["id"], user_id="hot"))
        assert made.status_code == 201
        if number % 3 == 0:
            booking_id = made.get_json()["data"]["id"]
            assert client.post(f"/api/bookings/{booking_id}/cancel").status_code == 200
    with app.extensions["booking"].pool.connection() as conn, conn.cursor() as cursor:
        # A backend tells its counts late; this one tells them with its next statement.
        cursor.execute("SELECT pg_stat_force_next_flush()")
        cursor.execute("SELECT 1")
    app.extensions["booking"].pool.close()
    [(updates, hot)] = query(
        url, "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'slots'"
    )
    assert updates == 400
    assert hot >= 0.95 * updates
