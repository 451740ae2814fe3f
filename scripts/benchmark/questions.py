"""What a small and a large database are both asked, one request at a time."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from urllib.parse import urlencode

from scripts.benchmark.growth_database import Facts
from scripts.benchmark.latency import Answer, Client, Request
from scripts.benchmark.records import NotRun

SLOTS, BOOKINGS = "/api/slots", "/api/bookings"
ALL_SLOTS, ALL_BOOKINGS = "/api/admin/slots", "/api/admin/bookings"
# How far into a list its deep page lies, and the most rows that a page on the way may have.
DEEP = 0.7
LONGEST_PAGE = 200


@dataclass
class Visitor:
    """One client of one database: knows what stands there, and remembers what it was told.

    ``acknowledged`` are the bookings that were answered with 201.
    """

    client: Client
    facts: Facts
    draw: random.Random
    acknowledged: list[str] = field(default_factory=list)
    _cancellable: list[str] = field(init=False)
    _cursors: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._cancellable = list(self.facts.confirmed)

    def send(self, request: Request) -> Answer:
        """Send a request, and remember the booking that it made."""
        answer = self.client.send(request)
        if answer.status == HTTPStatus.CREATED:
            self.acknowledged.append(answer.content["data"]["id"])
        return answer

    def any_of(self, ids: Sequence[str]) -> str:
        """Return one of the ids. Raises NotRun where there is none."""
        if not ids:
            raise NotRun("the database has too few rows to ask for")
        return self.draw.choice(ids)

    def booking_of(self, slot_id: str, *, hold: bool = False) -> Request:
        """Return a request for one seat, with a key of its own, by a user who booked before."""
        body = {
            "slot_id": slot_id,
            "user_id": self.any_of(self.facts.users),
            "num_seats": 1,
            "hold": hold,
        }
        return Request("POST", BOOKINGS, body, str(uuid.uuid4()))

    def confirmation(self) -> Request:
        """Make a hold, and return the request that confirms it. Raises NotRun."""
        held = self.send(self.booking_of(self.any_of(self.facts.slots), hold=True))
        if held.status != HTTPStatus.CREATED:
            raise NotRun(f"a hold was answered with {held.status}: {held.content}")
        return Request("POST", f"{BOOKINGS}/{held.content['data']['id']}/confirm")

    def cancellation(self) -> Request:
        """Return the request that cancels a booking of long ago. Raises NotRun."""
        if not self._cancellable:
            raise NotRun("no booking is left to cancel: fewer rounds will do")
        return Request("POST", f"{BOOKINGS}/{self._cancellable.pop()}/cancel")

    def deep_page(self, path: str, rows: int) -> Request:
        """Return the request for the page that lies behind so many rows of a list.

        Walks there page by page the first time.
        """
        if path not in self._cursors:
            self._cursors[path] = self._walk(path, rows)
        return Request("GET", f"{path}{'&' if '?' in path else '?'}cursor={self._cursors[path]}")

    def _walk(self, path: str, rows: int) -> str:
        cursor = ""
        joint = "&" if "?" in path else "?"
        while rows:
            limit = min(rows, LONGEST_PAGE)
            behind = f"&cursor={cursor}" if cursor else ""
            answer = self.client.send(Request("GET", f"{path}{joint}limit={limit}{behind}"))
            if answer.status != HTTPStatus.OK or not answer.content["meta"]["next_cursor"]:
                raise NotRun(f"{path} has no page so deep: {answer.status}")
            cursor = answer.content["meta"]["next_cursor"]
            rows -= limit
        return cursor


@dataclass(frozen=True)
class Question:
    """A kind of request, and the status that answers it."""

    title: str
    ask: Callable[[Visitor], Request]
    status: HTTPStatus = HTTPStatus.OK
    is_booking: bool = False
    """Whether it takes, confirms or returns seats."""
    is_varied: bool = False
    """Whether its answers have more rows or fewer, whatever the size of the database."""


def _page(title: str, path: str, **query: str | int) -> Question:
    request = Request("GET", f"{path}?{urlencode(query)}" if query else path)
    return Question(title, lambda _visitor: request)


def _in_days(days: int) -> str:
    return (datetime.now(UTC) + timedelta(days=days)).isoformat()


def _deep_slots(visitor: Visitor) -> Request:
    return visitor.deep_page(SLOTS, int(DEEP * visitor.facts.bookable_slots))


def _deep_bookings(visitor: Visitor) -> Request:
    path = f"{BOOKINGS}?user_id={visitor.facts.user_of_many}"
    return visitor.deep_page(path, int(DEEP * visitor.facts.bookings_of_many))


def _bookings_of(title: str, of: Callable[[Visitor], dict[str, str]]) -> Question:
    return Question(title, lambda visitor: Request("GET", f"{BOOKINGS}?{urlencode(of(visitor))}"))


def _one(title: str, path: Callable[[Visitor], str]) -> Question:
    return Question(title, lambda visitor: Request("GET", path(visitor)))


# A short page where the small database has no fifty that match: both must answer as many rows.
READS = (
    _page("slots, first page", SLOTS),
    Question("slots, deep page", _deep_slots),
    _page("slots, doctor's name, one matches", SLOTS, doctor_name="æsk"),
    _page("slots, doctor's name, some match", SLOTS, doctor_name="abelson", limit=25),
    _page("slots, doctor's name, all match", SLOTS, doctor_name="dr."),
    _page("slots, doctor's name, one letter", SLOTS, doctor_name="q", limit=10),
    _page("slots, doctor's name, none matches", SLOTS, doctor_name="nobody"),
    _page("slots, specialization, one matches", SLOTS, specialization="æsthet"),
    _page("slots, specialization, one of 20", SLOTS, specialization="cardio", limit=10),
    _page("slots, specialization, most match", SLOTS, specialization="ology"),
    _page("slots, specialization, none matches", SLOTS, specialization="xq"),
    _page(
        "slots, doctor and specialization", SLOTS, doctor_name="a", specialization="cardio", limit=5
    ),
    _page("slots, from", SLOTS, **{"from": _in_days(200)}),
    _page("slots, to", SLOTS, to=_in_days(200)),
    _page("slots, from and to", SLOTS, **{"from": _in_days(100), "to": _in_days(300)}),
    _page(
        "slots, from and to, none matches", SLOTS, **{"from": _in_days(800), "to": _in_days(900)}
    ),
    _page("slots, min_seats, most match", SLOTS, min_seats=15),
    _page("slots, min_seats, one of 40", SLOTS, min_seats=44, limit=5),
    _page("slots, min_seats, two match", SLOTS, min_seats=900),
    _page("slots, min_seats, none matches", SLOTS, min_seats=1_000_000),
    _page(
        "slots, all filters",
        SLOTS,
        doctor_name="dr.",
        specialization="ology",
        min_seats=10,
        **{"from": _in_days(30)},
    ),
    _one("a slot", lambda v: f"{SLOTS}/{v.any_of(v.facts.slots)}"),
    _one("the slot of many bookings", lambda v: f"{SLOTS}/{v.facts.slot_of_many}"),
    _one("a booking", lambda v: f"{BOOKINGS}/{v.any_of(v.facts.bookings)}"),
    Question(
        "events of a booking",
        lambda v: Request("GET", f"{BOOKINGS}/{v.any_of(v.facts.bookings)}/events"),
        is_varied=True,
    ),
    _bookings_of("bookings of a user", lambda v: {"user_id": v.any_of(v.facts.users)}),
    _bookings_of("bookings of a user of many", lambda v: {"user_id": v.facts.user_of_many}),
    Question("the same, deep page", _deep_bookings),
    _bookings_of(
        "the same, CANCELLED",
        lambda v: {"user_id": v.facts.user_of_many, "status": "CANCELLED", "limit": "10"},
    ),
    _bookings_of(
        "the same, FAILED",
        lambda v: {"user_id": v.facts.user_of_many, "status": "FAILED", "limit": "10"},
    ),
    _bookings_of(
        "the same, of a slot",
        lambda v: {"user_id": v.facts.user_of_many, "slot_id": v.facts.slot_of_many},
    ),
    _page("all slots, first page", ALL_SLOTS),
    _page("all slots, CLOSED", ALL_SLOTS, status="CLOSED", limit=10),
    _page("all bookings, first page", ALL_BOOKINGS),
    _page("all bookings, FAILED", ALL_BOOKINGS, status="FAILED"),
    _one(
        "all bookings of a slot of many", lambda v: f"{ALL_BOOKINGS}?slot_id={v.facts.slot_of_many}"
    ),
)
BOOKS = (
    Question(
        "booking a slot",
        lambda v: v.booking_of(v.any_of(v.facts.slots)),
        HTTPStatus.CREATED,
        is_booking=True,
    ),
    Question(
        "booking the slot of many bookings",
        lambda v: v.booking_of(v.facts.slot_of_many),
        HTTPStatus.CREATED,
        is_booking=True,
    ),
    Question(
        "refused, sold out",
        lambda v: v.booking_of(v.any_of(v.facts.sold_out_slots)),
        HTTPStatus.CONFLICT,
        is_booking=True,
    ),
    Question(
        "holding",
        lambda v: v.booking_of(v.any_of(v.facts.slots), hold=True),
        HTTPStatus.CREATED,
        is_booking=True,
    ),
    Question("confirming", Visitor.confirmation, is_booking=True),
    Question("cancelling", Visitor.cancellation, is_booking=True),
)
ALL = (*READS, *BOOKS)
