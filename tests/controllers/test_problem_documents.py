"""Every error of the domain is told in one way, and every way has a meaning of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from booking import errors
from booking.controllers.problems import HTTP_PROBLEMS, INTERNAL_ERROR, PROBLEMS, problem_of
from booking.errors import DomainError

Kind = type[DomainError]

# Only their kinds are raised.
ABSTRACT: set[Kind] = {DomainError, errors.Conflict, errors.Unavailable}


def _kinds_of(kind: Kind) -> Iterator[Kind]:
    yield kind
    for child in kind.__subclasses__():
        yield from _kinds_of(child)


KINDS: list[Kind] = sorted(set(_kinds_of(DomainError)), key=str)


def test_the_tree_is_the_one_that_is_drawn() -> None:
    drawn = (errors.__doc__ or "").replace("``", "")
    for kind in KINDS:
        assert kind.__name__ in drawn, f"{kind.__name__} is not in the docstring's tree"
    assert len(KINDS) > 20


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ABSTRACT])
def test_every_domain_error_is_told(kind: Kind) -> None:
    problem = problem_of(kind)
    assert problem is not None
    assert 400 <= problem.status <= 599


def test_every_problem_is_of_an_error_that_exists() -> None:
    assert set(PROBLEMS) <= set(KINDS)


def test_codes_are_one_to_a_meaning() -> None:
    told = [*PROBLEMS.values(), INTERNAL_ERROR]
    told += [problem for problem in HTTP_PROBLEMS.values() if problem not in told]
    assert len({problem.code for problem in told}) == len(told)
    assert len({problem.title for problem in told}) == len(told)
    assert all(problem.code == problem.code.upper() for problem in told)


CONTRACT: dict[str, int] = {
    "MALFORMED_REQUEST": 400,
    "IDEMPOTENCY_KEY_INVALID": 400,
    "UNAUTHENTICATED": 401,
    "FORBIDDEN": 403,
    "NOT_FOUND": 404,
    "SLOT_NOT_FOUND": 404,
    "BOOKING_NOT_FOUND": 404,
    "METHOD_NOT_ALLOWED": 405,
    "SLOT_FULL": 409,
    "SLOT_STARTED": 409,
    "SLOT_CLOSED": 409,
    "SLOT_HAS_BOOKINGS": 409,
    "CAPACITY_BELOW_BOOKED": 409,
    "USER_SEAT_LIMIT": 409,
    "BOOKING_EXPIRED": 409,
    "BOOKING_CANCELLED": 409,
    "IDEMPOTENCY_IN_PROGRESS": 409,
    "VERSION_MISMATCH": 412,
    "PAYLOAD_TOO_LARGE": 413,
    "UNSUPPORTED_MEDIA_TYPE": 415,
    "VALIDATION_ERROR": 422,
    "IDEMPOTENCY_KEY_REUSED": 422,
    "HOLD_LIMIT": 429,
    "INTERNAL_ERROR": 500,
    "OVERLOADED": 503,
    "BUSY": 503,
    "DATABASE_UNAVAILABLE": 503,
    "OUTCOME_UNKNOWN": 503,
    "NOT_READY": 503,
}


def test_codes_and_statuses_are_those_of_the_contract() -> None:
    told = [*PROBLEMS.values(), *HTTP_PROBLEMS.values(), INTERNAL_ERROR]
    assert {problem.code: problem.status for problem in told} == CONTRACT


def test_what_may_be_sent_again_says_when() -> None:
    for kind, problem in PROBLEMS.items():
        may_be_sent_again = issubclass(kind, errors.Unavailable) or problem.status == 429
        assert (problem.retry_after is not None) == may_be_sent_again
        assert problem.retry_after is None or problem.retry_after >= 1
    for status, problem in HTTP_PROBLEMS.items():
        assert problem.status == status
        assert (problem.retry_after is not None) == (status in {429, 503})


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ABSTRACT])
def test_every_error_says_something_in_one_line(kind: Kind) -> None:
    needs: dict[Kind, Callable[[], DomainError]] = {
        errors.InvalidInput: lambda: errors.InvalidInput.of("num_seats", "Must be whole."),
        errors.SlotFull: lambda: errors.SlotFull(3),
        errors.CapacityBelowBooked: lambda: errors.CapacityBelowBooked(3),
        errors.UserSeatLimit: lambda: errors.UserSeatLimit(3),
        errors.HoldLimit: lambda: errors.HoldLimit(3, seconds_left=1),
        errors.NotReady: lambda: errors.NotReady("migrations pending"),
    }
    error = needs.get(kind, kind)()
    assert error.detail
    assert "\n" not in error.detail
    assert str(error) == error.detail
