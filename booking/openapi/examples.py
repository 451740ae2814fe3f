"""One world that all examples are of: a slot, and what becomes of two seats of it."""

from __future__ import annotations

from typing import Any

SLOT_ID = "0197a2d4-5c1e-7b3a-9f60-3d8e21c4b7a5"
BOOKING_ID = "0197a2d9-1f42-7c85-8a1b-6e0f92d7c318"
USER_ID = "meera"
REQUEST_ID = "4f9c2f3e-8d0b-4a67-b1c5-2e7d90a6f834"
CURSOR = "WyIyMDM1LTAzLTE0VDA5OjMwOjAwKzAwOjAwIiwiMDE5N2EyZDQiXQ.dQbS3Zb8pYx1vUo0mKfT2wJh7NcRr5Ls"

SLOT: dict[str, Any] = {
    "id": SLOT_ID,
    "doctor_name": "Dr. Asha Rao",
    "specialization": "Cardiology",
    "start_time": "2035-03-14T09:30:00Z",
    "duration_minutes": 30,
    "total_capacity": 10,
    "remaining_capacity": 8,
    "max_seats_per_user": 4,
    "status": "OPEN",
    "version": 4,
    "created_at": "2035-03-01T08:00:00Z",
    "updated_at": "2035-03-02T11:20:45.120394Z",
}

NEW_SLOT = {**SLOT, "remaining_capacity": 10, "version": 1, "updated_at": SLOT["created_at"]}

CLOSED_SLOT = {**SLOT, "status": "CLOSED", "version": 5}

CONFIRMED: dict[str, Any] = {
    "id": BOOKING_ID,
    "slot_id": SLOT_ID,
    "user_id": USER_ID,
    "num_seats": 2,
    "status": "CONFIRMED",
    "failure_reason": None,
    "expires_at": None,
    "created_at": "2035-03-02T11:20:45.120394Z",
    "updated_at": "2035-03-02T11:20:45.120394Z",
}

HELD = {**CONFIRMED, "status": "PENDING", "expires_at": "2035-03-02T11:22:45.120394Z"}

HELD_AND_CONFIRMED = {
    **HELD,
    "status": "CONFIRMED",
    "updated_at": "2035-03-02T11:21:30.004211Z",
}

LAPSED = {
    **HELD,
    "status": "FAILED",
    "failure_reason": "EXPIRED",
    "updated_at": "2035-03-02T11:22:51.730118Z",
}

CANCELLED = {**CONFIRMED, "status": "CANCELLED", "updated_at": "2035-03-03T07:05:12.901226Z"}

EVENTS = [
    {
        "type": "HELD",
        "from": None,
        "to": "PENDING",
        "seats": 2,
        "at": "2035-03-02T11:20:45.120394Z",
    },
    {
        "type": "CONFIRMED",
        "from": "PENDING",
        "to": "CONFIRMED",
        "seats": 0,
        "at": "2035-03-02T11:21:30.004211Z",
    },
]

LAST_PAGE = {"next_cursor": None, "limit": 50}
FIRST_PAGE = {"next_cursor": CURSOR, "limit": 1}
