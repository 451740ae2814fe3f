"""Whether the process lives, and whether it can serve."""

from __future__ import annotations

from flask import Blueprint, Response

from booking.controllers.parsing import read_query
from booking.controllers.responses import data_response
from booking.middleware.authentication import Access, allow
from booking.schemas.pagination import NoQuery
from booking.services.readiness import ReadinessService

_no_query = NoQuery()


def create_blueprint(readiness: ReadinessService) -> Blueprint:
    """Return the probes' routes."""
    blueprint = Blueprint("health", __name__)

    @blueprint.get("/health")
    @allow(Access.ALL)
    def get_health() -> Response:
        read_query(_no_query)
        return data_response({"status": "ok"})

    @blueprint.get("/ready")
    @allow(Access.ALL)
    def get_readiness() -> Response:
        read_query(_no_query)
        readiness.check_readiness()
        return data_response({"status": "ready"})

    return blueprint
