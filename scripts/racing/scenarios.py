"""The four races. Each lets its threads loose on a slot and says what must come of it."""

from __future__ import annotations

import itertools
import random
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from rich.console import Console

from scripts.racing.client import ApiClient
from scripts.racing.race import Arena, Step, Worker, shared_out
from scripts.racing.records import Booking, Expectation, Intent, Operation, Result, Slot
from scripts.racing.transport import Unreachable

SLOT_STARTS_IN = timedelta(days=1)
LONG_TTL_SECONDS = 30.0
EXPIRY_MARGIN_SECONDS = 0.5
CANCELS_PER_BOOKING = 3
RIVALS_PER_SEAT = 2
"""Attempts for each booking that finds room, where freed seats are fought for."""
EXPIRE_CALLS = 4


class CannotRun(Exception):
    """The scenario cannot be run against this server as it is set up."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What the command line asked for. `max_wait` is in seconds; `requests` is per thread."""

    threads: int
    capacity: int
    seats: int
    requests: int
    seed: int
    max_wait: float

    @property
    def room(self) -> int:
        """How many bookings of `seats` the slot holds."""
        return self.capacity // self.seats


@dataclass(slots=True)
class Run:
    """One scenario under way: its plan, its slot, and the arena of its races."""

    plan: Plan
    arena: Arena
    screen: Console
    slot: Slot
    name: str
    users: itertools.count[int] = field(default_factory=itertools.count)

    def user(self) -> str:
        """Name a user that no other booking of this run has."""
        return f"{self.name}-{next(self.users)}"

    def bookings(self, operation: Operation) -> list[Booking]:
        """Collect the bookings that calls of one kind were given, each once."""
        found = {
            call.booking.id: call.booking
            for call in self.arena.journal.calls
            if call.operation is operation and call.booking is not None
        }
        return list(found.values())


def start(scenario: str, plan: Plan, arena: Arena, screen: Console) -> Run:
    """Make the scenario's slot. Raises Unreachable."""
    name = f"{scenario}-{uuid.uuid4().hex[:8]}"
    client = arena.client()
    try:
        slot = client.create_slot(
            f"Concurrency test {name}", datetime.now(UTC) + SLOT_STARTS_IN, plan.capacity
        )
    finally:
        client.close()
    return Run(plan=plan, arena=arena, screen=screen, slot=slot, name=name)


def oversell(run: Run) -> Expectation:
    """Have every thread want seats of one slot at the same moment; only so many can have them."""
    plan = run.plan
    _book(run, "Racing for the seats", plan.threads)
    return Expectation(sold=min(plan.threads, plan.room))


def mixed(run: Run) -> Expectation:
    """Have each thread book, hold, confirm, cancel and read, in an order drawn from the seed."""
    own: list[list[str]] = [[] for _ in range(run.plan.threads)]
    workers = [_mixed_worker(run, number, own) for number in range(run.plan.threads)]
    run.arena.run("Mixed operations", workers, run.plan.threads * run.plan.requests)
    return Expectation()


def expiry(run: Run) -> Expectation:
    """Fill the slot with holds that lapse; then confirm, read, sweep and resell them all at once.

    Raises CannotRun when the server's holds live longer than the plan would wait.
    """
    plan = run.plan
    ttl = _probe_hold(run)
    _book(run, "Filling the slot with holds", plan.room - 1, hold=True)
    holds = run.bookings(Operation.HOLD)
    if ttl > LONG_TTL_SECONDS:
        run.screen.print(
            f"Holds live for {ttl:.0f} s here. "
            "To wait less, start the server with HOLD_TTL_SECONDS=5."
        )
    # The holds' own life, counted from the last answer: the two clocks need not agree.
    run.arena.wait("Letting the holds lapse", ttl + EXPIRY_MARGIN_SECONDS)
    others = [
        *(_reading(hold) for hold in holds),
        *(_expire for _ in range(EXPIRE_CALLS)),
        *(_booking(run) for _ in range(plan.room * RIVALS_PER_SEAT)),
    ]
    random.Random(plan.seed).shuffle(others)
    # Confirmations lead: any of the others may fail the holds, and then nothing is left to win.
    steps = [*(_confirming(hold) for hold in holds), *others]
    run.arena.run("Racing for lapsed seats", shared_out(steps, plan.threads), len(steps))
    lapsed = frozenset(hold.id for hold in holds)
    return Expectation(sold=plan.room, filled=plan.room, lapsed=lapsed)


