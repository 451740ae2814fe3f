"""Books or asks at a fixed rate, whatever the server makes of it."""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus

from scripts.benchmark.latency import Client, Request
from scripts.benchmark.questions import BOOKINGS
from scripts.benchmark.records import NotRun


@dataclass(frozen=True, slots=True)
class Paced:
    """One request: when it was due (seconds since the epoch), how long after that its answer came,
    and the id that a 201 told.
    """

    due: float
    milliseconds: float
    status: int
    booking_id: str | None


@dataclass
class Load:
    """What the clients have seen so far. Whole once the load has ended."""

    answered: list[Paced] = field(default_factory=list)
    faults: list[NotRun] = field(default_factory=list)

    def latencies(self, since: float, until: float) -> list[float]:
        """Return the latencies of what was due in a span of time, in milliseconds."""
        return [each.milliseconds for each in self.answered if since <= each.due <= until]


@contextmanager
def steady_bookings(
    base_url: str, slot_ids: Sequence[str], *, per_second: float, clients: int, seed: int
) -> Iterator[Load]:
    """Book a seat of a random one of the slots at a fixed rate until the block is left.

    Raises NotRun where a booking has no answer.
    """

    def booking(draw: random.Random) -> Request:
        body = {"slot_id": draw.choice(slot_ids), "user_id": str(uuid.uuid4()), "num_seats": 1}
        return Request("POST", BOOKINGS, body, str(uuid.uuid4()))

    with steady_requests(
        base_url, booking, per_second=per_second, clients=clients, seed=seed
    ) as load:
        yield load


@contextmanager
def steady_requests(
    base_url: str,
    make: Callable[[random.Random], Request],
    *,
    per_second: float,
    clients: int,
    seed: int,
) -> Iterator[Load]:
    """Send what ``make`` draws at a fixed rate until the block is left.

    Each client has its turns, and a latency counts from the moment that the request was due: where
    an answer is late, the next request's wait is not left out. Raises NotRun where one has none.
    """
    load, stopping = Load(), threading.Event()
    started = time.time() + 0.1
    askers = [
        _Asker(
            base_url=base_url,
            make=make,
            draw=random.Random(seed + number),
            first_due=started + number / per_second,
            step=clients / per_second,
        )
        for number in range(clients)
    ]
    threads = [threading.Thread(target=each.ask, args=(load, stopping)) for each in askers]
    for thread in threads:
        thread.start()
    try:
        yield load
    finally:
        stopping.set()
        for thread in threads:
            thread.join()
    if load.faults:
        raise load.faults[0]


@dataclass(frozen=True)
class _Asker:
    """One client with its turns."""

    base_url: str
    make: Callable[[random.Random], Request]
    draw: random.Random
    first_due: float
    step: float

    def ask(self, load: Load, stopping: threading.Event) -> None:
        due = self.first_due
        with closing(Client(self.base_url)) as client:
            while not stopping.wait(max(0.0, due - time.time())):
                try:
                    answer = client.send(self.make(self.draw))
                except NotRun as fault:
                    load.faults.append(fault)
                    return
                made = answer.content["data"]["id"] if answer.status == HTTPStatus.CREATED else None
                load.answered.append(Paced(due, (time.time() - due) * 1000, answer.status, made))
                due += self.step
