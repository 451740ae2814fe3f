"""The checks: pure functions over what was recorded and read. Each names what breaks it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import combinations, pairwise

from scripts.racing.facts import STATUS_AFTER, Facts, allowed_statuses, gather
from scripts.racing.records import (
    FINAL,
    LIVE,
    Booking,
    Call,
    Check,
    Event,
    Evidence,
    Operation,
    Result,
)
from scripts.racing.verification_sql import verify_database

ALLOWED_REFUSALS: dict[Operation, frozenset[str]] = {
    Operation.BOOK: frozenset({"SLOT_FULL"}),
    Operation.HOLD: frozenset({"SLOT_FULL"}),
    Operation.SETTLE: frozenset({"SLOT_FULL"}),
    Operation.CONFIRM: frozenset({"BOOKING_EXPIRED", "BOOKING_CANCELLED"}),
    Operation.CANCEL: frozenset({"BOOKING_EXPIRED"}),
    Operation.READ: frozenset(),
    Operation.EXPIRE: frozenset(),
    Operation.REPLAY: frozenset(),
}
LATER_STATUSES: dict[str | None, frozenset[str]] = {
    None: LIVE,
    "PENDING": frozenset({"CONFIRMED", "FAILED", "CANCELLED"}),
    "CONFIRMED": frozenset({"CANCELLED"}),
    "FAILED": frozenset(),
    "CANCELLED": frozenset(),
}
"""The contract's state diagram: what each status may become; None is before the booking."""


def verify(evidence: Evidence) -> list[Check]:
    """Judge the evidence: the scenario's own checks first, then those of every scenario."""
    facts = gather(evidence)
    checks = [
        check
        for judge in (*SCENARIO_CHECKS, *API_CHECKS)
        if (check := judge(evidence, facts)) is not None
    ]
    if evidence.database is not None:
        checks += verify_database(evidence, evidence.database, facts)
    return checks


def sold_exactly(evidence: Evidence, facts: Facts) -> Check | None:
    """As many bookings stand as fit and were wanted, no more and no fewer."""
    expected = evidence.expectation.sold
    if expected is None:
        return None
    standing = len(facts.standing | facts.excused)
    listed = sum(booking.status in LIVE for booking in evidence.api.listed)
    given_up = sum(call.result is Result.ERROR for call in evidence.calls)
    detail = f"{standing} acknowledged, {listed} listed"
    if given_up and standing < expected:
        detail += f"; {given_up} calls were given up, so the test is too weak to tell"
    return Check(f"Exactly {expected} bookings stand", standing == listed == expected, detail)


def filled(evidence: Evidence, _: Facts) -> Check | None:
    """Judge whether the slot could be filled to the last booking before the race."""
    expected = evidence.expectation.filled
    if expected is None:
        return None
    taken = len(evidence.expectation.lapsed | evidence.expectation.cancelled)
    return Check("The slot was filled first", taken == expected, f"{taken} of {expected}")


def lapsed_stay_lapsed(evidence: Evidence, facts: Facts) -> Check | None:
    """Each confirmation of a lapsed hold was refused with 409 BOOKING_EXPIRED."""
    lapsed = evidence.expectation.lapsed
    if not lapsed:
        return None
    confirmations = [
        call
        for booking_id in sorted(lapsed)
        for call in facts.calls_of_booking.get(booking_id, ())
        if call.operation is Operation.CONFIRM and not call.retryable
    ]
    wrong = [
        f"{call.booking_id}: {call.result} {call.code or ''}".rstrip()
        for call in confirmations
        if call.code != "BOOKING_EXPIRED"
    ]
    refused = len(confirmations) - len(wrong)
    return Check(
        "No lapsed hold was confirmed",
        not wrong and bool(confirmations),
        f"{refused} of {len(confirmations)} refused with BOOKING_EXPIRED",
        tuple(wrong),
    )


def cancelled_for_good(evidence: Evidence, facts: Facts) -> Check | None:
    """Each booking that was cancelled, many times over, gave its seats back once."""
    cancelled = evidence.expectation.cancelled
    if not cancelled:
        return None
    wrong = [
        f"{booking_id}: {count} returns of its seats"
        for booking_id in sorted(cancelled)
        if (count := _returns(evidence.api.events.get(booking_id, ()))) != 1
    ]
    calls = sum(
        call.operation is Operation.CANCEL and call.result is Result.ACCEPTED
        for booking_id in cancelled
        for call in facts.calls_of_booking.get(booking_id, ())
    )
    return Check(
        "Seats came back once for each",
        not wrong,
        f"{calls} cancellations answered for {len(cancelled)} bookings",
        tuple(wrong),
    )


