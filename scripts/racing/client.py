"""The booking API for one thread: what it is asked and answered is written down."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, TypeVar

from scripts.racing.records import (
    AuditCheck,
    Booking,
    Call,
    Event,
    Intent,
    Journal,
    Operation,
    Result,
    Slot,
)
from scripts.racing.transport import Answer, Connection, Transport, Unreachable

PAGE_SIZE = 200
SUCCESS = (HTTPStatus.OK, HTTPStatus.CREATED)

Parsed = TypeVar("Parsed")


class ApiClient:
    """The booking API for one thread, over one session."""

    def __init__(self, connection: Connection, journal: Journal, stop: threading.Event) -> None:
        self._transport = Transport(connection, stop)
        self._journal = journal

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def check_reachable(self) -> None:
        """Raise Unreachable, with the reason in one line, where no booking API answers."""
        self._transport.check_reachable()

    def create_slot(self, doctor_name: str, start_time: datetime, capacity: int) -> Slot:
        """Make a slot of `capacity` seats. Raises Unreachable where the API refuses."""
        answer = self._transport.send(
            "POST",
            "/api/admin/slots",
            body={
                "doctor_name": doctor_name,
                "start_time": start_time.astimezone(UTC).isoformat(),
                "total_capacity": capacity,
            },
        )
        if answer.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            raise Unreachable(
                f"the server refused to make a slot ({answer.status} {answer.code}): "
                "give an admin's token with --token"
            )
        if answer.status != HTTPStatus.CREATED:
            raise Unreachable(f"the server did not make a slot: {_summary(answer)}")
        return _parsed(Slot.parse, _member(answer, "data"))

    def book(self, slot_id: str, user_id: str, seats: int, *, hold: bool = False) -> Call:
        """Book or hold seats under a new Idempotency-Key, which is written down first."""
        intent = Intent(key=str(uuid.uuid4()), user_id=user_id, seats=seats, hold=hold)
        self._journal.intents.append(intent)
        return self._post_booking(Operation.HOLD if hold else Operation.BOOK, slot_id, intent)

    def settle(self, slot_id: str, intent: Intent) -> Call:
        """Send the key of a booking of unknown outcome again, to learn what became of it."""
        return self._post_booking(Operation.SETTLE, slot_id, intent)

    def replay(self, slot_id: str, intent: Intent) -> Call:
        """Send the key of an acknowledged booking again: the same booking must come back."""
        return self._post_booking(Operation.REPLAY, slot_id, intent)

    def confirm(self, booking_id: str) -> Call:
        """Confirm a hold."""
        return self._call_booking(
            Operation.CONFIRM, "POST", f"/api/bookings/{booking_id}/confirm", booking_id
        )

    def cancel(self, booking_id: str) -> Call:
        """Cancel a booking."""
        return self._call_booking(
            Operation.CANCEL, "POST", f"/api/bookings/{booking_id}/cancel", booking_id
        )

    def read_booking(self, booking_id: str) -> Call:
        """Read a booking; the API expires a stale hold first."""
        return self._call_booking(Operation.READ, "GET", f"/api/bookings/{booking_id}", booking_id)

    def read_slot(self, slot_id: str) -> Call:
        """Read the slot."""
        started = time.perf_counter()
        answer = self._transport.send("GET", f"/api/slots/{slot_id}")
        slot: Slot | None = None
        if answer.status == HTTPStatus.OK:
            try:
                slot = Slot.parse(answer.body["data"])
            except (KeyError, TypeError, ValueError):
                return self._record(Operation.READ, started, answer, malformed=True)
        return self._record(Operation.READ, started, answer, slot=slot)

    def expire_pending(self) -> Call:
        """Have the server fail every stale hold now."""
        started = time.perf_counter()
        answer = self._transport.send("POST", "/api/admin/expire-pending")
        return self._record(Operation.EXPIRE, started, answer)

    def get_slot(self, slot_id: str) -> Slot:
        """Read the slot for the verification, unrecorded. Raises Unreachable."""
        return _parsed(Slot.parse, _member(self._get(f"/api/slots/{slot_id}"), "data"))

    def find_booking(self, booking_id: str) -> Booking | None:
        """Read a booking, unrecorded; None for 404. Raises Unreachable."""
        answer = self._get(f"/api/bookings/{booking_id}", also=HTTPStatus.NOT_FOUND)
        if answer.status == HTTPStatus.NOT_FOUND:
            return None
        return _parsed(Booking.parse, _member(answer, "data"))

    def list_events(self, booking_id: str) -> list[Event]:
        """Read a booking's history, oldest first; empty for 404. Raises Unreachable."""
        found: list[Event] = []
        for answer in self._pages(
            f"/api/bookings/{booking_id}/events", {}, also=HTTPStatus.NOT_FOUND
        ):
            if answer.status == HTTPStatus.NOT_FOUND:
                return []
            found += [_parsed(Event.parse, item) for item in _member(answer, "data")]
        return found

    def list_bookings(self, slot_id: str) -> list[Booking]:
        """Read every booking of the slot by keyset pages. Raises Unreachable."""
        parameters: dict[str, str | int] = {"slot_id": slot_id, "limit": PAGE_SIZE}
        return [
            _parsed(Booking.parse, item)
            for answer in self._pages("/api/admin/bookings", parameters)
            for item in _member(answer, "data")
        ]

    def audit(self) -> tuple[bool, list[AuditCheck]]:
        """Read the server's own audit: healthy or not, and its checks. Raises Unreachable."""
        answer = self._get("/api/admin/audit")
        try:
            data = answer.body["data"]
            checks = [AuditCheck(c["name"], _count(c["violations"])) for c in data["checks"]]
            return data["healthy"] is True, checks
        except (KeyError, TypeError) as error:
            raise Unreachable(f"the audit's answer cannot be read: {error}") from error

    def _post_booking(self, operation: Operation, slot_id: str, intent: Intent) -> Call:
        started = time.perf_counter()
        answer = self._transport.send(
            "POST",
            "/api/bookings",
            body={
                "slot_id": slot_id,
                "user_id": intent.user_id,
                "num_seats": intent.seats,
                "hold": intent.hold,
            },
            headers={"Idempotency-Key": intent.key},
        )
        return self._record_booking(operation, started, answer, HTTPStatus.CREATED, key=intent.key)

    def _call_booking(self, operation: Operation, method: str, path: str, booking_id: str) -> Call:
        started = time.perf_counter()
        answer = self._transport.send(method, path)
        return self._record_booking(
            operation, started, answer, HTTPStatus.OK, booking_id=booking_id
        )

    def _record_booking(
        self,
        operation: Operation,
        started: float,
        answer: Answer,
        success: int,
        *,
        key: str | None = None,
        booking_id: str | None = None,
    ) -> Call:
        booking: Booking | None = None
        malformed = False
        if answer.status == success:
            try:
                booking = Booking.parse(answer.body["data"])
            except (KeyError, TypeError, ValueError):
                malformed = True
        return self._record(
            operation,
            started,
            answer,
            key=key,
            booking_id=booking.id if booking is not None else booking_id,
            booking=booking,
            malformed=malformed or (answer.status in SUCCESS and answer.status != success),
        )

    def _record(
        self,
        operation: Operation,
        started: float,
        answer: Answer,
        *,
        key: str | None = None,
        booking_id: str | None = None,
        booking: Booking | None = None,
        slot: Slot | None = None,
        malformed: bool = False,
    ) -> Call:
        status = answer.status
        code = answer.code
        if malformed:
            result, code = Result.UNKNOWN, "MALFORMED_ANSWER"
        elif status in SUCCESS:
            result = Result.REPLAYED if answer.replayed else Result.ACCEPTED
        elif status is not None and _is_refusal(status):
            result = Result.REFUSED
        elif answer.ambiguous:
            result = Result.UNKNOWN
        else:
            result = Result.ERROR
        call = Call(
            operation=operation,
            result=result,
            started=started,
            ended=time.perf_counter(),
            exchanges=answer.exchanges,
            code=code,
            key=key,
            booking_id=booking_id,
            booking=booking,
            slot=slot,
            ambiguous=malformed or answer.ambiguous,
            retryable=answer.retryable and not malformed,
        )
        self._journal.calls.append(call)
        return call

    def _get(
        self,
        path: str,
        parameters: Mapping[str, str | int] | None = None,
        also: int | None = None,
    ) -> Answer:
        answer = self._transport.send("GET", path, parameters=parameters)
        if answer.status != HTTPStatus.OK and (answer.status is None or answer.status != also):
            raise Unreachable(f"GET {path}: {_summary(answer)}")
        return answer

    def _pages(
        self, path: str, parameters: Mapping[str, str | int], also: int | None = None
    ) -> Iterator[Answer]:
        cursor: str | None = None
        seen: set[str] = set()
        while True:
            page = dict(parameters) if cursor is None else {**parameters, "cursor": cursor}
            answer = self._get(path, page, also)
            yield answer
            if answer.status != HTTPStatus.OK:
                return
            cursor = _member(answer, "meta").get("next_cursor")
            if cursor is None:
                return
            if cursor in seen:
                raise Unreachable(f"GET {path}: the same cursor came back, so it never ends")
            seen.add(cursor)


def _is_refusal(status: int) -> bool:
    return (
        HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR
        and status != HTTPStatus.TOO_MANY_REQUESTS
    )


def _summary(answer: Answer) -> str:
    if answer.status is None:
        return f"no answer ({answer.code})"
    detail = answer.body.get("detail") if isinstance(answer.body, dict) else None
    return f"{answer.status} {answer.code}" + (f": {detail}" if detail else "")


def _count(violations: object) -> int:
    """Count the audit's `violations`: a number, or the rows themselves."""
    if isinstance(violations, list):
        return len(violations)
    if isinstance(violations, int):
        return violations
    raise TypeError(f"violations: {violations!r}")


def _member(answer: Answer, name: str) -> Any:
    try:
        return answer.body[name]
    except (KeyError, TypeError) as error:
        raise Unreachable(f"an answer {answer.status} has no `{name}`") from error


def _parsed(parse: Callable[[Any], Parsed], data: Any) -> Parsed:
    try:
        return parse(data)
    except (KeyError, TypeError, ValueError) as error:
        raise Unreachable(f"an answer cannot be read: {error!r} in {str(data)[:200]}") from error
