"""The table ``slots``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from booking.db.connection import Connection
from booking.db.queries import load_queries
from booking.errors import SlotNotFound
from booking.models import Slot, SlotFilter, SlotPosition, SlotStatus
from booking.repositories.searches import search_slots

_queries = load_queries("slots", prepared=frozenset({"find_slot"}))


def insert_slot(
    conn: Connection,
    *,
    slot_id: str,
    doctor_name: str,
    specialization: str | None,
    start_time: datetime,
    duration_minutes: int | None,
    total_capacity: int,
    max_seats_per_user: int | None = None,
) -> Slot | None:
    """Create an open slot with all its seats free; None when the start is not in the future."""
    row = _queries.insert_slot(
        conn,
        slot_id=slot_id,
        doctor_name=doctor_name,
        specialization=specialization,
        start_time=start_time,
        duration_minutes=duration_minutes,
        total_capacity=total_capacity,
        max_seats_per_user=max_seats_per_user,
    )
    return _slot(row) if row else None


def get_slot(conn: Connection, slot_id: str) -> tuple[Slot, int]:
    """Return the slot as it is shown, and how many of its seats lapsed holds still bear.

    Raises SlotNotFound.
    """
    row = _queries.find_slot(conn, slot_id=slot_id)
    if row is None:
        raise SlotNotFound
    return _slot(row[:-1]), row[-1]


def lock_slot(conn: Connection, slot_id: str) -> Slot:
    """Lock the slot until the transaction ends (FOR NO KEY UPDATE) and return it as it is stored.

    Raises SlotNotFound.
    """
    row = _queries.lock_slot(conn, slot_id=slot_id)
    if row is None:
        raise SlotNotFound
    return _slot(row)


def is_future(conn: Connection, moment: datetime) -> bool:
    """Tell whether the moment is yet to come, by the database's clock."""
    return bool(_queries.is_future(conn, moment=moment))


def update_slot(conn: Connection, slot: Slot) -> Slot:
    """Write an admin's change of a slot that the transaction has locked; raises its version.

    ``remaining_capacity`` is not taken from ``slot``: it moves with ``total_capacity``. Raises the
    driver's CheckViolation of slots_remaining_capacity_ck where more seats are taken than that.
    """
    return _slot(
        _queries.update_slot(
            conn,
            slot_id=slot.id,
            doctor_name=slot.doctor_name,
            specialization=slot.specialization,
            start_time=slot.start_time,
            duration_minutes=slot.duration_minutes,
            total_capacity=slot.total_capacity,
            max_seats_per_user=slot.max_seats_per_user,
            status=slot.status.value,
        )
    )


def delete_slot(conn: Connection, slot_id: str) -> bool:
    """Delete a slot that no booking ever named; False when there is none.

    Raises the driver's ForeignKeyViolation of bookings_slot_id_fk where a booking names it.
    """
    return bool(_queries.delete_slot(conn, slot_id=slot_id))


def list_slots(
    conn: Connection,
    wanted: SlotFilter,
    *,
    status: SlotStatus | None,
    min_seats: int | None,
    after: SlotPosition | None,
    max_rows: int,
) -> Sequence[Slot]:
    """Return slots by start and id, from behind ``after`` on.

    With ``min_seats``, only those of the future that have so many left. A search is several
    statements, which must see one moment.
    """
    page = {
        "starts_from": wanted.starts_from,
        "starts_before": wanted.starts_before,
        "status": status.value if status else None,
        "min_seats": min_seats,
        "after_start_time": after.start_time if after else None,
        "after_id": after.id if after else None,
    }
    if wanted.is_search:
        rows = search_slots(conn, wanted, page, max_rows)
    else:
        rows = _queries.list_slots(conn, max_rows=max_rows, **page)
    return [_slot(row) for row in rows]


def _slot(row: Sequence[Any]) -> Slot:
    (
        slot_id,
        doctor_name,
        specialization,
        start_time,
        duration_minutes,
        total_capacity,
        remaining_capacity,
        max_seats_per_user,
        status,
        version,
        created_at,
        updated_at,
    ) = row
    return Slot(
        slot_id,
        doctor_name,
        specialization,
        start_time,
        duration_minutes,
        total_capacity,
        remaining_capacity,
        max_seats_per_user,
        SlotStatus(status),
        version,
        created_at,
        updated_at,
    )