def nothing_oversold(evidence: Evidence, facts: Facts) -> Check:
    """Judge whether the seats of all bookings that stand fit into the slot."""
    slot = evidence.api.slot
    accepted = _seats_standing(facts)
    listed = sum(b.num_seats for b in evidence.api.listed if b.status in LIVE)
    return Check(
        "Nothing is oversold",
        max(accepted, listed) <= evidence.capacity == slot.total_capacity,
        f"{accepted} seats accepted, {listed} listed, of {evidence.capacity}",
    )


def capacity_taken(evidence: Evidence, facts: Facts) -> Check:
    """Compare what the slot says is gone with what was accepted and still stands."""
    slot = evidence.api.slot
    taken = slot.total_capacity - slot.remaining_capacity
    accepted = _seats_standing(facts)
    unknown = sum(
        b.num_seats for b in evidence.api.listed if b.id in facts.excused and b.status in LIVE
    )
    detail = f"{taken} taken, {accepted} accepted"
    if unknown:
        detail += f", {unknown} of unknown outcome"
    return Check("Capacity taken = seats accepted", taken == accepted + unknown, detail)


def none_lost(evidence: Evidence, facts: Facts) -> Check:
    """Each acknowledged booking can be read, and the slot's list has it."""
    listed = {booking.id for booking in evidence.api.listed}
    lost = [
        f"{booking_id}: " + ("not in the list" if booking_id not in listed else "not found")
        for booking_id in sorted(facts.acknowledged)
        if booking_id not in listed or evidence.api.read_back.get(booking_id) is None
    ]
    return Check(
        "No acknowledged booking is lost",
        not lost,
        f"{len(facts.acknowledged) - len(lost)} of {len(facts.acknowledged)} found",
        tuple(lost),
    )


def none_unacknowledged(evidence: Evidence, facts: Facts) -> Check:
    """Nobody holds seats without having been told, unless the answer was lost for good."""
    extra = [
        f"{booking.id}: {booking.num_seats} seats of {booking.user_id}"
        for booking in evidence.api.listed
        if booking.id not in facts.acknowledged and booking.id not in facts.excused
    ]
    detail = f"{len(evidence.api.listed)} listed"
    if facts.unknown:
        detail += f", {len(facts.unknown)} outcomes unknown"
    return Check("No booking is unacknowledged", not extra, detail, tuple(extra))


def statuses_as_acknowledged(evidence: Evidence, facts: Facts) -> Check:
    """Each booking has the status that the answers about it leave possible."""
    wrong: list[str] = []
    found: Counter[str] = Counter()
    for booking_id, intent in sorted(facts.acknowledged.items()):
        booking = evidence.api.read_back.get(booking_id)
        if booking is None:
            continue
        found[booking.status] += 1
        allowed = allowed_statuses(intent, facts.calls_of_booking[booking_id])
        if booking.status not in allowed:
            expected = " or ".join(sorted(allowed)) or "nothing: the answers contradict"
            wrong.append(f"{booking_id}: {booking.status}, expected {expected}")
    detail = ", ".join(f"{count} {status}" for status, count in sorted(found.items()))
    return Check("Every status is as acknowledged", not wrong, detail or "none", tuple(wrong))


def as_asked(evidence: Evidence, facts: Facts) -> Check:
    """Each answer with a booking is about what was asked for."""
    slot_id = evidence.api.slot.id
    wrong: list[str] = []
    judged = 0
    for call in evidence.calls:
        if call.booking is None:
            continue
        judged += 1
        intent = facts.acknowledged.get(call.booking.id)
        if intent is None:
            wrong.append(f"{call.operation}: booking {call.booking.id} is nobody's")
        elif not _fits(call, call.booking, slot_id, intent.user_id, intent.seats):
            wrong.append(
                f"{call.operation}: {call.booking.id} is {call.booking.status}, "
                f"{call.booking.num_seats} seats of {call.booking.user_id}"
            )
    return Check("Each answer is what was asked for", not wrong, f"{judged} answers", tuple(wrong))


