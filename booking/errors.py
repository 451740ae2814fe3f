"""The domain's errors. HTTP is unknown here; ``controllers.problems`` gives each its status.

::

    DomainError
    ├── InvalidInput                 a field breaks a rule
    ├── MalformedRequest             not one JSON object
    ├── IdempotencyKeyInvalid
    ├── IdempotencyKeyReused
    ├── Unauthenticated
    ├── Forbidden
    ├── SlotNotFound
    ├── BookingNotFound
    ├── VersionMismatch
    ├── Conflict
    │   ├── SlotFull
    │   ├── SlotClosed
    │   ├── SlotStarted
    │   ├── SlotHasBookings
    │   ├── CapacityBelowBooked
    │   ├── UserSeatLimit
    │   ├── BookingExpired
    │   └── BookingCancelled
    ├── HoldLimit                    too many holds at a time
    └── Unavailable                  nothing wrong with the request: send it again later
        ├── IdempotencyInProgress
        ├── Overloaded
        ├── Busy
        │   ├── LockTimeout
        │   │   └── TurnMissed
        │   └── TransactionConflict
        ├── DatabaseUnavailable
        │   ├── ConnectionLost
        │   └── DatabaseReadOnly
        ├── OutcomeUnknown
        └── NotReady

Two more are not of this tree, for no client is told of them: ``ConfigurationError`` stops a start,
and ``StatementRejected`` is a defect of ours.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

MAX_SHOWN_NAME = 100
MAX_TOLD_FAULTS = 20


class DomainError(Exception):
    """What this system refuses, or cannot do now. ``detail`` is written for the client."""

    detail = ""

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail or self.detail)
        self.detail = detail or self.detail


@dataclass(frozen=True)
class FieldError:
    """One field and the rule that it breaks."""

    field: str
    message: str


class InvalidInput(DomainError):
    """Well-formed, but fields break their rules.

    Of many faults the first 20 are told, and of a made-up name the beginning: the answer is small
    whatever was sent.
    """

    def __init__(self, errors: Iterable[FieldError]) -> None:
        some = tuple(islice(errors, MAX_TOLD_FAULTS + 1))
        self.errors = tuple(
            FieldError(error.field[:MAX_SHOWN_NAME], error.message)
            for error in some[:MAX_TOLD_FAULTS]
        )
        if len(some) == 1:
            detail = f"{self.errors[0].field}: {self.errors[0].message}"
        elif len(some) <= MAX_TOLD_FAULTS:
            detail = f"{len(some)} rules are broken; errors names each."
        else:
            detail = f"More than {MAX_TOLD_FAULTS} rules are broken; errors names the first."
        super().__init__(detail)

    @classmethod
    def of(cls, field: str, message: str) -> InvalidInput:
        """Return the error for a single field."""
        return cls([FieldError(field, message)])


class MalformedRequest(DomainError):
    """The body is not one JSON object, or the request is not one in another way."""

    detail = "The request body must be one JSON object in UTF-8."


class IdempotencyKeyInvalid(DomainError):
    """The header breaks the rule for keys."""

    detail = (
        "Idempotency-Key must be 1 to 255 visible ASCII characters, bare or as a quoted string, and"
        " be given once."
    )


class IdempotencyKeyReused(DomainError):
    """The key stands for another request of the same user."""

    detail = (
        "This Idempotency-Key was used for a request with another slot_id, num_seats or hold. "
        "Nothing was changed."
    )


class Unauthenticated(DomainError):
    """No token, or none that can be believed."""

    detail = "A valid bearer token is required."


class Forbidden(DomainError):
    """The caller is known and may not do this."""

    detail = "You may not do this."


class SlotNotFound(DomainError):
    """There is no such slot."""

    detail = "There is no such slot."


class BookingNotFound(DomainError):
    """There is no such booking, or it is another user's."""

    detail = "There is no such booking."


class VersionMismatch(DomainError):
    """``If-Match`` names another version than the slot's."""

    detail = "The slot has changed since the version that If-Match names."


class Conflict(DomainError):
    """The request is right, the state of the slot or booking is against it."""


class SlotFull(Conflict):
    """Fewer seats are left than were asked for."""

    def __init__(self, remaining_capacity: int) -> None:
        super().__init__(f"The slot has {remaining_capacity} seats left.")
        self.remaining_capacity = remaining_capacity


class SlotClosed(Conflict):
    """The slot takes no bookings."""

    detail = "The slot is closed."


class SlotStarted(Conflict):
    """The slot has begun."""

    detail = "The slot has begun."


class SlotHasBookings(Conflict):
    """A booking, of whatever status, names the slot."""

    detail = "The slot has bookings and cannot be deleted. Close it instead."


class CapacityBelowBooked(Conflict):
    """The new capacity is less than the seats that are taken."""

    def __init__(self, booked: int) -> None:
        super().__init__(f"{booked} seats are booked or held: total_capacity cannot be less.")
        self.booked = booked


class UserSeatLimit(Conflict):
    """The slot sets a limit to what one user may have of it."""

    def __init__(self, max_seats_per_user: int) -> None:
        super().__init__(f"One user may have {max_seats_per_user} seats of this slot at most.")
        self.max_seats_per_user = max_seats_per_user


class BookingExpired(Conflict):
    """The hold lapsed and its seats are back."""

    detail = "The hold has expired."


class BookingCancelled(Conflict):
    """The booking was cancelled before."""

    detail = "The booking is cancelled."


class HoldLimit(DomainError):
    """The user has as many live holds as one may have at a time."""

    def __init__(self, max_active_holds: int, *, seconds_left: int) -> None:
        super().__init__(f"One user may have {max_active_holds} holds at a time.")
        self.seconds_left = seconds_left


class Unavailable(DomainError):
    """Nothing is wrong with the request; the same one may succeed later."""


class IdempotencyInProgress(Unavailable):
    """Another request with the same key is still under way."""

    detail = "A request with this Idempotency-Key is still in progress."


class Overloaded(Unavailable):
    """More is asked for at once than can be served."""

    detail = "The server has too many requests at once."


class Busy(Unavailable):
    """The database could not do it in time, or not beside the others."""

    detail = "What this request needs is in use by others."


class LockTimeout(Busy):
    """A lock was not had within the lock timeout; nothing was changed."""


class TurnMissed(LockTimeout):
    """The request's turn in its queue did not come in time; nothing was done for it."""


class TransactionConflict(Busy):
    """A deadlock or serialization failure; the transaction was rolled back and may be retried."""


class DatabaseUnavailable(Unavailable):
    """The database is not reached, or can write nothing."""

    detail = "The database is not available."


class ConnectionLost(DatabaseUnavailable):
    """The connection broke while a statement was under way."""


class DatabaseReadOnly(DatabaseUnavailable):
    """The database is a standby, or takes no writes for another reason."""

    detail = "The database takes no writes now."


class OutcomeUnknown(Unavailable):
    """The connection broke while a commit was under way: it may have happened or not."""

    detail = (
        "The connection to the database broke during the commit: the change may have been made. "
        "Send the request again with the same Idempotency-Key, or read the booking, to find out."
    )


class NotReady(Unavailable):
    """The server cannot serve bookings now."""


class StatementRejected(Exception):
    """The database rolled a statement back for a reason that no rule of the domain explains: a
    defect of ours.
    """


class ConfigurationError(Exception):
    """The settings cannot be started with; one line a fault."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = tuple(faults)
