"""Measures what bookings feel of a sweep of many lapsed holds."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from statistics import median
from typing import Any

from booking.db.connection import Connection, connect
from scripts.benchmark.database import checkpoint, insert_slots
from scripts.benchmark.growth_database import count_rows, unkept_promises
from scripts.benchmark.pacing import Load, steady_bookings
from scripts.benchmark.percentiles import percentile
from scripts.benchmark.records import Mark, NotRun
from scripts.benchmark.report import milliseconds
from scripts.benchmark.servers import running_server

HOLDS = 100_000
AT_MOST = 2.0
HEADING = (
    "holds, latencies in ms",
    "sweep s",
    "p50 without",
    "with",
    "p99 without",
    "with",
    "with / without",
    "range",
)
PER_SECOND = 100
CLIENTS = 10
# Every worker sweeps, so they meet at once.
SETTINGS = {"EXPIRY_INTERVAL_SECONDS": "1"}
# Long enough to make the holds and to write out what that left.
LAPSE_SECONDS = 15
LEAD_SECONDS = 2
FIRST_CALM_SECONDS = 15.0
LIMIT_SECONDS = 600
POLL_SECONDS = 0.2
_HOLDS = Path(__file__).with_name("lapsing_holds.sql")

Told = Callable[[str], None]


@dataclass(frozen=True)
class Shape:
    """Where the holds stand, and where bookings go meanwhile: the numbers of the slots."""

    title: str
    slots: range


SHAPES = (
    Shape("on 10,000 slots", range(400_000_000_000, 400_000_010_000)),
    Shape("on one slot", range(500_000_000_000, 500_000_000_001)),
)


@dataclass
class Compared:
    """The latencies of bookings with a sweep and without, by round, and how long sweeps took."""

    shape: Shape
    with_sweep: list[list[float]] = field(default_factory=list)
    without: list[list[float]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def ratios(self) -> list[float]:
        """Return the ratio of the p99s, by round."""
        return [
            percentile(swept, 0.99) / percentile(calm, 0.99)
            for swept, calm in zip(self.with_sweep, self.without, strict=True)
        ]


class Sweeps:
    """Runs sweeps and calm times on one database, and keeps account of what was made there."""

    def __init__(self, conn: Connection, base_url: str, *, holds: int, seed: int) -> None:
        self._conn = conn
        self._base_url = base_url
        self._holds = holds
        self._draw = random.Random(seed)
        self._acknowledged: list[str] = []
        self._stood_before = count_rows(conn)
        self._runs = 0
        self.statuses: set[int] = set()

    def swept(self, shape: Shape) -> tuple[list[float], float]:
        """Have the server sweep; return the latencies meanwhile, and the seconds that it took.

        Raises NotRun where the sweep does not end.
        """
        last_event, lapse_at = self._make_holds(shape)
        checkpoint(self._conn)
        # The database's clock is this machine's.
        time.sleep(max(0.0, lapse_at.timestamp() - LEAD_SECONDS - time.time()))
        with self._bookings(shape) as load:
            deadline = time.monotonic() + LIMIT_SECONDS
            while self._is_held(lapse_at):
                if time.monotonic() > deadline:
                    raise NotRun(f"the sweep did not end within {LIMIT_SECONDS} seconds")
                time.sleep(POLL_SECONDS)
        self._take(load)
        ((swept, began, ended),) = self._rows(
            "SELECT count(*), min(e.at), max(e.at) FROM booking_events AS e "
            "INNER JOIN bookings AS b ON b.id = e.booking_id "
            "WHERE e.id > %s AND e.type = 'EXPIRED' AND b.expires_at = %s",
            [last_event, lapse_at],
        )
        if swept != self._holds:
            raise NotRun(f"{swept} holds were swept, {self._holds} had lapsed")
        span = (began.timestamp(), ended.timestamp())
        return load.latencies(*span), span[1] - span[0]

    def calm(self, shape: Shape, seconds: float) -> list[float]:
        """Return the latencies of so many seconds without a sweep."""
        checkpoint(self._conn)
        with self._bookings(shape) as load:
            time.sleep(LEAD_SECONDS)
            since = time.time()
            time.sleep(seconds)
            until = time.time()
        self._take(load)
        return load.latencies(since, until)

    def faults(self) -> list[str]:
        """Return what is wrong once the server has ended, a line each."""
        return [
            *(
                f"a booking during the sweeps was answered with {status}"
                for status in sorted(self.statuses - {HTTPStatus.CREATED})
            ),
            *unkept_promises(self._conn, self._acknowledged, self._stood_before),
        ]

    def _make_holds(self, shape: Shape) -> tuple[int, datetime]:
        ((last_event,),) = self._rows("SELECT coalesce(max(id), 0) FROM booking_events")
        self._runs += 1
        ((lapse_at,),) = self._rows(
            _HOLDS.read_text("utf-8"),
            {
                "first_slot": shape.slots[0],
                "last_slot": shape.slots[-1],
                "holds": self._holds,
                "label": f"sweep.{self._runs}",
                "lapse_after": LAPSE_SECONDS,
            },
        )
        self._stood_before += self._holds
        return last_event, lapse_at

    def _is_held(self, lapse_at: datetime) -> bool:
        ((is_held,),) = self._rows(
            "SELECT EXISTS (SELECT FROM bookings WHERE status = 'PENDING' AND expires_at = %s)",
            [lapse_at],
        )
        return bool(is_held)

    def _bookings(self, shape: Shape) -> AbstractContextManager[Load]:
        return steady_bookings(
            self._base_url,
            [f"00000000-0000-7000-8000-{number:012}" for number in shape.slots],
            per_second=PER_SECOND,
            clients=CLIENTS,
            seed=self._draw.randrange(2**31),
        )

    def _take(self, load: Load) -> None:
        self._acknowledged += [each.booking_id for each in load.answered if each.booking_id]
        self.statuses |= {each.status for each in load.answered}

    def _rows(self, query: str, parameters: Any = None) -> list[tuple[Any, ...]]:
        with self._conn.cursor() as cursor:
            cursor.execute(query, parameters)
            return cursor.fetchall()


def measure_sweeps(
    url: str, directory: Path, *, rounds: int, holds: int, seed: int, tell: Told
) -> tuple[list[Compared], list[str]]:
    """Measure with and without a sweep in turns; return that and the faults, a line each.

    Which goes first is drawn for each round. The first calm time is of a guessed length, each other
    one as long as the sweep before it. Raises NotRun.
    """
    draw = random.Random(seed)
    found = [Compared(shape) for shape in SHAPES]
    with closing(connect(url, application_name="benchmark")) as conn:
        for shape in SHAPES:
            insert_slots(conn, shape.slots)
        with running_server(url, directory / "sweep.log", SETTINGS) as server:
            sweeps = Sweeps(conn, server.base_url, holds=holds, seed=seed)
            for compared in found:
                sweeps.calm(compared.shape, 1)
                for round_ in range(1, rounds + 1):
                    for is_sweep in draw.sample((True, False), 2):
                        tell(f"sweep {compared.shape.title}, round {round_} of {rounds}")
                        if is_sweep:
                            latencies, seconds = sweeps.swept(compared.shape)
                            compared.with_sweep.append(latencies)
                            compared.seconds.append(seconds)
                        else:
                            calm = compared.seconds[-1] if compared.seconds else FIRST_CALM_SECONDS
                            compared.without.append(sweeps.calm(compared.shape, calm))
            server.stop()
        faults = sweeps.faults()
    return found, faults


def sweep_table(found: Sequence[Compared]) -> tuple[tuple[str, ...], ...]:
    """Return a row for each shape."""
    return tuple(
        (
            compared.shape.title,
            f"{median(compared.seconds):.1f}",
            *(
                milliseconds(median(percentile(some, share) for some in side))
                for share in (0.5, 0.99)
                for side in (compared.without, compared.with_sweep)
            ),
            f"{median(compared.ratios()):.2f}",
            f"{min(compared.ratios()):.2f}-{max(compared.ratios()):.2f}",
        )
        for compared in found
    )


def sweep_marks(found: Sequence[Compared]) -> tuple[Mark, ...]:
    """Return a mark for each shape."""
    return tuple(
        Mark(
            f"bookings' p99 during a sweep of holds {compared.shape.title}, over without",
            median(compared.ratios()),
            at_most=AT_MOST,
        )
        for compared in found
    )
