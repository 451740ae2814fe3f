"""What follows from the answers alone: which bookings must stand, and in which status."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from scripts.racing.records import (
    LIVE,
    Booking,
    Call,
    Evidence,
    Intent,
    Operation,
    Result,
)

STATUS_AFTER = {Operation.CONFIRM: "CONFIRMED", Operation.CANCEL: "CANCELLED"}


@dataclass(frozen=True, slots=True)
class Facts:
    """The evidence, indexed.

    `acknowledged`: booking id to the intent that was told of it. `unknown`: intents that may
    have made a booking without anybody being told. `excused`: ids of listed bookings that one
    of these explains. `standing`: acknowledged ids that by the answers hold seats; where the
    answers leave it open, what was read back decides.
    """

    acknowledged: dict[str, Intent]
    ids_of_key: dict[str, set[str]]
    calls_of_booking: dict[str, list[Call]]
    unknown: list[Intent]
    excused: frozenset[str]
    standing: frozenset[str]


def gather(evidence: Evidence) -> Facts:
    """Index the evidence."""
    intents = {intent.key: intent for intent in evidence.intents}
    acknowledged: dict[str, Intent] = {}
    ids_of_key: dict[str, set[str]] = defaultdict(set)
    calls_of_booking: dict[str, list[Call]] = defaultdict(list)
    certain: set[str] = set()
    for call in evidence.calls:
        if call.booking_id is not None:
            calls_of_booking[call.booking_id].append(call)
        if call.key is None:
            continue
        if call.booking is not None:
            ids_of_key[call.key].add(call.booking.id)
            acknowledged.setdefault(call.booking.id, intents[call.key])
        elif call.result in (Result.REFUSED, Result.ERROR) and not call.ambiguous:
            certain.add(call.key)
    unknown = [i for i in evidence.intents if i.key not in certain and i.key not in ids_of_key]
    standing = {
        booking_id
        for booking_id, intent in acknowledged.items()
        if _stands(
            allowed_statuses(intent, calls_of_booking[booking_id]),
            evidence.api.read_back.get(booking_id),
        )
    }
    return Facts(
        acknowledged=acknowledged,
        ids_of_key=dict(ids_of_key),
        calls_of_booking=dict(calls_of_booking),
        unknown=unknown,
        excused=_excused(evidence.api.listed, acknowledged, unknown),
        standing=frozenset(standing),
    )


def allowed_statuses(intent: Intent, calls: Iterable[Call]) -> frozenset[str]:
    """Infer from the answers about a booking the statuses that it may have in the end.

    Empty where the answers contradict each other. A hold of which nothing else is known may
    be PENDING, or have lapsed.
    """
    certain: set[str] = set()
    possible: set[str] = set()
    for call in calls:
        if call.code == "BOOKING_EXPIRED":
            certain.add("FAILED")
        elif call.code == "BOOKING_CANCELLED":
            certain.add("CANCELLED")
        elif call.operation in STATUS_AFTER:
            if call.result is Result.ACCEPTED:
                certain.add(STATUS_AFTER[call.operation])
            elif call.ambiguous:
                possible.add(STATUS_AFTER[call.operation])
    if "FAILED" in certain:
        return frozenset(certain) if intent.hold and len(certain) == 1 else frozenset()
    if "CANCELLED" in certain:
        return frozenset({"CANCELLED"})
    if "CONFIRMED" in certain or not intent.hold:
        return frozenset({"CONFIRMED"} | (possible & {"CANCELLED"}))
    return frozenset({"PENDING", "FAILED"} | possible)


def _stands(allowed: frozenset[str], read_back: Booking | None) -> bool:
    if allowed and allowed <= LIVE:
        return True
    if allowed and not allowed & LIVE:
        return False
    return read_back is not None and read_back.status in LIVE


def _excused(
    listed: Sequence[Booking], acknowledged: dict[str, Intent], unknown: Sequence[Intent]
) -> frozenset[str]:
    # The API does not show keys: user and seats must do, each intent for one booking only.
    open_ends = list(unknown)
    excused: set[str] = set()
    for booking in listed:
        if booking.id in acknowledged or booking.id in excused:
            continue
        for intent in open_ends:
            if (intent.user_id, intent.seats) == (booking.user_id, booking.num_seats):
                open_ends.remove(intent)
                excused.add(booking.id)
                break
    return frozenset(excused)
