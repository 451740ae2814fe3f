"""Every operation of the API, by the endpoint of its route: ``blueprint.view``."""

from __future__ import annotations

from collections.abc import Mapping

from booking.openapi.operation import Operation
from booking.openapi.operations import (
    admin_bookings,
    admin_slots,
    bookings,
    documentation,
    health,
    slots,
)

OPERATIONS: Mapping[str, Operation] = {
    f"{module.__name__.rpartition('.')[2]}.{view}": operation
    for module in (slots, bookings, admin_slots, admin_bookings, health, documentation)
    for view, operation in module.OPERATIONS.items()
}
