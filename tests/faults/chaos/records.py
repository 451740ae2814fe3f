"""What a run under faults writes down: requests, their answers and the faults, one JSON line each.

A request is written and flushed before it is sent, its answer when it comes: a request with no
answer has an unknown outcome. Moments are seconds of ``time.monotonic()`` (CLOCK_MONOTONIC, one for
all processes of a machine); ``datetime`` values are the database's own, as the API shows them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import orjson


class Operation(StrEnum):
    """What a client or an admin asked for."""

    BOOK = "book"
    HOLD = "hold"
    CONFIRM = "confirm"
    CANCEL = "cancel"
    READ_BOOKING = "read_booking"
    READ_SLOT = "read_slot"
    CREATE_SLOT = "create_slot"
    CHANGE_SLOT = "change_slot"
    EXPIRE_PENDING = "expire_pending"


BOOKINGS = frozenset({Operation.BOOK, Operation.HOLD})
READS = frozenset({Operation.READ_BOOKING, Operation.READ_SLOT})

_OF_A_BOOKING = ("booking_id",)
_NEEDED: Mapping[Operation, tuple[str, ...]] = {
    Operation.BOOK: ("user_id", "idempotency_key", "slot_id", "num_seats"),
    Operation.HOLD: ("user_id", "idempotency_key", "slot_id", "num_seats"),
    Operation.CONFIRM: _OF_A_BOOKING,
    Operation.CANCEL: _OF_A_BOOKING,
    Operation.READ_BOOKING: _OF_A_BOOKING,
    Operation.READ_SLOT: ("slot_id",),
    Operation.CREATE_SLOT: ("total_capacity",),
    Operation.CHANGE_SLOT: ("slot_id",),
    Operation.EXPIRE_PENDING: (),
}


class Failure(StrEnum):
    """Why a request has no readable answer. Only NOT_SENT is certain to have changed nothing."""

    NOT_SENT = "not_sent"  # no connection was made
    CONNECTION_LOST = "connection_lost"
    TIMEOUT = "timeout"
    UNREADABLE = "unreadable"  # an answer that is none of the contract's


class Outcome(StrEnum):
    """What the client knows of a request's effect."""

    ACKNOWLEDGED = "acknowledged"
    REFUSED = "refused"  # a 4xx: certain that nothing changed
    NOT_DONE = "not_done"  # certain that nothing changed; it may be sent again
    UNKNOWN = "unknown"


