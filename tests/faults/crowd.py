"""Clients that book one after another, each booking under a key of its own, and what they saw."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial

from tests.faults.chaos.records import Failure
from tests.faults.chaos.transport import NoAnswer, Transport
from tests.support.factories import booking_body, unique
from tests.support.sessions import wait_until
from tests.support.snapshots import query
from tests.support.threads import background

ANSWER_SECONDS = 40.0
# Nobody listens, or bookings are refused: a client that asked again at once would only take time.
PAUSE_SECONDS = 0.02


@dataclass(frozen=True)
class Attempt:
    """One request. ``status`` is None where there was no answer, and ``failure`` says why."""

    user_id: str
    answered: float
    status: int | None
    code: str | None
    booking_id: str | None
    failure: Failure | None


class Crowd:
    """What the clients have seen so far; they stop when ``leave`` is called."""

    def __init__(self, port: int, slot_ids: list[str]) -> None:
        self._port = port
        self._slot_ids = slot_ids
        self._leaving = threading.Event()
        self._done: list[Attempt] = []

    def run(self, number: int, *, stays_connected: bool) -> None:
        """Book until it is time to leave, on one connection or on a new one for each request."""
        slot_id = self._slot_ids[number % len(self._slot_ids)]
        with closing(Transport(self._port, ANSWER_SECONDS)) as transport:
            while not self._leaving.is_set():
                attempt = self._book(transport, slot_id)
                self._done.append(attempt)
                if not stays_connected:
                    transport.close()
                if attempt.booking_id is None:
                    self._leaving.wait(PAUSE_SECONDS)

    def leave(self) -> None:
        """Let each client end after the request that it is at."""
        self._leaving.set()

    def attempts(self) -> list[Attempt]:
        """Return what was done so far."""
        return list(self._done)

    def acknowledged(self, since: float = 0) -> list[Attempt]:
        """Return the bookings that were acknowledged after a moment of ``time.monotonic()``."""
        return [each for each in self._done if each.booking_id and each.answered > since]

    def failures(self) -> Counter[Failure]:
        """Return how many requests had no answer, and why."""
        return Counter(each.failure for each in self._done if each.failure)

    def statuses(self) -> set[int]:
        """Return the statuses of all answers."""
        return {each.status for each in self._done if each.status is not None}

    def wait_for(self, bookings: int, since: float = 0) -> None:
        """Wait until so many more were acknowledged after a moment."""
        wait_until(lambda: len(self.acknowledged(since)) >= bookings, f"{bookings} bookings")

    def _book(self, transport: Transport, slot_id: str) -> Attempt:
        body = booking_body(slot_id)
        headers = {"Idempotency-Key": unique("key")}
        try:
            status, _, answer = transport.send("POST", "/api/bookings", body, headers)
        except NoAnswer as error:
            return Attempt(body["user_id"], time.monotonic(), None, None, None, error.failure)
        return Attempt(
            body["user_id"],
            time.monotonic(),
            status,
            answer["code"] if status >= 400 else None,
            answer["data"]["id"] if status < 300 else None,
            None,
        )


@contextmanager
def crowd(port: int, slot_ids: list[str], *, staying: int, coming: int) -> Iterator[Crowd]:
    """Have clients book: ``staying`` ones on connections kept alive, ``coming`` on new ones."""
    there = Crowd(port, slot_ids)
    with background(staying + coming) as start:
        running = [
            start(partial(there.run, number, stays_connected=number < staying))
            for number in range(staying + coming)
        ]
        try:
            yield there
        finally:
            there.leave()
            for each in running:
                each.result()


def find_lost(url: str, there: Crowd) -> list[Attempt]:
    """Return the acknowledged bookings that are no rows."""
    stored = dict(query(url, "SELECT id::text, user_id FROM bookings WHERE status = 'CONFIRMED'"))
    return [each for each in there.acknowledged() if stored.get(each.booking_id) != each.user_id]


def assert_acknowledged_are_stored(url: str, there: Crowd) -> None:
    """Compare with the rows: every acknowledged booking is one, and no request made two."""
    assert find_lost(url, there) == []
    asked = {each.user_id for each in there.attempts()}
    made = Counter(user_id for (user_id,) in query(url, "SELECT user_id FROM bookings"))
    assert [user_id for user_id in asked if made[user_id] > 1] == []
