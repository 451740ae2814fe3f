"""What a client wants, and how the API is asked for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tests.faults.chaos.records import BOOKINGS, Operation

_PATHS: Mapping[Operation, tuple[str, str]] = {
    Operation.BOOK: ("POST", "/api/bookings"),
    Operation.HOLD: ("POST", "/api/bookings"),
    Operation.CONFIRM: ("POST", "/api/bookings/{booking_id}/confirm"),
    Operation.CANCEL: ("POST", "/api/bookings/{booking_id}/cancel"),
    Operation.READ_BOOKING: ("GET", "/api/bookings/{booking_id}"),
    Operation.READ_SLOT: ("GET", "/api/slots/{slot_id}"),
    Operation.CREATE_SLOT: ("POST", "/api/admin/slots"),
    Operation.CHANGE_SLOT: ("PATCH", "/api/admin/slots/{slot_id}"),
    Operation.EXPIRE_PENDING: ("POST", "/api/admin/expire-pending"),
}


@dataclass(frozen=True, kw_only=True)
class Intent:
    """What is asked for, however often it has to be sent."""

    operation: Operation
    user_id: str | None = None
    idempotency_key: str | None = None
    slot_id: str | None = None
    booking_id: str | None = None
    num_seats: int | None = None
    total_capacity: int | None = None
    slot_status: str | None = None
    start_time: str | None = None

    @property
    def method(self) -> str:
        """The HTTP method."""
        return _PATHS[self.operation][0]

    @property
    def path(self) -> str:
        """The path of the resource."""
        path = _PATHS[self.operation][1]
        return path.format(slot_id=self.slot_id, booking_id=self.booking_id)

    @property
    def body(self) -> dict[str, object] | None:
        """The JSON to be sent."""
        if self.operation in BOOKINGS:
            return {
                "slot_id": self.slot_id,
                "user_id": self.user_id,
                "num_seats": self.num_seats,
                "hold": self.operation == Operation.HOLD,
            }
        if self.operation == Operation.CREATE_SLOT:
            return {
                "doctor_name": "Dr. Asha Rao",
                "start_time": self.start_time,
                "total_capacity": self.total_capacity,
            }
        if self.operation == Operation.CHANGE_SLOT:
            fields = {"total_capacity": self.total_capacity, "status": self.slot_status}
            return {name: value for name, value in fields.items() if value is not None}
        return None