NOT_DONE_CODES = frozenset({"OVERLOADED", "BUSY", "DATABASE_UNAVAILABLE", "NOT_READY"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What was about to be sent. ``id`` is unique in the run, a retry's too.

    Raises ValueError where something is not said that its operation is judged by.
    """

    id: str
    client: str
    operation: Operation
    sent: float
    user_id: str | None = None
    idempotency_key: str | None = None
    slot_id: str | None = None
    booking_id: str | None = None
    num_seats: int | None = None
    total_capacity: int | None = None
    slot_status: str | None = None

    def __post_init__(self) -> None:
        for name in _NEEDED[self.operation]:
            if getattr(self, name) is None:
                raise ValueError(f"{self.operation} {self.id} is recorded without its {name}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownBooking:
    """A booking as an answer showed it."""

    id: str
    slot_id: str
    user_id: str
    num_seats: int
    status: str
    failure_reason: str | None
    expires_at: datetime | None
    created_at: datetime
    updated_at: datetime

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> ShownBooking:
        """Read the API's booking, or a recorded one. Raises KeyError, TypeError or ValueError."""
        expires_at = data["expires_at"]
        return cls(
            id=data["id"],
            slot_id=data["slot_id"],
            user_id=data["user_id"],
            num_seats=data["num_seats"],
            status=data["status"],
            failure_reason=data["failure_reason"],
            expires_at=None if expires_at is None else datetime.fromisoformat(expires_at),
            created_at=datetime.fromisoformat(data["created_at"]),
            updated_at=datetime.fromisoformat(data["updated_at"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownSlot:
    """A slot as an answer showed it."""

    id: str
    total_capacity: int
    remaining_capacity: int
    status: str
    version: int

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> ShownSlot:
        """Read the API's slot, or a recorded one. Raises KeyError or TypeError."""
        return cls(
            id=data["id"],
            total_capacity=data["total_capacity"],
            remaining_capacity=data["remaining_capacity"],
            status=data["status"],
            version=data["version"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back, or why nothing did.

    ``remaining_capacity`` is SLOT_FULL's.
    """

    request_id: str
    answered: float
    status: int | None = None
    failure: Failure | None = None
    code: str | None = None
    replayed: bool = False
    etag: str | None = None
    remaining_capacity: int | None = None
    booking: ShownBooking | None = None
    slot: ShownSlot | None = None

    @property
    def outcome(self) -> Outcome:
        """What the answer says of the request's effect. A 500 says nothing of it."""
        if self.failure is not None or self.status is None:
            return Outcome.NOT_DONE if self.failure == Failure.NOT_SENT else Outcome.UNKNOWN
        if self.status < 300:
            return Outcome.ACKNOWLEDGED
        if self.code in NOT_DONE_CODES:
            return Outcome.NOT_DONE
        return Outcome.REFUSED if 400 <= self.status < 500 else Outcome.UNKNOWN


def read_answer(
    request: Request,
    answered: float,
    status: int,
    headers: Mapping[str, str],
    body: Any,
) -> Answer:
    """Return what is recorded of an HTTP answer; ``body`` is the parsed JSON.

    Header names are looked up as the contract spells them. An answer that has not the contract's
    shape is recorded as UNREADABLE.
    """
    try:
        if status >= 400:
            code = body["code"]
            return Answer(
                request_id=request.id,
                answered=answered,
                status=status,
                code=code,
                remaining_capacity=body["remaining_capacity"] if code == "SLOT_FULL" else None,
            )
        data = body["data"]
        is_slot = request.operation in _SLOT_ANSWERS
        is_booking = request.operation in _BOOKING_ANSWERS
        return Answer(
            request_id=request.id,
            answered=answered,
            status=status,
            replayed=headers.get("Idempotency-Replayed") == "true",
            etag=headers.get("ETag"),
            booking=ShownBooking.parse(data) if is_booking else None,
            slot=ShownSlot.parse(data) if is_slot else None,
        )
    except (KeyError, TypeError, ValueError):
        return Answer(
            request_id=request.id, answered=answered, status=status, failure=Failure.UNREADABLE
        )


_SLOT_ANSWERS = frozenset({Operation.READ_SLOT, Operation.CREATE_SLOT, Operation.CHANGE_SLOT})
_BOOKING_ANSWERS = BOOKINGS | {Operation.CONFIRM, Operation.CANCEL, Operation.READ_BOOKING}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A fault that was injected; written as it begins, and again under the same id as it ends.

    ``effect`` is what whoever injected it saw of it ("pid 4711 gone, 4802 in its place"): a fault
    with none was perhaps never there.
    """

    id: str
    kind: str
    target: str
    began: float
    ended: float | None = None
    effect: str | None = None


Record = Request | Answer | Fault


def dump_record(record: Record) -> bytes:
    """Return the record as a JSON line, its end included."""
    return orjson.dumps({type(record).__name__: record}, option=orjson.OPT_APPEND_NEWLINE)


def parse_record(line: bytes) -> Record:
    """Read a JSON line. Raises ValueError where it is none of ours."""
    try:
        [(name, fields)] = orjson.loads(line).items()
        return _PARSERS[name](fields)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"no record: {line[:200]!r}") from error


def _parse_request(fields: dict[str, Any]) -> Request:
    fields["operation"] = Operation(fields["operation"])
    return Request(**fields)


def _parse_answer(fields: dict[str, Any]) -> Answer:
    if fields["failure"] is not None:
        fields["failure"] = Failure(fields["failure"])
    if fields["booking"] is not None:
        fields["booking"] = ShownBooking.parse(fields["booking"])
    if fields["slot"] is not None:
        fields["slot"] = ShownSlot.parse(fields["slot"])
    return Answer(**fields)


def _parse_fault(fields: dict[str, Any]) -> Fault:
    return Fault(**fields)


_PARSERS: Mapping[str, Callable[[dict[str, Any]], Record]] = {
    "Request": _parse_request,
    "Answer": _parse_answer,
    "Fault": _parse_fault,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotRow:
    """A slot as it is stored: seats of lapsed holds that were not swept count as taken."""

    id: str
    total_capacity: int
    remaining_capacity: int
    status: str
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BookingRow:
    """A booking as it is stored."""

    id: str
    slot_id: str
    user_id: str
    num_seats: int
    status: str
    failure_reason: str | None
    expires_at: datetime | None
    idempotency_key: str | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRow:
    """A booking's change as it is stored."""

    id: int
    booking_id: str
    slot_id: str
    type: str
    from_status: str | None
    to_status: str
    seats: int
    slot_version: int | None
    at: datetime


@dataclass(frozen=True)
class Tables:
    """The rows at the end of a run, of one snapshot; ``read_at`` is the database's clock then."""

    slots: tuple[SlotRow, ...]
    bookings: tuple[BookingRow, ...]
    events: tuple[EventRow, ...]
    read_at: datetime
