"""What a load balancer asks."""

from __future__ import annotations

from collections.abc import Mapping

from booking.errors import NotReady
from booking.openapi.answers import HealthOut, ReadinessOut
from booking.openapi.operation import Example, Operation, one

TAG = "Operation"

OPERATIONS: Mapping[str, Operation] = {
    "get_health": Operation(
        tag=TAG,
        summary="Ask whether the process lives",
        description=(
            "200 while the process lives, whether the database is up or not. For a liveness probe: "
            "a restart would not mend what this does not see."
        ),
        success=one(HealthOut, "It lives.", Example("ok", "It lives", {"status": "ok"})),
        is_probe=True,
    ),
    "get_readiness": Operation(
        tag=TAG,
        summary="Ask whether bookings can be served",
        description=(
            "200 while the database is reached, migrated, answers a commit and keeps what it "
            "commits. "
            "For a readiness probe or a load balancer: send no bookings here while it is 503."
        ),
        success=one(
            ReadinessOut, "Bookings are served.", Example("ready", "Ready", {"status": "ready"})
        ),
        problems=(NotReady,),
        is_probe=True,
    ),
}
