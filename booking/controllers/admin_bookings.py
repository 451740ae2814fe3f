"""Everybody's bookings, as admins see and tend them."""

from __future__ import annotations

from flask import Blueprint, Response

from booking.controllers.bookings import list_response
from booking.controllers.parsing import read_no_body, read_query
from booking.controllers.responses import data_response
from booking.middleware.authentication import Access, allow
from booking.schemas.bookings import BookingListQuery
from booking.schemas.pagination import NoBody, NoQuery
from booking.services.audit import AuditService
from booking.services.booking.expiry import ExpiryService
from booking.services.booking.service import BookingService
from booking.services.pagination import CursorKey

_no_query = NoQuery()
_no_body = NoBody()
_list_query = BookingListQuery()


def create_blueprint(
    bookings: BookingService, expiry: ExpiryService, audit: AuditService, cursor_key: CursorKey
) -> Blueprint:
    """Return the routes under ``/api/admin`` that are about all bookings."""
    blueprint = Blueprint("admin_bookings", __name__, url_prefix="/api/admin")

    @blueprint.get("/bookings")
    @allow(Access.ADMIN)
    def list_bookings() -> Response:
        return list_response(bookings, cursor_key, read_query(_list_query))

    @blueprint.post("/expire-pending")
    @allow(Access.ADMIN)
    def expire_pending() -> Response:
        read_query(_no_query)
        read_no_body(_no_body)
        expired = expiry.expire_all()
        return data_response({"expired": expired.holds, "seats_restored": expired.seats})

    @blueprint.get("/audit")
    @allow(Access.ADMIN)
    def run_audit() -> Response:
        read_query(_no_query)
        results = audit.run_audit()
        return data_response(
            {
                "healthy": not any(result.violations for result in results),
                "checks": [
                    {"name": result.name, "violations": len(result.violations)}
                    for result in results
                ],
            }
        )

    return blueprint
