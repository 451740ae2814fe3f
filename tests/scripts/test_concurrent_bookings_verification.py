"""The concurrency test's checks, fed a sound record and then one with each kind of damage."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from scripts.racing.records import (
    ApiState,
    AuditCheck,
    Booking,
    BookingRow,
    Call,
    Check,
    DatabaseState,
    Event,
    Evidence,
    Exchange,
    Expectation,
    Intent,
    Operation,
    Result,
    Slot,
)
from scripts.racing.verification import verify

SLOT_ID = "slot"
CAPACITY = 12
SEATS = 2
NOW = datetime(2030, 1, 1, tzinfo=UTC)
LAPSE = NOW + timedelta(seconds=60)

BOOKED, CANCELLED, CONFIRMED, LAPSED, HELD = "booked", "cancelled", "confirmed", "lapsed", "held"
FINAL_STATUS = {
    BOOKED: "CONFIRMED",
    CANCELLED: "CANCELLED",
    CONFIRMED: "CONFIRMED",
    LAPSED: "FAILED",
    HELD: "PENDING",
}
HISTORY = {
    BOOKED: ["CONFIRMED"],
    CANCELLED: ["CONFIRMED", "CANCELLED"],
    CONFIRMED: ["PENDING", "CONFIRMED"],
    LAPSED: ["PENDING", "FAILED"],
    HELD: ["PENDING"],
}
REFUSED = Intent("key-refused", "user-refused", SEATS, hold=False)
UNKNOWN = Intent("key-unknown", "user-unknown", SEATS, hold=False)


def intent(name: str) -> Intent:
    return Intent(f"key-{name}", f"user-{name}", SEATS, hold=HISTORY[name][0] == "PENDING")


def booking(name: str, status: str | None = None) -> Booking:
    return Booking(
        id=name,
        slot_id=SLOT_ID,
        user_id=f"user-{name}",
        num_seats=SEATS,
        status=status or FINAL_STATUS[name],
        expires_at=LAPSE if HISTORY[name][0] == "PENDING" else None,
        created_at=NOW,
    )


def events(name: str) -> list[Event]:
    history: list[Event] = []
    before: str | None = None
    for status in HISTORY[name]:
        at = LAPSE if status == "FAILED" else NOW + timedelta(seconds=len(history))
        moved = 0 if (before, status) == ("PENDING", "CONFIRMED") else SEATS
        history.append(Event(before, status, moved, at))
        before = status
    return history


def call(
    operation: Operation,
    at: float,
    name: str | None = None,
    status: str | None = None,
    *,
    code: str | None = None,
    result: Result | None = None,
    key: str | None = None,
) -> Call:
    return Call(
        operation=operation,
        result=result or (Result.ACCEPTED if code is None else Result.REFUSED),
        started=at,
        ended=at + 0.5,
        exchanges=(Exchange(0.5, 200),),
        code=code,
        key=key,
        booking_id=name,
        booking=None if name is None or status is None else booking(name, status),
    )


def sound() -> Evidence:
    """Five bookings with every fate, one refusal, and one key of which nothing is known."""
    calls = [
        call(
            Operation.HOLD if intent(name).hold else Operation.BOOK,
            0,
            name,
            HISTORY[name][0],
            key=f"key-{name}",
        )
        for name in HISTORY
    ]
    calls += [
        call(Operation.BOOK, 0, code="SLOT_FULL", key=REFUSED.key),
        call(Operation.CANCEL, 1, CANCELLED, "CANCELLED"),
        call(Operation.CANCEL, 1, CANCELLED, "CANCELLED"),
        call(Operation.CONFIRM, 1, CONFIRMED, "CONFIRMED"),
        call(Operation.READ, 2, CONFIRMED, "CONFIRMED"),
        call(Operation.CONFIRM, 2, LAPSED, code="BOOKING_EXPIRED"),
        replace(call(Operation.READ, 2), slot=Slot(SLOT_ID, CAPACITY, 6, "OPEN", 8)),
    ]
    calls += [
        call(
            Operation.REPLAY,
            3,
            name,
            FINAL_STATUS[name],
            result=Result.REPLAYED,
            key=f"key-{name}",
        )
        for name in HISTORY
    ]
    lost_answer = call(Operation.BOOK, 0, code="timed out", result=Result.UNKNOWN, key=UNKNOWN.key)
    calls.append(replace(lost_answer, ambiguous=True, retryable=True))
    names = list(HISTORY)
    return Evidence(
        capacity=CAPACITY,
        intents=[*(intent(name) for name in names), REFUSED, UNKNOWN],
        calls=calls,
        expectation=Expectation(
            sold=3, filled=2, lapsed=frozenset({LAPSED}), cancelled=frozenset({CANCELLED})
        ),
        api=ApiState(
            slot=Slot(SLOT_ID, CAPACITY, CAPACITY - 3 * SEATS, "OPEN", 9),
            listed=[booking(name) for name in names],
            read_back={name: booking(name) for name in names},
            events={name: events(name) for name in names},
            audit_healthy=True,
            audit=[AuditCheck("slot_invariant", 0)],
            at_rest=True,
        ),
        database=DatabaseState(
            total_capacity=CAPACITY,
            remaining_capacity=CAPACITY - 3 * SEATS,
            bookings=[row(name) for name in names],
            returns={CANCELLED: 1, LAPSED: 1},
        ),
    )


def row(name: str, status: str | None = None) -> BookingRow:
    return BookingRow(
        id=name,
        user_id=f"user-{name}",
        num_seats=SEATS,
        status=status or FINAL_STATUS[name],
        idempotency_key=f"key-{name}",
        lapsed=False,
    )


def stranger(user: str) -> Booking:
    return replace(booking(BOOKED), id="stranger", user_id=user)


def with_stranger(evidence: Evidence, user: str, booking_id: str = "stranger") -> Evidence:
    extra = replace(stranger(user), id=booking_id)
    api = evidence.api
    return replace(
        evidence,
        api=replace(
            api,
            slot=replace(api.slot, remaining_capacity=api.slot.remaining_capacity - SEATS),
            listed=[*api.listed, extra],
            read_back={**api.read_back, extra.id: extra},
            events={**api.events, extra.id: events(BOOKED)},
        ),
    )


def with_slot(evidence: Evidence, remaining: int) -> Evidence:
    slot = replace(evidence.api.slot, remaining_capacity=remaining)
    return replace(evidence, api=replace(evidence.api, slot=slot))


def without_booking(evidence: Evidence) -> Evidence:
    api = evidence.api
    return replace(
        evidence,
        api=replace(
            api,
            listed=[b for b in api.listed if b.id != BOOKED],
            read_back={**api.read_back, BOOKED: None},
            events={**api.events, BOOKED: []},
        ),
    )


def missing_from_list(evidence: Evidence) -> Evidence:
    listed = [b for b in evidence.api.listed if b.id != LAPSED]
    return replace(evidence, api=replace(evidence.api, listed=listed))


def with_status(evidence: Evidence, name: str, status: str) -> Evidence:
    api = evidence.api
    return replace(
        evidence,
        api=replace(
            api,
            listed=[booking(name, status) if b.id == name else b for b in api.listed],
            read_back={**api.read_back, name: booking(name, status)},
        ),
    )


def with_calls(evidence: Evidence, *calls: Call) -> Evidence:
    return replace(evidence, calls=[*evidence.calls, *calls])


def with_events(evidence: Evidence, name: str, history: list[Event]) -> Evidence:
    return replace(
        evidence, api=replace(evidence.api, events={**evidence.api.events, name: history})
    )


def with_rows(
    evidence: Evidence, rows: list[BookingRow], remaining: int = CAPACITY - 3 * SEATS
) -> Evidence:
    assert evidence.database is not None
    database = replace(evidence.database, bookings=rows, remaining_capacity=remaining)
    return replace(evidence, database=database)


def rows() -> list[BookingRow]:
    return [row(name) for name in HISTORY]


def one_key_twice(evidence: Evidence) -> Evidence:
    twin = replace(booking(BOOKED), id="twin")
    again = call(Operation.REPLAY, 4, BOOKED, "CONFIRMED", key="key-booked")
    return with_calls(evidence, replace(again, booking=twin, booking_id="twin"))


def fewer_than_could_be(evidence: Evidence) -> Evidence:
    return replace(evidence, expectation=replace(evidence.expectation, sold=4))


def oversold(evidence: Evidence) -> Evidence:
    # The slot itself claims to be in order: only the sum of what was accepted tells.
    return replace(
        evidence,
        capacity=5,
        api=replace(evidence.api, slot=replace(evidence.api.slot, total_capacity=5)),
    )


def confirmed_after_lapse(evidence: Evidence) -> Evidence:
    calls = [
        call(Operation.CONFIRM, 2, LAPSED, "CONFIRMED") if c.code == "BOOKING_EXPIRED" else c
        for c in evidence.calls
    ]
    return with_status(replace(evidence, calls=calls), LAPSED, "CONFIRMED")


def unswept(evidence: Evidence, audit: AuditCheck, *, healthy: bool) -> Evidence:
    return replace(evidence, api=replace(evidence.api, audit=[audit], audit_healthy=healthy))


def failed(evidence: Evidence) -> dict[str, Check]:
    return {check.name: check for check in verify(evidence) if not check.holds}


def test_every_check_holds_on_a_sound_record() -> None:
    checks = verify(sound())

    assert [check for check in checks if not check.holds] == []
    assert len(checks) == 25
    assert len({check.name for check in checks}) == len(checks)


Damage = tuple[Callable[[Evidence], Evidence], str, str]
API_DAMAGE: dict[str, Damage] = {
    "a booking is lost": (without_booking, "No acknowledged booking is lost", "booked"),
    "a booking is missing from the list": (
        missing_from_list,
        "No acknowledged booking is lost",
        "lapsed: not in the list",
    ),
    "nobody was told of a booking": (
        lambda e: with_stranger(e, "user-refused"),
        "No booking is unacknowledged",
        "stranger",
    ),
    "two bookings for one unknown outcome": (
        lambda e: with_stranger(with_stranger(e, "user-unknown"), "user-unknown", "second"),
        "No booking is unacknowledged",
        "second",
    ),
    "more seats accepted than exist": (oversold, "Nothing is oversold", ""),
    "a seat is gone that nobody has": (
        lambda e: with_slot(e, CAPACITY - 3 * SEATS - 1),
        "Capacity taken = seats accepted",
        "",
    ),
    "seats came back twice": (
        lambda e: with_slot(e, CAPACITY - 2 * SEATS),
        "Capacity taken = seats accepted",
        "",
    ),
    "seats came back twice, by the events": (
        lambda e: with_events(
            e, CANCELLED, [*events(CANCELLED), Event("CONFIRMED", "CANCELLED", SEATS, NOW)]
        ),
        "Seats came back once for each",
        "cancelled: 2 returns",
    ),
    "fewer sold than could be": (fewer_than_could_be, "Exactly 4 bookings stand", ""),
    "the slot could not be filled": (
        lambda e: replace(e, expectation=replace(e.expectation, filled=3)),
        "The slot was filled first",
        "",
    ),
    "a key has two bookings": (one_key_twice, "One key, one booking", "key-booked"),
    "a replay books anew": (one_key_twice, "A key sent again books nothing", "key-booked"),
    "a replay is refused": (
        lambda e: with_calls(e, call(Operation.REPLAY, 4, code="SLOT_FULL", key="key-booked")),
        "A key sent again books nothing",
        "key-booked: refused SLOT_FULL",
    ),
    "a lapsed hold was confirmed": (
        confirmed_after_lapse,
        "No lapsed hold was confirmed",
        "lapsed: accepted",
    ),
    "a cancelled booking stands": (
        lambda e: with_status(e, CANCELLED, "CONFIRMED"),
        "Every status is as acknowledged",
        "cancelled: CONFIRMED, expected CANCELLED",
    ),
    "answers contradict each other": (
        lambda e: with_calls(e, call(Operation.CANCEL, 3, LAPSED, "CANCELLED")),
        "Every status is as acknowledged",
        "the answers contradict",
    ),
    "a booking came back from the dead": (
        lambda e: with_calls(e, call(Operation.READ, 2, CANCELLED, "CONFIRMED")),
        "No booking went back",
        "cancelled: CANCELLED, later CONFIRMED",
    ),
    "another's booking was answered": (
        lambda e: with_calls(
            e, replace(call(Operation.READ, 4, BOOKED), booking=stranger("user-x"))
        ),
        "Each answer is what was asked for",
        "stranger",
    ),
    "a cancellation was answered with a booking that stands": (
        lambda e: with_calls(e, call(Operation.CANCEL, 4, BOOKED, "CONFIRMED")),
        "Each answer is what was asked for",
        "booked is CONFIRMED",
    ),
    "the server broke": (
        lambda e: with_calls(
            e, call(Operation.READ, 4, BOOKED, code="INTERNAL_ERROR", result=Result.UNKNOWN)
        ),
        "Every answer is in the contract",
        "read: INTERNAL_ERROR, 1 times",
    ),
    "a booking was refused for another reason": (
        lambda e: with_calls(e, call(Operation.BOOK, 0, code="SLOT_CLOSED", key=REFUSED.key)),
        "Every answer is in the contract",
        "book: SLOT_CLOSED",
    ),
    "a list repeats a booking": (
        lambda e: replace(e, api=replace(e.api, listed=[*e.api.listed, booking(LAPSED)])),
        "List and single reads agree",
        "lapsed: 2 times",
    ),
    "a list shows another status": (
        lambda e: replace(
            e,
            api=replace(e.api, read_back={**e.api.read_back, HELD: booking(HELD, "FAILED")}),
        ),
        "List and single reads agree",
        "held: PENDING in the list, FAILED alone",
    ),
    "a history has a gap": (
        lambda e: with_events(e, CANCELLED, events(CANCELLED)[1:]),
        "Every history is whole",
        "cancelled: CONFIRMED to CANCELLED after None",
    ),
    "a history moves other seats": (
        lambda e: with_events(e, BOOKED, [Event(None, "CONFIRMED", SEATS + 1, NOW)]),
        "Every history is whole",
        "booked: CONFIRMED moved 3 seats instead of 2",
    ),
    "a hold expired before its time": (
        lambda e: with_events(
            e,
            LAPSED,
            [events(LAPSED)[0], Event("PENDING", "FAILED", SEATS, LAPSE - timedelta(seconds=1))],
        ),
        "Every history is whole",
        "lapsed: expired before its time",
    ),
    "a history ends elsewhere": (
        lambda e: with_events(e, CONFIRMED, events(CONFIRMED)[:1]),
        "Every history is whole",
        "confirmed: its history ends as PENDING",
    ),
    "a history runs backwards": (
        lambda e: with_events(
            e,
            CANCELLED,
            [
                events(CANCELLED)[0],
                replace(events(CANCELLED)[1], at=NOW - timedelta(seconds=1)),
            ],
        ),
        "Every history is whole",
        "cancelled: its events are not in order",
    ),
    "a reader saw too many seats": (
        lambda e: with_calls(
            e,
            replace(call(Operation.READ, 4), slot=Slot(SLOT_ID, CAPACITY, CAPACITY + 1, "OPEN", 9)),
        ),
        "Seats left stayed in bounds",
        "13 of 12",
    ),
    "the audit found something": (
        lambda e: unswept(e, AuditCheck("slot_invariant", 1), healthy=False),
        "The server's audit is healthy",
        "slot_invariant: 1",
    ),
    "the audit checked nothing": (
        lambda e: replace(e, api=replace(e.api, audit=[])),
        "The server's audit is healthy",
        "",
    ),
    "the slot would not rest": (
        lambda e: replace(e, api=replace(e.api, at_rest=False)),
        "The slot stood still meanwhile",
        "",
    ),
}
SQL_DAMAGE: dict[str, Damage] = {
    "a row is lost": (
        lambda e: with_rows(e, rows()[1:]),
        "SQL: none is lost",
        "booked: no row",
    ),
    "a row has another key": (
        lambda e: with_rows(e, [replace(rows()[0], idempotency_key="key-lapsed"), *rows()[1:]]),
        "SQL: none is lost",
        "booked: key, user or seats",
    ),
    "a row was never acknowledged": (
        lambda e: with_rows(e, [*rows(), replace(row(BOOKED), id="x", idempotency_key="key-x")]),
        "SQL: no row is unacknowledged",
        "x: key key-x",
    ),
    "a refused key has a row": (
        lambda e: with_rows(
            e, [*rows(), replace(row(BOOKED), id="x", idempotency_key=REFUSED.key)]
        ),
        "SQL: no row is unacknowledged",
        "x: key key-refused",
    ),
    "a key stands on two rows": (
        lambda e: with_rows(e, [*rows(), replace(row(BOOKED), id="x")]),
        "SQL: each key stands once",
        "key-booked of user-booked: 2 bookings",
    ),
    "a seat is oversold": (
        lambda e: with_rows(e, rows(), remaining=CAPACITY - 3 * SEATS + 1),
        "SQL: the slot's invariant holds",
        "",
    ),
    "seats came back twice": (
        lambda e: with_rows(e, rows(), remaining=CAPACITY - 2 * SEATS),
        "SQL: the slot's invariant holds",
        "",
    ),
    "remaining seats are below none": (
        lambda e: with_rows(e, [replace(r, num_seats=5) for r in rows()], remaining=-3),
        "SQL: the slot's invariant holds",
        "",
    ),
    "a row has another status": (
        lambda e: with_rows(e, [row(BOOKED, "CANCELLED"), *rows()[1:]]),
        "SQL: rows are as the API shows",
        "booked: CANCELLED, the API shows CONFIRMED",
    ),
    "events return seats twice": (
        lambda e: replace(
            e,
            database=replace(e.database, returns={CANCELLED: 2, LAPSED: 1}) if e.database else None,
        ),
        "SQL: seats came back once",
        "cancelled: CANCELLED, its seats came back 2 times",
    ),
}


@pytest.mark.parametrize("name", [*API_DAMAGE, *(f"SQL: {name}" for name in SQL_DAMAGE)])
def test_each_damage_is_named(name: str) -> None:
    damage, check, offender = {
        **API_DAMAGE,
        **{f"SQL: {key}": value for key, value in SQL_DAMAGE.items()},
    }[name]

    broken = failed(damage(sound()))

    assert check in broken
    assert offender in "\n".join(broken[check].offenders)


def test_every_check_is_broken_by_some_damage() -> None:
    named = {check for _, check, _ in (*API_DAMAGE.values(), *SQL_DAMAGE.values())}
    always = {check.name for check in verify(sound())} - {"Exactly 3 bookings stand"}

    assert always | {"Exactly 4 bookings stand"} == named


def test_an_unknown_outcome_may_have_made_one_booking() -> None:
    evidence = with_stranger(sound(), "user-unknown")
    evidence = replace(evidence, expectation=replace(evidence.expectation, sold=4))
    extra = replace(row(BOOKED), id="stranger", user_id="user-unknown")
    evidence = with_rows(
        evidence,
        [*rows(), replace(extra, idempotency_key=UNKNOWN.key)],
        remaining=CAPACITY - 4 * SEATS,
    )

    assert failed(evidence) == {}


def test_an_unknown_cancellation_leaves_both_statuses_open() -> None:
    lost_answer = call(Operation.CANCEL, 4, HELD, code="timed out", result=Result.UNKNOWN)
    evidence = with_calls(sound(), replace(lost_answer, ambiguous=True, retryable=True))
    assert failed(evidence) == {}

    cancelled = with_status(evidence, HELD, "CANCELLED")
    cancelled = with_slot(cancelled, CAPACITY - 2 * SEATS)
    cancelled = with_events(
        cancelled, HELD, [*events(HELD), Event("PENDING", "CANCELLED", SEATS, LAPSE)]
    )
    cancelled = replace(
        cancelled, database=None, expectation=replace(cancelled.expectation, sold=2)
    )
    assert failed(cancelled) == {}


def test_a_hold_may_lapse_between_the_api_and_the_rows() -> None:
    lapsed = [row(HELD, "FAILED") if r.id == HELD else r for r in rows()]
    evidence = with_rows(sound(), lapsed, remaining=CAPACITY - 2 * SEATS)
    assert evidence.database is not None
    returns = {**evidence.database.returns, HELD: 1}
    evidence = replace(evidence, database=replace(evidence.database, returns=returns))

    assert failed(evidence) == {}
