"""Each check of sql/checks finds a database that was damaged by hand, and is named."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing

import psycopg2
import pytest
from psycopg2.extensions import connection as PgConnection  # noqa: N812

from booking.app import create_app
from booking.config import PROJECT_ROOT
from booking.repositories.checks import run_checks
from tests.support.apps import running_app
from tests.support.factories import booking_body, make_config, slot_body
from tests.support.rows import lapse
from tests.support.snapshots import query

CHECKS = sorted(path.stem for path in (PROJECT_ROOT / "sql" / "checks").glob("*.sql"))


@pytest.fixture(scope="module")
def healthy(new_database: Callable[..., str]) -> Iterator[PgConnection]:
    """A database of its own with bookings of every history, to be damaged and rolled back."""
    url = new_database()
    app = create_app(make_config(database_url=url))
    client = app.test_client()
    slot = client.post("/api/admin/slots", json=slot_body(total_capacity=20)).get_json()["data"]
    ids = {}
    for user in ("booked", "held", "confirmed", "cancelled", "expired"):
        body = booking_body(slot["id"], user_id=user, num_seats=2, hold=user != "booked")
        made = client.post("/api/bookings", json=body, headers={"Idempotency-Key": user})
        ids[user] = made.get_json()["data"]["id"]
    assert client.post(f"/api/bookings/{ids['confirmed']}/confirm").status_code == 200
    assert client.post(f"/api/bookings/{ids['cancelled']}/cancel").status_code == 200
    query(url, "UPDATE bookings SET expires_at = clock_timestamp() WHERE user_id = 'expired'")
    assert client.post("/api/admin/expire-pending").get_json()["data"]["expired"] == 1
    app.extensions["booking"].pool.close()
    conn = psycopg2.connect(url, options="-c TimeZone=UTC")
    conn.autocommit = True
    yield conn
    conn.close()


def _violated(conn: PgConnection, *damage: str) -> dict[str, int]:
    """Return what the checks find of the damage, which is rolled back."""
    with conn.cursor() as cursor:
        cursor.execute("BEGIN")
        try:
            # Triggers and foreign keys look away, as they do for whoever restores a dump.
            cursor.execute("SET LOCAL session_replication_role = replica")
            for statement in damage:
                cursor.execute(statement)
            results = run_checks(conn)
        finally:
            cursor.execute("ROLLBACK")
    return {result.name: len(result.violations) for result in results if result.violations}


def test_healthy_database_violates_nothing(healthy: PgConnection) -> None:
    assert _violated(healthy) == {}


def test_every_check_is_run(healthy: PgConnection) -> None:
    with healthy.cursor() as cursor:
        cursor.execute("BEGIN")
        names = [result.name for result in run_checks(healthy)]
        cursor.execute("ROLLBACK")
    assert names == CHECKS


DROP_BOUNDS = "ALTER TABLE slots DROP CONSTRAINT slots_remaining_capacity_ck"
DROP_TYPES = "ALTER TABLE booking_events DROP CONSTRAINT booking_events_type_ck"
OTHER_SLOT = (
    "INSERT INTO slots (id, doctor_name, start_time, total_capacity, remaining_capacity)"
    " VALUES (gen_random_uuid(), 'Dr. Other', now() + interval '1 day', 20, 20)"
)
EVENT = (
    "INSERT INTO booking_events"
    " (booking_id, slot_id, type, from_status, to_status, seats, slot_version)"
    " SELECT b.id, b.slot_id, {}, s.version FROM bookings AS b"
    " INNER JOIN slots AS s ON b.slot_id = s.id WHERE b.user_id = '{}'"
)
# The check that must find it, what is done, and how many rows the check must name.
DAMAGES: dict[str, tuple[str, list[str], int]] = {
    "a seat too few": ("seats_add_up", ["UPDATE slots SET remaining_capacity = 13"], 1),
    "a seat too many": ("seats_add_up", ["UPDATE slots SET remaining_capacity = 15"], 1),
    "capacity changed alone": ("seats_add_up", ["UPDATE slots SET total_capacity = 30"], 1),
    "cancelled without a return": (
        "seats_add_up",
        ["UPDATE bookings SET status = 'CANCELLED' WHERE user_id = 'booked'"],
        1,
    ),
    "seats of a booking changed": (
        "seats_move_once",
        ["UPDATE bookings SET num_seats = 3 WHERE user_id = 'booked'"],
        1,
    ),
    "fewer than none left": (
        "remaining_capacity_in_bounds",
        [DROP_BOUNDS, "UPDATE slots SET remaining_capacity = -1"],
        1,
    ),
    "more left than there are": (
        "remaining_capacity_in_bounds",
        [DROP_BOUNDS, "UPDATE slots SET remaining_capacity = 21"],
        1,
    ),
    "slot gone": ("bookings_have_slots", ["DELETE FROM slots"], 5),
    "booking moved to no slot": (
        "bookings_have_slots",
        ["UPDATE bookings SET slot_id = gen_random_uuid() WHERE user_id = 'held'"],
        1,
    ),
    "one key twice": (
        "idempotency_keys_are_unique",
        [
            "ALTER TABLE bookings DROP CONSTRAINT bookings_user_id_idempotency_key_uq",
            "UPDATE bookings SET user_id = 'same', idempotency_key = 'same' WHERE num_seats = 2",
        ],
        1,
    ),
    "status changed alone": (
        "history_leads_to_status",
        ["UPDATE bookings SET status = 'CONFIRMED' WHERE user_id = 'held'"],
        1,
    ),
    "history gone": (
        "history_leads_to_status",
        ["DELETE FROM booking_events WHERE type = 'BOOKED'"],
        1,
    ),
    "history without its beginning": (
        "history_leads_to_status",
        ["DELETE FROM booking_events WHERE type = 'HELD'"],
        # The hold that stands has no history left, the three others begin in the middle.
        4,
    ),
    "confirmed after it was cancelled": (
        "history_leads_to_status",
        [
            DROP_TYPES,
            "ALTER TABLE booking_events DROP CONSTRAINT booking_events_slot_version_ck",
            EVENT.format("'CONFIRMED', 'PENDING', 'CONFIRMED', 0", "cancelled"),
            "UPDATE bookings SET status = 'CONFIRMED' WHERE user_id = 'cancelled'",
        ],
        1,
    ),
    "seats returned twice": (
        "seats_move_once",
        [EVENT.format("'CANCELLED', 'PENDING', 'CANCELLED', 2", "cancelled")],
        1,
    ),
    "seats never returned": (
        "seats_move_once",
        ["DELETE FROM booking_events WHERE type = 'EXPIRED'"],
        1,
    ),
    "seats never taken": (
        "seats_move_once",
        ["DELETE FROM booking_events WHERE type = 'BOOKED'"],
        1,
    ),
    "event of another slot": (
        "events_belong_to_slots",
        ["UPDATE booking_events SET slot_id = gen_random_uuid() WHERE type = 'BOOKED'"],
        1,
    ),
    "event of a version to come": (
        "events_belong_to_slots",
        ["UPDATE booking_events SET slot_version = 99 WHERE type = 'BOOKED'"],
        1,
    ),
    "two moves of one version": (
        "events_belong_to_slots",
        ["UPDATE booking_events SET slot_version = 3 WHERE type IN ('BOOKED', 'CANCELLED')"],
        3,
    ),
    "confirmation of another slot": (
        "events_belong_to_slots",
        ["UPDATE booking_events SET slot_id = gen_random_uuid() WHERE type = 'CONFIRMED'"],
        1,
    ),
    "confirmation of no booking": (
        "events_belong_to_slots",
        [
            DROP_TYPES,
            (
                "INSERT INTO booking_events"
                " (booking_id, slot_id, type, from_status, to_status, seats)"
                " SELECT gen_random_uuid(), id, 'CONFIRMED', 'PENDING', 'CONFIRMED', 0 FROM slots"
            ),
        ],
        1,
    ),
    "booking moved to another slot": (
        "events_belong_to_slots",
        [
            OTHER_SLOT,
            (
                "UPDATE bookings SET slot_id = s.id FROM slots AS s"
                " WHERE s.doctor_name = 'Dr. Other' AND user_id = 'booked'"
            ),
        ],
        1,
    ),
    "booking and its history moved to another slot": (
        "seats_add_up",
        [
            OTHER_SLOT,
            (
                "UPDATE bookings SET slot_id = s.id FROM slots AS s"
                " WHERE s.doctor_name = 'Dr. Other' AND user_id = 'booked'"
            ),
            (
                "UPDATE booking_events AS e SET slot_id = b.slot_id FROM bookings AS b"
                " WHERE e.booking_id = b.id"
            ),
        ],
        2,
    ),
    "seats changed with the version": (
        "seats_add_up",
        ["UPDATE slots SET remaining_capacity = 15, version = version + 1"],
        1,
    ),
    "seats of a booking changed with those of its slot": (
        "seats_move_once",
        [
            "UPDATE bookings SET num_seats = 3 WHERE user_id = 'booked'",
            "UPDATE slots SET remaining_capacity = remaining_capacity - 1",
        ],
        1,
    ),
    "booking removed, its history left": (
        "events_belong_to_slots",
        ["DELETE FROM bookings WHERE user_id = 'confirmed'"],
        2,
    ),
    "standing booking removed with its history": (
        "seats_add_up",
        [
            (
                "DELETE FROM booking_events AS e USING bookings AS b"
                " WHERE e.booking_id = b.id AND b.user_id = 'booked'"
            ),
            "DELETE FROM bookings WHERE user_id = 'booked'",
        ],
        1,
    ),
    "booking nobody made": (
        "history_leads_to_status",
        [
            (
                "INSERT INTO bookings (id, slot_id, user_id, num_seats, status, expires_at)"
                " SELECT gen_random_uuid(), id, 'nobody', 1, 'CONFIRMED', now() FROM slots"
            )
        ],
        1,
    ),
    "event twice": (
        "history_leads_to_status",
        [
            (
                "INSERT INTO booking_events"
                " (booking_id, slot_id, type, from_status, to_status, seats, slot_version)"
                " SELECT booking_id, slot_id, type, from_status, to_status, seats, slot_version"
                " FROM booking_events WHERE type = 'BOOKED'"
            )
        ],
        1,
    ),
    "event in the middle gone": (
        "history_leads_to_status",
        ["DELETE FROM booking_events WHERE type = 'CONFIRMED'"],
        1,
    ),
    "event of another kind": (
        "history_leads_to_status",
        ["UPDATE booking_events SET type = 'BOOKED', to_status = 'CONFIRMED' WHERE type = 'HELD'"],
        4,
    ),
    "seats of an event changed": (
        "seats_move_once",
        ["UPDATE booking_events SET seats = 1 WHERE type = 'EXPIRED'"],
        1,
    ),
    "seats returned before they were taken": (
        "seats_move_once",
        [
            "UPDATE booking_events SET slot_version = 100 - slot_version",
            "UPDATE slots SET version = 100",
        ],
        2,
    ),
    "slot's version set back": ("events_belong_to_slots", ["UPDATE slots SET version = 2"], 6),
    "version that no slot begins with": (
        "events_belong_to_slots",
        ["UPDATE booking_events SET slot_version = 1 WHERE type = 'BOOKED'"],
        1,
    ),
    "place of two holds": (
        "hold_places_are_unique",
        [
            "DROP INDEX bookings_user_id_hold_place_pending_uq",
            (
                "UPDATE bookings SET user_id = 'same', hold_place = 1, status = 'PENDING'"
                " WHERE user_id IN ('held', 'confirmed')"
            ),
        ],
        1,
    ),
    "more seats for a user than the slot allows": (
        "user_seat_limits_hold",
        [
            "UPDATE slots SET max_seats_per_user = 2",
            "UPDATE bookings SET user_id = 'booked' WHERE user_id = 'held'",
        ],
        1,
    ),
    "bookings of more seats than the slot allows": (
        "user_seat_limits_hold",
        ["UPDATE slots SET max_seats_per_user = 1"],
        5,
    ),
    "made at another time": (
        "history_tells_times",
        ["UPDATE bookings SET created_at = created_at - interval '1 second' WHERE num_seats = 2"],
        5,
    ),
    "changed at another time": (
        "history_tells_times",
        ["UPDATE bookings SET updated_at = now() WHERE user_id IN ('booked', 'held')"],
        2,
    ),
    "history of another time": (
        "history_tells_times",
        ["UPDATE booking_events SET at = at + interval '1 us' WHERE type = 'CANCELLED'"],
        1,
    ),
    "hold that is none any more": (
        "history_tells_times",
        ["UPDATE bookings SET expires_at = NULL WHERE user_id = 'confirmed'"],
        1,
    ),
    "booking that becomes a hold": (
        "history_tells_times",
        ["UPDATE bookings SET expires_at = now() WHERE user_id = 'booked'"],
        1,
    ),
    "expired before its expiry": (
        "history_tells_times",
        ["UPDATE bookings SET expires_at = now() + interval '1 day' WHERE status = 'FAILED'"],
        1,
    ),
    "key of cursors gone": ("cursor_key_is_there", ["DELETE FROM cursor_keys"], 1),
    "event ids set back": (
        "event_ids_lie_ahead",
        ["ALTER SEQUENCE booking_events_id_seq RESTART"],
        1,
    ),
    "event ids left behind by a dump": (
        "event_ids_lie_ahead",
        ["SELECT setval('booking_events_id_seq', 2)"],
        1,
    ),
    "last event id given again": (
        "event_ids_lie_ahead",
        ["SELECT setval('booking_events_id_seq', max(id), false) FROM booking_events"],
        1,
    ),
    "constraint dropped": ("schema_is_whole", [DROP_BOUNDS], 1),
    "constraint switched to a cascade": (
        "schema_is_whole",
        [
            (
                "ALTER TABLE bookings DROP CONSTRAINT bookings_slot_id_fk, ADD CONSTRAINT"
                " bookings_slot_id_fk FOREIGN KEY (slot_id) REFERENCES slots (id) ON DELETE CASCADE"
            )
        ],
        1,
    ),
    "table that a crash empties": (
        "schema_is_whole",
        ["ALTER TABLE booking_events SET UNLOGGED"],
        1,
    ),
    "value no longer needed": (
        "schema_is_whole",
        ["ALTER TABLE bookings ALTER COLUMN user_id DROP NOT NULL"],
        1,
    ),
    "search index no longer kept": (
        "schema_is_whole",
        ["ALTER TABLE providers ALTER COLUMN doctor_name_runs DROP EXPRESSION"],
        1,
    ),
    "provider unknown": ("providers_are_known", ["DELETE FROM providers"], 1),
    "specialization unknown": ("providers_are_known", ["DELETE FROM specializations"], 1),
    "doctor renamed alone": ("providers_are_known", ["UPDATE slots SET doctor_name = 'Dr. X'"], 1),
    "constraint not validated": (
        "constraints_are_enforced",
        ["ALTER TABLE slots ADD CONSTRAINT slots_later_ck CHECK (version < 99) NOT VALID"],
        1,
    ),
    "index not valid": (
        "constraints_are_enforced",
        ["UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'slots_id_pk'::regclass"],
        1,
    ),
    "trigger off": (
        "constraints_are_enforced",
        ["ALTER TABLE booking_events DISABLE TRIGGER booking_events_append_only"],
        1,
    ),
    "foreign key off": (
        "constraints_are_enforced",
        ["ALTER TABLE bookings DISABLE TRIGGER ALL"],
        4,
    ),
}


@pytest.mark.parametrize(("check", "damage", "count"), DAMAGES.values(), ids=DAMAGES)
def test_damage_is_found_by_its_check(
    healthy: PgConnection, check: str, damage: list[str], count: int
) -> None:
    assert _violated(healthy, *damage).get(check) == count


def test_a_version_is_shared_by_holds_that_expired_together_alone(
    new_database: Callable[..., str],
) -> None:
    url = new_database()
    app = create_app(make_config(database_url=url))
    client = app.test_client()
    slot = client.post("/api/admin/slots", json=slot_body()).get_json()["data"]
    for user in ("first", "second"):
        body = booking_body(slot["id"], user_id=user, hold=True)
        assert client.post("/api/bookings", json=body).status_code == 201
    query(url, "UPDATE bookings SET expires_at = clock_timestamp()")
    assert client.post("/api/admin/expire-pending").get_json()["data"]["expired"] == 2
    app.extensions["booking"].pool.close()
    conn = psycopg2.connect(url, options="-c TimeZone=UTC")
    conn.autocommit = True
    with closing(conn):
        together = _violated(conn)
        found = _violated(
            conn,
            """
            UPDATE booking_events SET type = 'CANCELLED', to_status = 'CANCELLED'
            FROM bookings AS b WHERE b.id = booking_id AND user_id = 'second' AND type = 'EXPIRED'
            """,
        )

    assert together == {}
    assert found["events_belong_to_slots"] == 2


def test_limit_of_a_slot_is_judged_for_what_was_booked_under_it(
    new_database: Callable[..., str],
) -> None:
    url = new_database()
    conn = psycopg2.connect(url, options="-c TimeZone=UTC")
    conn.autocommit = True
    given_to_ann = "UPDATE bookings SET user_id = 'ann' WHERE user_id = 'bob'"
    with closing(conn), running_app(url) as api:
        slot_id = api.create_slot()
        cancelled = api.make_booking(slot_id, user_id="ann", num_seats=2)
        lapsed = api.make_booking(slot_id, user_id="ann", num_seats=3, hold=True)
        assert api.change_slot(slot_id, max_seats_per_user=3).status == 200
        api.make_booking(slot_id, user_id="bob", num_seats=1)
        assert api.cancel(cancelled).status == 200
        lapse(url, lapsed)
        api.make_booking(slot_id, user_id="ann", num_seats=3)
        assert _violated(conn) == {}
        # Both were booked under the limit: one beside five seats, the other beside one.
        assert _violated(conn, given_to_ann) == {"user_seat_limits_hold": 2}
        assert api.change_slot(slot_id, max_seats_per_user=1).status == 200
        assert _violated(conn) == _violated(conn, given_to_ann) == {}
        api.make_booking(slot_id, user_id="cat", num_seats=1)
        assert _violated(conn) == {}


def test_every_check_has_its_damage() -> None:
    assert {check for check, _, _ in DAMAGES.values()} == set(CHECKS)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE booking_events SET seats = 1",
        "UPDATE booking_events SET at = at WHERE false",
        "DELETE FROM booking_events",
        "DELETE FROM booking_events WHERE id = -1",
        "TRUNCATE booking_events",
        "TRUNCATE slots CASCADE",
    ],
)
def test_history_is_only_ever_appended_to(healthy: PgConnection, statement: str) -> None:
    with healthy.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM booking_events")
        before = cursor.fetchall()
        with pytest.raises(psycopg2.errors.RestrictViolation, match="booking_events is only ever"):
            cursor.execute(statement)
        cursor.execute("SELECT count(*) FROM booking_events")
        assert cursor.fetchall() == before


@pytest.mark.parametrize("statement", ["DELETE FROM slots", "DELETE FROM bookings"])
def test_what_has_a_history_cannot_be_deleted(healthy: PgConnection, statement: str) -> None:
    with pytest.raises(psycopg2.IntegrityError), healthy.cursor() as cursor:
        cursor.execute(statement)
