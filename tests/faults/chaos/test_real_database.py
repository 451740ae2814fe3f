"""The application's own rows: an honest history of them violates nothing, each damage is named."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import psycopg2
import pytest
from psycopg2.extensions import connection as PgConnection  # noqa: N812

from tests.faults.chaos.checker import find_violations
from tests.faults.chaos.history import History
from tests.faults.chaos.records import Answer, Operation, Record, Request, read_answer
from tests.faults.chaos.story import checks_of
from tests.faults.chaos.tables import read_tables
from tests.support.apps import Api, running_app
from tests.support.factories import slot_body
from tests.support.sessions import wait_until

CLIENTS = 8
ROUNDS = 12
CAPACITY = 40
HOLD_SECONDS = 0.4

_PATHS = {
    Operation.CONFIRM: "/api/bookings/{}/confirm",
    Operation.CANCEL: "/api/bookings/{}/cancel",
    Operation.READ_BOOKING: "/api/bookings/{}",
}


@dataclass(frozen=True)
class Recorded:
    """A history of the application, and a connection to the database that it ran on."""

    history: History
    conn: PgConnection
    slot_id: str


class Client:
    """Sends requests one after another, and records them."""

    def __init__(self, api: Api, name: str) -> None:
        self._api = api
        self._name = name
        self.records: list[Record] = []

    def call(
        self,
        operation: Operation,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        **fields: Any,
    ) -> Answer:
        request = Request(
            id=f"{self._name}-{len(self.records)}",
            client=self._name,
            operation=operation,
            sent=time.monotonic(),
            **fields,
        )
        self.records.append(request)
        key = fields.get("idempotency_key")
        got = self._api.send(method, path, body, {"Idempotency-Key": key} if key else {})
        answer = read_answer(request, time.monotonic(), got.status, got.headers, got.body)
        self.records.append(answer)
        return answer

    def create_slot(self) -> str:
        answer = self.call(
            Operation.CREATE_SLOT,
            "POST",
            "/api/admin/slots",
            slot_body(total_capacity=CAPACITY),
            total_capacity=CAPACITY,
        )
        assert answer.slot
        return answer.slot.id

    def change_capacity(self, slot_id: str, total_capacity: int) -> None:
        self.call(
            Operation.CHANGE_SLOT,
            "PATCH",
            f"/api/admin/slots/{slot_id}",
            {"total_capacity": total_capacity},
            slot_id=slot_id,
            total_capacity=total_capacity,
        )

    def read_slot(self, slot_id: str) -> None:
        self.call(Operation.READ_SLOT, "GET", f"/api/slots/{slot_id}", slot_id=slot_id)

    def book(self, slot_id: str, key: str, seats: int, *, hold: bool) -> str | None:
        body = {"slot_id": slot_id, "user_id": self._name, "num_seats": seats, "hold": hold}
        answer = self.call(
            Operation.HOLD if hold else Operation.BOOK,
            "POST",
            "/api/bookings",
            body,
            user_id=self._name,
            idempotency_key=key,
            slot_id=slot_id,
            num_seats=seats,
        )
        return answer.booking.id if answer.booking else None

    def about(self, operation: Operation, booking_id: str) -> None:
        method = "GET" if operation == Operation.READ_BOOKING else "POST"
        self.call(operation, method, _PATHS[operation].format(booking_id), booking_id=booking_id)

    def work(self, slot_id: str) -> None:
        """Book, hold, confirm, cancel, send again and read, until the slot is full and beyond."""
        for round_number in range(ROUNDS):
            key, hold = f"key-{round_number}", round_number % 2 == 0
            booking_id = self.book(slot_id, key, 1 + round_number % 3, hold=hold)
            self.read_slot(slot_id)
            if booking_id is None:
                continue
            if round_number % 3 == 0:
                self.about(Operation.CONFIRM, booking_id)
            if round_number % 4 == 1:
                self.about(Operation.CANCEL, booking_id)
                self.about(Operation.CANCEL, booking_id)
            self.book(slot_id, key, 1 + round_number % 3, hold=hold)
            self.about(Operation.READ_BOOKING, booking_id)


@pytest.fixture(scope="module")
def recorded(new_database: Callable[..., str]) -> Iterator[Recorded]:
    """A database of its own on which clients worked at once, some holds lapsed among it."""
    url = new_database()
    conn = psycopg2.connect(url, options="-c TimeZone=UTC")
    conn.autocommit = True
    with running_app(url, hold_ttl_seconds=HOLD_SECONDS) as api:
        admin = Client(api, "admin")
        slot_id = admin.create_slot()
        clients = [Client(api, f"client-{number}") for number in range(CLIENTS)]
        with ThreadPoolExecutor(CLIENTS) as threads:
            working = [threads.submit(client.work, slot_id) for client in clients]
            admin.change_capacity(slot_id, CAPACITY + 5)
            for work in working:
                work.result()
        admin.book(slot_id, "left", 1, hold=True)
        wait_until(partial(_no_hold_is_live, conn), "every hold to lapse")
        admin.call(Operation.EXPIRE_PENDING, "POST", "/api/admin/expire-pending")
        admin.book(slot_id, "freed", 1, hold=False)
        admin.read_slot(slot_id)
    records = [record for client in [admin, *clients] for record in client.records]
    yield Recorded(History.of(records), conn, slot_id)
    conn.close()


def _no_hold_is_live(conn: PgConnection) -> bool:
    with conn.cursor() as cursor:
        cursor.execute("SELECT FROM current_bookings WHERE status = 'PENDING'")
        return cursor.rowcount == 0


def _found(recorded: Recorded, *damage: str) -> set[str]:
    """Return the checks that find the damage, which is rolled back."""
    with recorded.conn.cursor() as cursor:
        cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        try:
            # Triggers and foreign keys look away, as they do for whoever restores a dump.
            cursor.execute("SET LOCAL session_replication_role = replica")
            for statement in damage:
                cursor.execute(statement)
                assert cursor.rowcount != 0, f"nothing to damage: {statement}"
            tables = read_tables(recorded.conn)
        finally:
            cursor.execute("ROLLBACK")
    return checks_of(find_violations(recorded.history, tables))


def test_application_violates_nothing(recorded: Recorded) -> None:
    assert find_violations(recorded.history, read_tables(recorded.conn)) == []


def test_history_has_every_kind_of_call_in_it(recorded: Recorded) -> None:
    calls = recorded.history.calls
    codes = {call.answer.code for call in calls if call.answer}
    assert "SLOT_FULL" in codes
    assert {call.operation for call in calls} == set(Operation)
    assert any(call.answer and call.answer.replayed for call in calls)
    statuses = {row.status for row in read_tables(recorded.conn).bookings}
    assert statuses == {"CONFIRMED", "CANCELLED", "FAILED"}


ONE = "(SELECT min(id::text)::uuid FROM bookings WHERE status = '{}')"
DAMAGES: dict[str, tuple[set[str], list[str]]] = {
    "a seat too many": (
        {"seats_add_up", "events_replay_to_slots"},
        ["UPDATE slots SET remaining_capacity = remaining_capacity + 1"],
    ),
    "a booking lost": (
        {"acknowledged_bookings_are_stored", "events_lead_to_status", "seats_add_up"},
        [f"DELETE FROM bookings WHERE id = {ONE.format('CONFIRMED')}"],
    ),
    "a booking lost without a trace": (
        {"acknowledged_bookings_are_stored", "events_replay_to_slots"},
        [
            (
                f"UPDATE slots SET remaining_capacity = remaining_capacity"
                f" + (SELECT num_seats FROM bookings WHERE id = {ONE.format('CONFIRMED')})"
            ),
            f"DELETE FROM booking_events WHERE booking_id = {ONE.format('CONFIRMED')}",
            f"DELETE FROM bookings WHERE id = {ONE.format('CONFIRMED')}",
        ],
    ),
    "a cancel undone": (
        {"bookings_end_in_a_legal_status", "events_lead_to_status", "seats_add_up"},
        [
            f"UPDATE bookings SET status = 'CONFIRMED' WHERE id = {ONE.format('CANCELLED')}",
        ],
    ),
    "a booking that nobody asked for": (
        {"bookings_were_asked_for", "events_lead_to_status", "seats_add_up"},
        [
            (
                "INSERT INTO bookings (id, slot_id, user_id, num_seats, status, idempotency_key)"
                " SELECT gen_random_uuid(), id, 'nobody', 1, 'CONFIRMED', 'key' FROM slots"
            )
        ],
    ),
    "a key that booked twice": (
        {"keys_book_once"},
        [
            "ALTER TABLE bookings DROP CONSTRAINT bookings_user_id_idempotency_key_uq",
            (
                "INSERT INTO bookings (id, slot_id, user_id, num_seats, status, idempotency_key)"
                " SELECT gen_random_uuid(), slot_id, user_id, 1, 'CANCELLED', idempotency_key"
                f" FROM bookings WHERE id = {ONE.format('CONFIRMED')}"
            ),
        ],
    ),
    "seats returned twice": (
        {"seats_move_once", "events_lead_to_status", "events_replay_to_slots"},
        [
            (
                "INSERT INTO booking_events"
                " (booking_id, slot_id, type, from_status, to_status, seats, slot_version)"
                " SELECT booking_id, slot_id, type, from_status, to_status, seats,"
                " slot_version FROM booking_events"
                f" WHERE type = 'CANCELLED' AND booking_id = {ONE.format('CANCELLED')}"
            ),
        ],
    ),
    "a version that nobody made": (
        {"events_replay_to_slots"},
        ["UPDATE slots SET version = version + 1"],
    ),
    "a slot gone back": (
        {"acknowledged_slots_are_stored", "events_replay_to_slots"},
        ["UPDATE slots SET version = version - 1"],
    ),
    "a slot lost": ({"acknowledged_slots_are_stored"}, ["DELETE FROM slots"]),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_by_hand_is_named(name: str, recorded: Recorded) -> None:
    checks, damage = DAMAGES[name]
    assert checks <= _found(recorded, *damage)
