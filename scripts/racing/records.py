"""What the concurrency test writes down: its calls, and the state that it reads afterwards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

LIVE = frozenset({"PENDING", "CONFIRMED"})
FINAL = frozenset({"FAILED", "CANCELLED"})


class Operation(StrEnum):
    """What a call was meant to do; SETTLE and REPLAY send an earlier key again."""

    BOOK = "book"
    HOLD = "hold"
    CONFIRM = "confirm"
    CANCEL = "cancel"
    READ = "read"
    EXPIRE = "expire"
    SETTLE = "settle"
    REPLAY = "replay"


class Result(StrEnum):
    """How a call ended. ERROR is a certain failure, UNKNOWN one that may have taken effect."""

    ACCEPTED = "accepted"
    REPLAYED = "replayed"
    REFUSED = "refused"
    ERROR = "error"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Slot:
    """A slot as the API shows it."""

    id: str
    total_capacity: int
    remaining_capacity: int
    status: str
    version: int

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> Slot:
        """Read the API's slot object. Raises KeyError or TypeError when it is not one."""
        return cls(
            id=_text(data["id"]),
            total_capacity=_integer(data["total_capacity"]),
            remaining_capacity=_integer(data["remaining_capacity"]),
            status=_text(data["status"]),
            version=_integer(data["version"]),
        )


@dataclass(frozen=True, slots=True)
class Booking:
    """A booking as the API shows it."""

    id: str
    slot_id: str
    user_id: str
    num_seats: int
    status: str
    expires_at: datetime | None
    created_at: datetime

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> Booking:
        """Read the API's booking object. Raises KeyError, TypeError or ValueError if it is none."""
        expires_at = data["expires_at"]
        return cls(
            id=_text(data["id"]),
            slot_id=_text(data["slot_id"]),
            user_id=_text(data["user_id"]),
            num_seats=_integer(data["num_seats"]),
            status=_text(data["status"]),
            expires_at=None if expires_at is None else _moment(expires_at),
            created_at=_moment(data["created_at"]),
        )


@dataclass(frozen=True, slots=True)
class Event:
    """One step of a booking's history; `seats` is how many moved, whatever the direction."""

    from_status: str | None
    to_status: str
    seats: int
    at: datetime

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> Event:
        """Read one of the API's events. Raises KeyError, TypeError or ValueError if it is none."""
        before = data["from"]
        return cls(
            from_status=None if before is None else _text(before),
            to_status=_text(data["to"]),
            seats=abs(_integer(data["seats"])),
            at=_moment(data["at"]),
        )


@dataclass(frozen=True, slots=True)
class AuditCheck:
    """One invariant of GET /api/admin/audit and how many rows break it."""

    name: str
    violations: int


@dataclass(frozen=True, slots=True)
class Intent:
    """One POST /api/bookings, written down before its first byte is sent."""

    key: str
    user_id: str
    seats: int
    hold: bool


@dataclass(frozen=True, slots=True)
class Exchange:
    """One HTTP request and its latency. `status` is None where no answer came.

    `code` is the API's error code, or the name of the fault; None where there was none.
    """

    seconds: float
    status: int | None
    code: str | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """One operation with its retries. `started` and `ended` are perf_counter seconds.

    `code` is the API's error code, or the name of the fault where the API gave none.
    `ambiguous`: one of the requests may have taken effect although no answer said so.
    `retryable`: the last answer, or the lack of one, allows sending the call again.
    """

    operation: Operation
    result: Result
    started: float
    ended: float
    exchanges: tuple[Exchange, ...]
    code: str | None = None
    key: str | None = None
    booking_id: str | None = None
    booking: Booking | None = None
    slot: Slot | None = None
    ambiguous: bool = False
    retryable: bool = False


@dataclass(slots=True)
class Journal:
    """What was meant and what was answered. Threads share it: list.append is atomic."""

    intents: list[Intent] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ApiState:
    """The slot and its bookings as read through the API once the race was over.

    `read_back` has None for a booking that the API does not know. `at_rest`: the slot was the
    same before and after everything else was read.
    """

    slot: Slot
    listed: Sequence[Booking]
    read_back: Mapping[str, Booking | None]
    events: Mapping[str, Sequence[Event]]
    audit_healthy: bool
    audit: Sequence[AuditCheck]
    at_rest: bool


@dataclass(frozen=True, slots=True)
class BookingRow:
    """A row of `bookings`; `lapsed` by the database's clock when it was read."""

    id: str
    user_id: str
    num_seats: int
    status: str
    idempotency_key: str | None
    lapsed: bool


@dataclass(frozen=True, slots=True)
class DatabaseState:
    """The slot's row and its bookings' rows, of one snapshot."""

    total_capacity: int
    remaining_capacity: int
    bookings: Sequence[BookingRow]
    returns: Mapping[str, int]
    """Booking id to the number of its events that gave seats back."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """What the scenario must have come to.

    `sold`: exactly so many bookings must stand in the end; None where chance decides. `filled`:
    so many had to be taken before the race. `lapsed` and `cancelled` are those that were: holds
    that ran out before the race, or bookings that it cancelled.
    """

    sold: int | None = None
    filled: int | None = None
    lapsed: frozenset[str] = frozenset()
    cancelled: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that the verification judges."""

    capacity: int
    intents: Sequence[Intent]
    calls: Sequence[Call]
    expectation: Expectation
    api: ApiState
    database: DatabaseState | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """One verdict, with its numbers, and what breaks it where it does not hold."""

    name: str
    holds: bool
    detail: str
    offenders: tuple[str, ...] = ()


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"not a string: {value!r}")
    return value


def _integer(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"not an integer: {value!r}")
    return value


def _moment(value: object) -> datetime:
    moment = datetime.fromisoformat(_text(value))
    if moment.tzinfo is None:
        raise ValueError(f"a time without an offset: {value!r}")
    return moment
