"""A hold stands until its expiry and no longer, by the database's clock."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import timedelta

from tests.faults.chaos.evidence import Evidence
from tests.faults.chaos.lives import Life
from tests.faults.chaos.records import EventRow, Operation
from tests.faults.chaos.violation import Finding

# The event's time is read after the one that decided, by a backend that may have been stopped
# between the two.
_DECIDED_WITHIN = timedelta(seconds=1)


def holds_are_shown_until_they_lapse(evidence: Evidence) -> Iterator[Finding]:
    """No answer shows a hold FAILED before its expiry, nor PENDING after it."""
    for life in evidence.lives.values():
        earliest, latest = life.expiry
        for seen in life.sightings:
            if seen.status == "FAILED" and seen.call.answered < earliest:
                yield Finding("FAILED before its expiry", (life.id, seen.call.request.id))
                break
            if seen.status == "PENDING" and seen.call.sent > latest:
                yield Finding("PENDING after its expiry", (life.id, seen.call.request.id))
                break


def lapsed_holds_stay_lapsed(evidence: Evidence) -> Iterator[Finding]:
    """No hold was confirmed, or cancelled, by requests that were all sent after its expiry."""
    for life in evidence.lives.values():
        confirm, cancel = life.asked_to(Operation.CONFIRM), life.asked_to(Operation.CANCEL)
        if not life.is_hold:
            continue
        if "CONFIRMED" in life.statuses and life.expiry[1] < confirm < math.inf:
            yield Finding("confirmed after its expiry", _ids(life))
        elif (
            "CANCELLED" in life.statuses
            and life.expiry[1] < cancel < math.inf
            and life.expiry[1] < confirm
        ):
            yield Finding("cancelled after its expiry, and never confirmed", _ids(life))


def _ids(life: Life) -> tuple[str, ...]:
    return life.id, *(call.request.id for call in life.calls)


def events_keep_to_the_expiry(evidence: Evidence) -> Iterator[Finding]:
    """No event moves on a hold that had lapsed, nor fails one that had not."""
    for event in evidence.tables.events:
        life = evidence.lives.get(event.booking_id)
        if event.from_status == "PENDING" and life and (what := _untimely(event, life)):
            yield Finding(what, (event.booking_id, f"event {event.id}"))


def _untimely(event: EventRow, life: Life) -> str | None:
    expires_at = life.shown.expires_at if life.shown else None
    if expires_at is None:
        return f"{event.type} from PENDING, and was no hold"
    if event.type == "EXPIRED":
        return "EXPIRED before its expiry" if event.at < expires_at else None
    late = event.at - expires_at
    return f"{event.type} {late} after its expiry" if late > _DECIDED_WITHIN else None
