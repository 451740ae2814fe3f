"""Lapsed holds of the table ``bookings``, over many rows at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from booking.db.connection import Connection
from booking.db.queries import load_queries

_queries = load_queries("holds")


@dataclass(frozen=True)
class Expired:
    """How many holds failed, and how many seats went back."""

    holds: int = 0
    seats: int = 0

    def __add__(self, other: Expired) -> Expired:
        return Expired(self.holds + other.holds, self.seats + other.seats)


@dataclass(frozen=True)
class Batch:
    """What one statement failed, and how many slots with lapsed holds it found locked."""

    expired: Expired = Expired()
    locked_slots: int = 0

    def __add__(self, other: Batch) -> Batch:
        return Batch(self.expired + other.expired, self.locked_slots + other.locked_slots)


def expire_holds(
    conn: Connection,
    slot_ids: Sequence[str],
    max_holds: int,
    booking_ids: Sequence[str] | None = None,
) -> Batch:
    """Fail lapsed holds of the slots, ``max_holds`` at most, and give their seats back; where there
    are ``booking_ids``, those alone.

    Locks slots by id, then holds, until the commit; passes over what others have locked.
    """
    holds, seats, locked_slots = _queries.expire_holds(
        conn, slot_ids=list(slot_ids), booking_ids=_ids(booking_ids), max_holds=max_holds
    )
    return Batch(Expired(holds, seats), locked_slots)


def lock_lapsed_holds(
    conn: Connection, slot_id: str, max_holds: int, booking_ids: Sequence[str] | None = None
) -> int:
    """Lock lapsed holds of a slot that the transaction has locked, as expire_holds chooses them;
    waits. Returns how many.
    """
    rows = _queries.lock_lapsed_holds(
        conn, slot_id=slot_id, booking_ids=_ids(booking_ids), max_holds=max_holds
    )
    return len(list(rows))


def list_slots_with_lapsed_holds(conn: Connection, lapsed_before: datetime) -> Sequence[str]:
    """Return the ids of slots with holds that had lapsed by then, in the lock order."""
    rows = _queries.list_slots_with_lapsed_holds(conn, lapsed_before=lapsed_before)
    return [slot_id for (slot_id,) in rows]


def read_clock(conn: Connection) -> datetime:
    """Return the database's time."""
    moment: datetime = _queries.read_clock(conn)
    return moment


def _ids(booking_ids: Sequence[str] | None) -> list[str] | None:
    return None if booking_ids is None else list(booking_ids)