def answers_in_contract(evidence: Evidence, _: Facts) -> Check:
    """Every call ended as the contract allows: no 500, no refusal for another reason."""
    wrong: Counter[str] = Counter()
    for call in evidence.calls:
        if call.result in (Result.ACCEPTED, Result.REPLAYED) or call.retryable:
            continue
        if call.result is Result.REFUSED and call.code in ALLOWED_REFUSALS[call.operation]:
            continue
        wrong[f"{call.operation}: {call.code}"] += 1
    return Check(
        "Every answer is in the contract",
        not wrong,
        f"{len(evidence.calls)} calls",
        tuple(f"{answer}, {count} times" for answer, count in sorted(wrong.items())),
    )


def one_booking_a_key(_: Evidence, facts: Facts) -> Check:
    """No key was given two bookings, and no booking was given to two keys."""
    doubled = [
        f"key {key}: " + ", ".join(sorted(ids))
        for key, ids in sorted(facts.ids_of_key.items())
        if len(ids) > 1
    ]
    shared = Counter(id_ for ids in facts.ids_of_key.values() for id_ in ids)
    doubled += [f"{id_}: {count} keys" for id_, count in sorted(shared.items()) if count > 1]
    return Check(
        "One key, one booking", not doubled, f"{len(facts.ids_of_key)} keys", tuple(doubled)
    )


def replays_find_the_booking(evidence: Evidence, facts: Facts) -> Check:
    """Judge whether keys sent again were answered as replays, not booked anew."""
    replays = [call for call in evidence.calls if call.operation is Operation.REPLAY]
    wrong = [
        f"key {call.key}: {call.result} {call.code or call.booking_id or ''}".rstrip()
        for call in replays
        if call.result is not Result.REPLAYED and not call.retryable
    ]
    answered = sum(call.result is Result.REPLAYED for call in replays)
    return Check(
        "A key sent again books nothing",
        not wrong and (answered > 0 or not facts.ids_of_key),
        f"{answered} of {len(replays)} replayed",
        tuple(wrong),
    )


def list_and_reads_agree(evidence: Evidence, _: Facts) -> Check:
    """Judge whether the list has each booking once, as it is shown alone."""
    wrong: list[str] = []
    count = Counter(booking.id for booking in evidence.api.listed)
    wrong += [f"{id_}: {times} times in the list" for id_, times in count.items() if times > 1]
    for booking in evidence.api.listed:
        alone = evidence.api.read_back.get(booking.id)
        if alone is not None and alone != booking:
            wrong.append(f"{booking.id}: {booking.status} in the list, {alone.status} alone")
    return Check("List and single reads agree", not wrong, f"{len(count)} bookings", tuple(wrong))


def final_is_final(evidence: Evidence, facts: Facts) -> Check:
    """No later answer showed a booking in a status that an earlier answer rules out.

    Later means sent after the earlier one had been answered, so only certain order counts.
    """
    wrong: list[str] = []
    pairs = 0
    for booking_id, calls in sorted(facts.calls_of_booking.items()):
        seen = [(c.started, c.ended, s) for c in calls if (s := _status_shown(c)) is not None]
        alone = evidence.api.read_back.get(booking_id)
        if alone is not None:
            seen.append((float("inf"), float("inf"), alone.status))
        for earlier, later in combinations(sorted(seen), 2):
            if earlier[1] >= later[0]:
                continue
            pairs += 1
            if later[2] != earlier[2] and later[2] not in _reachable(earlier[2]):
                wrong.append(f"{booking_id}: {earlier[2]}, later {later[2]}")
    return Check(
        "No booking went back", not wrong, f"{pairs} pairs of answers in order", tuple(wrong)
    )


def histories_are_whole(evidence: Evidence, _: Facts) -> Check:
    """Each booking's events are legal moves, from its making to its status, in order of time."""
    wrong: list[str] = []
    count = 0
    for booking_id, booking in sorted(evidence.api.read_back.items()):
        if booking is None:
            continue
        events = evidence.api.events.get(booking_id, ())
        count += len(events)
        if fault := _fault_in_history(booking, events):
            wrong.append(f"{booking_id}: {fault}")
    return Check("Every history is whole", not wrong, f"{count} events", tuple(wrong))


