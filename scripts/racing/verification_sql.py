"""The checks on the database's own rows, where keys can be seen. Pure functions, too."""

from __future__ import annotations

from collections import Counter

from scripts.racing.facts import Facts
from scripts.racing.records import FINAL, LIVE, BookingRow, Check, DatabaseState, Evidence


def verify_database(evidence: Evidence, database: DatabaseState, facts: Facts) -> list[Check]:
    """Judge the rows by the answers and by what the API showed."""
    return [
        invariant_holds(database),
        keys_stand_once(database),
        keys_as_acknowledged(database, facts),
        none_lost_in_rows(database, facts),
        rows_as_shown(evidence, database),
        seats_returned_once(database),
    ]


def invariant_holds(database: DatabaseState) -> Check:
    """remaining_capacity + seats of PENDING and CONFIRMED = total_capacity, all within bounds."""
    live = sum(row.num_seats for row in database.bookings if row.status in LIVE)
    remaining, total = database.remaining_capacity, database.total_capacity
    return Check(
        "SQL: the slot's invariant holds",
        remaining + live == total and 0 <= remaining <= total,
        f"{remaining} remaining + {live} booked = {remaining + live} of {total}",
    )


def keys_stand_once(database: DatabaseState) -> Check:
    """No user's key stands on two bookings."""
    count = Counter((row.user_id, row.idempotency_key) for row in database.bookings)
    doubled = tuple(
        f"key {key} of {user}: {times} bookings"
        for (user, key), times in sorted(count.items(), key=str)
        if times > 1
    )
    return Check("SQL: each key stands once", not doubled, f"{len(count)} keys", doubled)


def keys_as_acknowledged(database: DatabaseState, facts: Facts) -> Check:
    """Each row's key was acknowledged, or its outcome is unknown."""
    known = set(facts.ids_of_key) | {intent.key for intent in facts.unknown}
    extra = tuple(
        f"{row.id}: key {row.idempotency_key}"
        for row in database.bookings
        if row.idempotency_key not in known
    )
    return Check(
        "SQL: no row is unacknowledged", not extra, f"{len(database.bookings)} rows", extra
    )


def none_lost_in_rows(database: DatabaseState, facts: Facts) -> Check:
    """Each acknowledged booking is a row, under the key and with the seats it was asked for."""
    rows = {row.id: row for row in database.bookings}
    lost: list[str] = []
    for booking_id, intent in sorted(facts.acknowledged.items()):
        row = rows.get(booking_id)
        if row is None:
            lost.append(f"{booking_id}: no row")
        elif (row.idempotency_key, row.user_id, row.num_seats) != (
            intent.key,
            intent.user_id,
            intent.seats,
        ):
            lost.append(f"{booking_id}: key, user or seats are not those that were asked for")
    found = len(facts.acknowledged) - len(lost)
    return Check(
        "SQL: none is lost", not lost, f"{found} of {len(facts.acknowledged)} found", tuple(lost)
    )


def rows_as_shown(evidence: Evidence, database: DatabaseState) -> Check:
    """Each row has the status that the API showed; only a lapse may have come between."""
    wrong: list[str] = []
    for row in database.bookings:
        shown = evidence.api.read_back.get(row.id)
        if shown is None:
            wrong.append(f"{row.id}: {row.status}, the API does not show it")
        elif row.status != shown.status and not _lapsed_meanwhile(row, shown.status):
            wrong.append(f"{row.id}: {row.status}, the API shows {shown.status}")
    return Check(
        "SQL: rows are as the API shows", not wrong, f"{len(database.bookings)} rows", tuple(wrong)
    )


def seats_returned_once(database: DatabaseState) -> Check:
    """By booking_events, seats came back once for each final booking and never for others."""
    wrong: list[str] = []
    for row in database.bookings:
        due = 1 if row.status in FINAL else 0
        returned = database.returns.get(row.id, 0)
        if returned != due:
            wrong.append(f"{row.id}: {row.status}, its seats came back {returned} times")
    return Check(
        "SQL: seats came back once",
        not wrong,
        f"{sum(database.returns.values())} returns",
        tuple(wrong),
    )


def _lapsed_meanwhile(row: BookingRow, shown: str) -> bool:
    if shown == "FAILED":
        return row.status == "PENDING" and row.lapsed
    return shown == "PENDING" and row.status == "FAILED"
