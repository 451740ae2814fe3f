"""A slot's version never falls: in what is read, and in what bookings and cancels moved."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from operator import attrgetter

from tests.faults.chaos.evidence import Evidence
from tests.faults.chaos.lives import Life
from tests.faults.chaos.records import EventRow, Operation
from tests.faults.chaos.violation import Finding


@dataclass(frozen=True, slots=True)
class _Point:
    """A version that was there between two moments: read, or made (``is_move``)."""

    version: int
    start: float
    end: float
    is_move: bool
    name: str


def slots_never_go_back(evidence: Evidence) -> Iterator[Finding]:
    """What was over before a read or a move began had no later version than it, and no move of
    seats makes a version that was there before it was asked for.
    """
    for slot_id, points in _points(evidence).items():
        by_end = sorted(points, key=attrgetter("end"))
        highest: _Point | None = None
        place = 0
        for point in sorted(points, key=attrgetter("start")):
            while place < len(by_end) and by_end[place].end < point.start:
                if highest is None or by_end[place].version > highest.version:
                    highest = by_end[place]
                place += 1
            if highest and point.version < highest.version + point.is_move:
                yield Finding(
                    f"version {point.version} after version {highest.version}",
                    (slot_id, highest.name, point.name),
                )
                break


def _points(evidence: Evidence) -> dict[str, list[_Point]]:
    points: dict[str, list[_Point]] = {}
    for slot_id, calls in evidence.slot_answers.items():
        points[slot_id] = [
            _Point(call.answer.slot.version, call.sent, call.answered, False, call.request.id)
            for call in calls
            if call.answer and call.answer.slot
        ]
    for event in evidence.tables.events:
        life = evidence.lives.get(event.booking_id)
        if event.slot_version is not None and life:
            start, end = _moved_between(event, life)
            points.setdefault(event.slot_id, []).append(
                _Point(event.slot_version, start, end, True, f"{event.type} {event.booking_id}")
            )
    return points


def _moved_between(event: EventRow, life: Life) -> tuple[float, float]:
    if event.type == "CANCELLED":
        return life.asked_to(Operation.CANCEL), life.cancelled_by
    if event.type == "EXPIRED":
        # That a hold is shown as FAILED does not tell that it was swept.
        return life.expiry[0], math.inf
    return life.asked_from, life.known_from


def versions_show_one_state(evidence: Evidence) -> Iterator[Finding]:
    """Two answers with the same version of a slot show the same capacity and status."""
    for slot_id, calls in evidence.slot_answers.items():
        shown: dict[int, tuple[int, str, str]] = {}
        row = evidence.slot_rows.get(slot_id)
        if row:
            shown[row.version] = (row.total_capacity, row.status, "row")
        for call in calls:
            slot = call.answer.slot if call.answer else None
            if slot is None:
                continue
            state = (slot.total_capacity, slot.status, call.request.id)
            first = shown.setdefault(slot.version, state)
            if first[:2] != state[:2]:
                yield Finding(
                    f"version {slot.version} is both {first[:2]} and {state[:2]}",
                    (slot_id, first[2], state[2]),
                )
                break
