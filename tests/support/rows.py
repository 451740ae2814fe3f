"""The rows of slots, bookings and events, read beside the application."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from tests.support.snapshots import query


@dataclass(frozen=True)
class SlotRow:
    """What a slot's row says of its seats."""

    total: int
    remaining: int
    version: int


def read_slot(url: str, slot_id: str) -> SlotRow:
    """Return the slot as it is stored."""
    [row] = query(
        url,
        "SELECT total_capacity, remaining_capacity, version FROM slots WHERE id = %s",
        slot_id,
    )
    return SlotRow(*row)


def read_statuses(url: str, slot_id: str) -> dict[str, str]:
    """Return the stored status of each booking of a slot, by its id."""
    return dict(
        query(
            url,
            "SELECT id::text, status FROM bookings WHERE slot_id = %s ORDER BY created_at, id",
            slot_id,
        )
    )


def read_history(url: str, booking_id: str) -> list[str]:
    """Return the types of a booking's events, oldest first."""
    rows = query(
        url, "SELECT type FROM booking_events WHERE booking_id = %s ORDER BY id", booking_id
    )
    return [event_type for (event_type,) in rows]


def count_events(url: str, slot_id: str) -> Counter[str]:
    """Return how many events of each type a slot's bookings have."""
    return Counter(
        dict(
            query(
                url,
                "SELECT type, count(*) FROM booking_events WHERE slot_id = %s GROUP BY type",
                slot_id,
            )
        )
    )


def lapse(url: str, booking_id: str) -> None:
    """Make a hold one that lapsed a second ago."""
    query(
        url,
        "UPDATE bookings SET expires_at = clock_timestamp() - interval '1 second' WHERE id = %s",
        booking_id,
    )


def has_passed(url: str, booking_id: str) -> bool:
    """Tell whether a hold's expiry lies behind, by the database's clock."""
    [(passed,)] = query(
        url, "SELECT expires_at <= clock_timestamp() FROM bookings WHERE id = %s", booking_id
    )
    return bool(passed)