def slot_reads_in_bounds(evidence: Evidence, _: Facts) -> Check | None:
    """No reader of the slot saw fewer than no seats, or more than there are."""
    slots = [call.slot for call in evidence.calls if call.slot is not None]
    if not slots:
        return None
    wrong = [
        f"{slot.remaining_capacity} of {slot.total_capacity} seats left"
        for slot in slots
        if not 0 <= slot.remaining_capacity <= slot.total_capacity == evidence.capacity
    ]
    return Check("Seats left stayed in bounds", not wrong, f"{len(slots)} reads", tuple(wrong))


def audit_is_healthy(evidence: Evidence, _: Facts) -> Check:
    """Judge by the server's own audit."""
    wrong = [f"{c.name}: {c.violations}" for c in evidence.api.audit if c.violations]
    healthy = evidence.api.audit_healthy and not wrong and bool(evidence.api.audit)
    return Check(
        "The server's audit is healthy", healthy, f"{len(evidence.api.audit)} checks", tuple(wrong)
    )


def slot_at_rest(evidence: Evidence, _: Facts) -> Check:
    """Judge whether the slot did not change while the state was read."""
    slot = evidence.api.slot
    return Check(
        "The slot stood still meanwhile",
        evidence.api.at_rest,
        f"version {slot.version}, {slot.remaining_capacity} of {slot.total_capacity} left",
    )


Judge = Callable[[Evidence, Facts], Check | None]
SCENARIO_CHECKS: tuple[Judge, ...] = (
    filled,
    sold_exactly,
    lapsed_stay_lapsed,
    cancelled_for_good,
)
API_CHECKS: tuple[Judge, ...] = (
    nothing_oversold,
    capacity_taken,
    none_lost,
    none_unacknowledged,
    statuses_as_acknowledged,
    as_asked,
    answers_in_contract,
    one_booking_a_key,
    replays_find_the_booking,
    list_and_reads_agree,
    final_is_final,
    histories_are_whole,
    slot_reads_in_bounds,
    audit_is_healthy,
    slot_at_rest,
)


def _seats_standing(facts: Facts) -> int:
    return sum(facts.acknowledged[booking_id].seats for booking_id in facts.standing)


def _returns(events: Sequence[Event]) -> int:
    return sum(event.to_status in FINAL for event in events)


def _fits(call: Call, booking: Booking, slot_id: str, user_id: str, seats: int) -> bool:
    made = {Operation.BOOK: {"CONFIRMED"}, Operation.HOLD: {"PENDING"}}
    if call.result is Result.ACCEPTED and call.operation in made:
        expected = made[call.operation]
    elif call.operation in STATUS_AFTER:
        expected = {STATUS_AFTER[call.operation]}
    else:
        expected = {booking.status}
    return (
        booking.status in expected
        and booking.slot_id == slot_id
        and booking.user_id == user_id
        and booking.num_seats == seats
    )


def _status_shown(call: Call) -> str | None:
    if call.booking is not None:
        return call.booking.status
    return {"BOOKING_EXPIRED": "FAILED", "BOOKING_CANCELLED": "CANCELLED"}.get(call.code or "")


def _reachable(status: str) -> frozenset[str]:
    reached: set[str] = set()
    ahead = [status]
    while ahead:
        for later in LATER_STATUSES.get(ahead.pop(), frozenset()) - reached:
            reached.add(later)
            ahead.append(later)
    return frozenset(reached)


def _fault_in_history(booking: Booking, events: Sequence[Event]) -> str | None:
    status: str | None = None
    for event in events:
        if event.from_status != status or event.to_status not in LATER_STATUSES[status]:
            return f"{event.from_status} to {event.to_status} after {status}"
        # A confirmation moves no seats: they left the slot with the hold.
        is_confirmation = event.from_status == "PENDING" and event.to_status == "CONFIRMED"
        moved = 0 if is_confirmation else booking.num_seats
        if event.seats != moved:
            return f"{event.to_status} moved {event.seats} seats instead of {moved}"
        if event.to_status == "FAILED" and not _had_lapsed(booking, event):
            return "expired before its time"
        status = event.to_status
    if status != booking.status:
        return f"its history ends as {status}, it is {booking.status}"
    if any(later.at < earlier.at for earlier, later in pairwise(events)):
        return "its events are not in order of time"
    return None


def _had_lapsed(booking: Booking, event: Event) -> bool:
    return booking.expires_at is not None and event.at >= booking.expires_at