def cancel(run: Run) -> Expectation:
    """Cancel each booking of a full slot from several threads, while others want its seats."""
    plan = run.plan
    _book(run, "Filling the slot", plan.room)
    filled = run.bookings(Operation.BOOK)
    # The cancellations of one booking stand side by side, so that different threads send them.
    steps: list[Step] = []
    for booking in filled:
        steps += [_cancelling(booking)] * CANCELS_PER_BOOKING
        steps.append(_booking(run))
    run.arena.run("Cancelling and rebooking", shared_out(steps, plan.threads), len(steps))
    # What was free too late for the race is sold now: a seat restored twice would sell too.
    _book(run, "Selling the seats left", plan.room * RIVALS_PER_SEAT)
    cancelled = frozenset(booking.id for booking in filled)
    return Expectation(sold=plan.room, filled=plan.room, cancelled=cancelled)


SCENARIOS: dict[str, Callable[[Run], Expectation]] = {
    "oversell": oversell,
    "mixed": mixed,
    "cancel": cancel,
    "expiry": expiry,
}


def settle(run: Run) -> None:
    """Learn what became of every booking without a certain answer, then send every key again."""
    journal = run.arena.journal
    acknowledged = {call.key for call in journal.calls if call.booking is not None}
    refused = {
        call.key
        for call in journal.calls
        if call.result in (Result.REFUSED, Result.ERROR) and not call.ambiguous
    }
    open_ends = [i for i in journal.intents if i.key not in acknowledged | refused]
    _send_again(run, "Settling unknown outcomes", open_ends, ApiClient.settle)
    acknowledged = {call.key for call in journal.calls if call.booking is not None}
    known = [intent for intent in journal.intents if intent.key in acknowledged]
    _send_again(run, "Replaying every key", known, ApiClient.replay)


def _send_again(
    run: Run,
    label: str,
    intents: Sequence[Intent],
    send: Callable[[ApiClient, str, Intent], object],
) -> None:
    def step(intent: Intent) -> Step:
        return lambda client: send(client, run.slot.id, intent)

    steps = [step(intent) for intent in intents]
    run.arena.run(label, shared_out(steps, run.plan.threads), len(steps))


def _book(run: Run, label: str, attempts: int, *, hold: bool = False) -> None:
    steps = [_booking(run, hold=hold) for _ in range(attempts)]
    run.arena.run(label, shared_out(steps, run.plan.threads), len(steps))


def _booking(run: Run, *, hold: bool = False) -> Step:
    user = run.user()
    return lambda client: client.book(run.slot.id, user, run.plan.seats, hold=hold)


def _confirming(booking: Booking) -> Step:
    return lambda client: client.confirm(booking.id)


def _cancelling(booking: Booking) -> Step:
    return lambda client: client.cancel(booking.id)


def _reading(booking: Booking) -> Step:
    return lambda client: client.read_booking(booking.id)


def _expire(client: ApiClient) -> object:
    return client.expire_pending()


def _mixed_worker(run: Run, number: int, own: list[list[str]]) -> Worker:
    chance = random.Random(f"{run.plan.seed}-{number}")
    user = run.user()
    partner = number ^ 1 if number ^ 1 < len(own) else number

    def target() -> str | None:
        # Now and then the neighbour's: a confirmation and a cancellation meet on one booking.
        whose = partner if chance.random() < 1 / 4 else number
        known = list(own[whose])
        return chance.choice(known[-4:]) if known else None

    def work(client: ApiClient) -> None:
        for _ in range(run.plan.requests):
            operation = chance.choices(
                (
                    Operation.BOOK,
                    Operation.HOLD,
                    Operation.CONFIRM,
                    Operation.CANCEL,
                    Operation.READ,
                ),
                weights=(25, 25, 20, 20, 10),
            )[0]
            seats = chance.randint(1, run.plan.seats)
            booking_id = target()
            if operation in (Operation.BOOK, Operation.HOLD) or (
                booking_id is None and operation is not Operation.READ
            ):
                call = client.book(run.slot.id, user, seats, hold=operation is not Operation.BOOK)
                if call.booking is not None:
                    own[number].append(call.booking.id)
            elif booking_id is None:
                client.read_slot(run.slot.id)
            elif operation is Operation.CONFIRM:
                client.confirm(booking_id)
            elif operation is Operation.CANCEL:
                client.cancel(booking_id)
            elif chance.random() < 1 / 2:
                client.read_slot(run.slot.id)
            else:
                client.read_booking(booking_id)

    return work


def _probe_hold(run: Run) -> float:
    """Make the first hold and return its life in seconds; cancelled again when that is too long."""
    client = run.arena.client()
    try:
        call = client.book(run.slot.id, run.user(), run.plan.seats, hold=True)
        booking = call.booking
        if booking is None or booking.expires_at is None:
            raise Unreachable(f"the first hold was not accepted: {call.code}")
        ttl = (booking.expires_at - booking.created_at).total_seconds()
        if ttl > run.plan.max_wait:
            client.cancel(booking.id)
            raise CannotRun(
                f"holds live for {ttl:.0f} s here, longer than --max-wait "
                f"{run.plan.max_wait:g}: start the server with a shorter HOLD_TTL_SECONDS, "
                "or wait longer"
            )
        return ttl
    finally:
        client.close()
