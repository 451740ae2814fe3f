"""A booking's status is one that somebody or its expiry led to, and what is final stays."""

from __future__ import annotations

import math
from collections.abc import Iterator

from tests.faults.chaos.evidence import Evidence
from tests.faults.chaos.lives import FINAL, Life, Sighting
from tests.faults.chaos.records import BookingRow, Operation
from tests.faults.chaos.violation import Finding

_RANKS = {"PENDING": 0, "CONFIRMED": 1, "FAILED": 2, "CANCELLED": 2}


def bookings_end_in_a_legal_status(evidence: Evidence) -> Iterator[Finding]:
    """A row has a status that its requests, acknowledged and unknown, and its expiry allow."""
    for life in evidence.lives.values():
        row = life.row
        if row is None:
            continue
        legal = _legal_ends(life)
        if row.status == "FAILED" and row.expires_at and evidence.tables.read_at < row.expires_at:
            legal.discard("FAILED")
        if row.status not in legal:
            yield Finding(
                f"{row.status} in the end, where {' or '.join(sorted(legal))} can be",
                (life.id, *(call.request.id for call in life.calls)),
            )
        elif (row.failure_reason == "EXPIRED") != (row.status == "FAILED"):
            yield Finding(f"{row.status} for the reason {row.failure_reason}", (life.id,))


def _legal_ends(life: Life) -> set[str]:
    if "CANCELLED" in _seen(life):
        return {"CANCELLED"}
    if "FAILED" in _seen(life):
        # A lapsed hold is shown as FAILED before it is swept.
        return {"FAILED", "PENDING"}
    legal = set()
    if not life.is_hold or life.asked_to(Operation.CONFIRM) < math.inf:
        legal.add("CONFIRMED")
    if life.asked_to(Operation.CANCEL) < math.inf:
        legal.add("CANCELLED")
    if life.is_hold and "CONFIRMED" not in _seen(life):
        legal |= {"PENDING", "FAILED"}
    return legal


def _seen(life: Life) -> set[str]:
    return {seen.status for seen in life.sightings}


def statuses_were_asked_for(evidence: Evidence) -> Iterator[Finding]:
    """No answer shows a booking cancelled, or a hold confirmed, before anybody asked for it."""
    for life in evidence.lives.values():
        for seen in life.sightings:
            operation = _operation_to(seen, life)
            if operation and life.asked_to(operation) > seen.call.answered:
                yield Finding(
                    f"{seen.status} before anybody had sent a {operation}",
                    (life.id, seen.call.request.id),
                )
                break


def _operation_to(seen: Sighting, life: Life) -> Operation | None:
    if seen.status == "CANCELLED":
        return Operation.CANCEL
    return Operation.CONFIRM if seen.status == "CONFIRMED" and life.is_hold else None


def bookings_never_go_back(evidence: Evidence) -> Iterator[Finding]:
    """Of two sightings, or a sighting and the row, where one was over before the other began, the
    later has the same status or one that follows it.
    """
    for life in evidence.lives.values():
        yield from _contradictions(life)
        furthest: Sighting | None = None
        by_answer = sorted(life.sightings, key=lambda seen: seen.call.answered)
        place = 0
        for seen in sorted(life.sightings, key=lambda seen: seen.call.sent):
            while place < len(by_answer) and by_answer[place].call.answered < seen.call.sent:
                if not furthest or _rank(by_answer[place]) > _rank(furthest):
                    furthest = by_answer[place]
                place += 1
            if furthest and _rank(seen) < _rank(furthest):
                yield Finding(
                    f"{seen.status} after it was seen {furthest.status}",
                    (life.id, furthest.call.request.id, seen.call.request.id),
                )
                break


def _rank(seen: Sighting) -> int:
    return _RANKS[seen.status]


def _contradictions(life: Life) -> Iterator[Finding]:
    """What cannot be of one booking in whatever order: both final statuses, or an expiry of what
    was confirmed.
    """
    by_status = {seen.status: seen.call.request.id for seen in life.sightings}
    row: BookingRow | None = life.row
    if row and row.status in FINAL:
        by_status.setdefault(row.status, f"row {row.id}")
    for other in ("CANCELLED", "CONFIRMED"):
        if "FAILED" in by_status and other in by_status:
            yield Finding(
                f"both {other} and FAILED", (life.id, by_status[other], by_status["FAILED"])
            )
