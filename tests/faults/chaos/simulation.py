"""A run of many clients at once on a model database, with lost requests and answers: no violation
by construction, whatever the seed.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

from tests.faults.chaos.model import ModelDatabase
from tests.faults.chaos.records import Answer, Failure, Operation, Record, Request
from tests.faults.chaos.story import Run

# Of how many requests, in 100, something becomes that is not an answer.
_FATES = ("answered",) * 80 + ("answer_lost",) * 8 + ("request_lost",) * 6 + ("turned_away",) * 6
_ACTS = {
    "book": 30,
    "hold": 30,
    "retry": 12,
    "reuse": 2,
    "confirm": 12,
    "cancel": 12,
    "read_booking": 12,
    "read_slot": 12,
    "change_capacity": 2,
    "change_status": 2,
    "expire_pending": 1,
}


@dataclass(frozen=True)
class Size:
    """How large a simulated run is."""

    clients: int
    slots: int
    capacity: int
    requests: int


class Simulation:
    """Clients that each wait for an answer, or give up, before they send the next request."""

    def __init__(self, seed: int, size: Size, database: ModelDatabase | None = None) -> None:
        self._random = random.Random(seed)
        self._size = size
        self._database = database or ModelDatabase()
        self._records: list[Record] = []
        self._agenda: list[tuple[float, int, Callable[[float], None]]] = []
        self._order = count()
        self._slot_ids: list[str] = []
        self._asked: list[Request] = []
        self._booking_ids: list[str] = []
        self._left = size.requests
        self._end = 0.0

    def run(self) -> Run:
        for _ in range(self._size.slots):
            self._create_slot()
        start = self._end
        for number in range(self._size.clients):
            self._at(start + self._random.random(), self._client(f"client-{number}"))
        for slot_id in self._slot_ids:
            self._at(start + self._random.random(), self._sweeper(slot_id))
        while self._agenda:
            moment, _, act = heapq.heappop(self._agenda)
            self._end = max(self._end, moment)
            act(moment)
        return Run(tuple(self._records), self._database.tables(self._end + 1))

    def _at(self, moment: float, act: Callable[[float], None]) -> None:
        heapq.heappush(self._agenda, (moment, next(self._order), act))

    def _create_slot(self) -> None:
        request = Request(
            id=f"slot-{len(self._slot_ids)}",
            client="admin",
            operation=Operation.CREATE_SLOT,
            sent=self._end,
            total_capacity=self._random.randint(1, self._size.capacity),
        )
        answer = self._database.apply(request, self._end + 0.001, self._end + 0.002, joins=False)
        assert answer.slot
        self._end += 0.01
        self._slot_ids.append(answer.slot.id)
        self._records += [request, answer]

    def _sweeper(self, slot_id: str) -> Callable[[float], None]:
        def sweep(now: float) -> None:
            self._database.sweep(slot_id, now)
            if self._left > 0:
                self._at(now + self._random.uniform(0.5, 5), sweep)

        return sweep

    def _client(self, name: str) -> Callable[[float], None]:
        def act(now: float) -> None:
            if self._left <= 0:
                return
            self._left -= 1
            request = self._next_request(name, now)
            self._records.append(request)
            self._at(self._send(request), act)

        return act

    def _send(self, request: Request) -> float:
        """Decide what becomes of a request; return when its client goes on."""
        fate = self._random.choice(_FATES)
        done_at = request.sent + self._random.expovariate(20)
        answered = done_at + self._random.expovariate(20) + 1e-6
        if fate == "turned_away":
            self._answer(request, answered, status=503, code="BUSY")
        if fate == "answer_lost":
            # Given up before or after it is done; a third never wrote down why.
            answered = request.sent + self._random.expovariate(10) + 1e-6
            if self._random.random() < 0.6:
                self._answer(request, answered, failure=Failure.TIMEOUT)
        if fate == "request_lost":
            self._answer(request, answered, failure=Failure.CONNECTION_LOST)
        if fate in {"answered", "answer_lost"}:
            is_told = fate == "answered"
            joins = self._random.random() < 0.5

            def do(now: float) -> None:
                told_at = answered if is_told else float("inf")
                answer = self._database.apply(request, now, told_at, joins=joins)
                if is_told:
                    self._records.append(answer)
                if answer.booking:
                    self._booking_ids.append(answer.booking.id)

            self._at(done_at, do)
        return answered + self._random.expovariate(50)

    def _answer(self, request: Request, answered: float, **fields: Any) -> None:
        self._records.append(Answer(request_id=request.id, answered=answered, **fields))

    def _next_request(self, client: str, now: float) -> Request:
        [act] = self._random.choices(list(_ACTS), list(_ACTS.values()))
        new_id = f"{client}-{self._left}"
        if act in {"retry", "reuse"} and self._asked:
            again: Request = self._recent(self._asked)
            seats = int(again.num_seats or 0) + (act == "reuse")
            return replace(again, id=new_id, client=client, sent=now, num_seats=seats)
        if act in {"confirm", "cancel", "read_booking"} and self._booking_ids:
            return Request(
                id=new_id,
                client=client,
                operation=Operation(act),
                sent=now,
                booking_id=self._recent(self._booking_ids),
            )
        if act == "expire_pending":
            return Request(id=new_id, client=client, operation=Operation.EXPIRE_PENDING, sent=now)
        if act in {"read_slot", "change_capacity", "change_status"}:
            return self._about_slot(act, client, new_id, now)
        request = Request(
            id=new_id,
            client=client,
            operation=Operation.HOLD if act == "hold" else Operation.BOOK,
            sent=now,
            user_id=client,
            idempotency_key=new_id,
            slot_id=self._random.choice(self._slot_ids),
            num_seats=self._random.randint(1, 3),
        )
        self._asked.append(request)
        return request

    def _recent(self, things: list[Any]) -> Any:
        """Return one of the latest: what was just sent or booked is what races happen to."""
        return things[-1 - int(len(things) * self._random.random() ** 6)]

    def _about_slot(self, act: str, client: str, new_id: str, now: float) -> Request:
        changes: dict[str, Any] = {}
        if act == "change_capacity":
            changes["total_capacity"] = self._random.randint(1, self._size.capacity)
        if act == "change_status":
            changes["slot_status"] = self._random.choice(["OPEN", "OPEN", "CLOSED"])
        return Request(
            id=new_id,
            client=client,
            operation=Operation.CHANGE_SLOT if changes else Operation.READ_SLOT,
            sent=now,
            slot_id=self._random.choice(self._slot_ids),
            **changes,
        )
