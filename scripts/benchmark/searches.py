"""The section of searches: what bookings feel of a flood of dear searches that anybody may ask.

The flood keeps within what the nginx of docs/DEPLOYMENT.md lets through from one address.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from statistics import median
from urllib.parse import urlencode

from scripts.benchmark.database import benchmark_postgres, checkpoint, server_version
from scripts.benchmark.growth_database import Size, make_database
from scripts.benchmark.growth_rounds import Place, opened_place
from scripts.benchmark.latency import Request
from scripts.benchmark.machine import describe_machine
from scripts.benchmark.options import Options
from scripts.benchmark.pacing import Load, steady_bookings, steady_requests
from scripts.benchmark.percentiles import percentile
from scripts.benchmark.processors import ForeignUse, told_disturbance
from scripts.benchmark.questions import SLOTS
from scripts.benchmark.records import Mark, NotRun, Section
from scripts.benchmark.report import milliseconds

AT_MOST = 3.0
HEADING = (
    "round, latencies in ms",
    *("p50 without", "with", "p99 without", "with", "with / without"),
    *("searches found / s", "p50", "told 503 / s"),
)
# Most doctors match, and no slot but two has as many seats left: all that are to come are read.
SEARCH = Request(
    "GET",
    f"{SLOTS}?"
    + urlencode({"doctor_name": "o", "specialization": "e", "min_seats": 60, "limit": 200}),
)
SEARCHES_PER_SECOND, SEARCHING = 20, 20
BOOKINGS_PER_SECOND, BOOKING = 40, 4
# Until as many searches are under way as will be.
LEAD_SECONDS = 2
WHOLE = Size(slots=120_000, bookings=120_000, providers=120_000)
QUICK = Size(slots=10_000, bookings=10_000, providers=10_000)

Told = Callable[[str], None]


@dataclass(frozen=True)
class Span:
    """What was asked around a span of time, and the span, in seconds since the epoch."""

    bookings: Load
    searches: Load
    since: float
    until: float

    def booked(self, share: float) -> float:
        """Return a percentile of the latencies of bookings, in milliseconds. Raises NotRun."""
        latencies = self.bookings.latencies(self.since, self.until)
        if not latencies:
            raise NotRun("no booking was due within a round: give it more seconds")
        return percentile(latencies, share)

    def searches_with(self, status: HTTPStatus) -> list[float]:
        """Return the latencies of the searches that were answered so, in milliseconds."""
        return [
            each.milliseconds
            for each in self.searches.answered
            if self.since <= each.due <= self.until and each.status == status
        ]

    def a_second(self, some: Sequence[float]) -> str:
        """Return how many they are a second, as it is shown."""
        return f"{len(some) / (self.until - self.since):.1f}"


@dataclass(frozen=True)
class Round:
    """Bookings without the flood and with it."""

    without: Span
    with_flood: Span

    @property
    def ratio(self) -> float:
        """The p50 of bookings with the flood, over that without."""
        return self.with_flood.booked(0.5) / self.without.booked(0.5)


def measure_searches(directory: Path, options: Options, tell: Told) -> Section:
    """Book without and with a flood of searches in turns. Raises NotRun."""
    size = QUICK if options.is_quick else WHOLE
    draw = random.Random(options.seed)
    with benchmark_postgres(directory / "postgres") as cluster:
        tell(f"Filling a database of {size.slots:,} slots")
        url = make_database(cluster, "searched", size)
        with opened_place(url, directory / "server.log", options.seed) as place:
            machine = describe_machine(server_version(place.conn))
            others = ForeignUse()
            tell("warm-up")
            warm_up = _span(place, 1, options.seed, is_flood=True)
            rounds = []
            for number in range(1, options.rounds + 1):
                tell(f"round {number} of {options.rounds}")
                rounds.append(_round(place, options.seconds, draw))
            disturbance = told_disturbance([others.share()])
            tell("Checking what stands")
            spans = [span for each in rounds for span in (each.without, each.with_flood)]
            faults = [*unexpected([warm_up, *spans]), *place.faults()]
    return Section(
        name="searches",
        marks=(searches_mark(rounds),),
        heading=HEADING,
        table=searches_table(rounds),
        notes=(
            machine,
            _told_load(size),
            f"{options.rounds} rounds of twice {options.seconds} seconds, seed {options.seed}.",
            *disturbance,
        ),
        faults=tuple(faults),
    )


def _told_load(size: Size) -> str:
    return (
        f"{size.slots:,} slots; {BOOKINGS_PER_SECOND} bookings a second from {BOOKING} clients, "
        f"{SEARCHES_PER_SECOND} searches a second from {SEARCHING}."
    )


def _round(place: Place, seconds: int, draw: random.Random) -> Round:
    spans = {
        is_flood: _span(place, seconds, draw.randrange(2**31), is_flood=is_flood)
        for is_flood in draw.sample((True, False), 2)
    }
    return Round(without=spans[False], with_flood=spans[True])


def _span(place: Place, seconds: int, seed: int, *, is_flood: bool) -> Span:
    checkpoint(place.conn)
    url = place.server.base_url
    with ExitStack() as stack:
        searches = Load()
        if is_flood:
            searches = stack.enter_context(
                steady_requests(
                    url,
                    lambda _: SEARCH,
                    per_second=SEARCHES_PER_SECOND,
                    clients=SEARCHING,
                    seed=seed,
                )
            )
        bookings = stack.enter_context(
            steady_bookings(
                url,
                place.visitor.facts.slots,
                per_second=BOOKINGS_PER_SECOND,
                clients=BOOKING,
                seed=seed,
            )
        )
        time.sleep(LEAD_SECONDS)
        since = time.time()
        time.sleep(seconds)
        until = time.time()
    place.server.wait_until_quiet()
    place.visitor.acknowledged += [each.booking_id for each in bookings.answered if each.booking_id]
    return Span(bookings, searches, since, until)


def unexpected(spans: Sequence[Span]) -> list[str]:
    """Return the answers that must not come, a line for each status."""
    told = []
    for name, expected in (
        ("bookings", {HTTPStatus.CREATED}),
        ("searches", {HTTPStatus.OK, HTTPStatus.SERVICE_UNAVAILABLE}),
    ):
        counted = Counter(each.status for span in spans for each in getattr(span, name).answered)
        told += [
            f"{name}: status {status} was answered {count} times"
            for status, count in sorted(counted.items())
            if status not in expected
        ]
    return told


def searches_mark(rounds: Sequence[Round]) -> Mark:
    """Return the mark of the median of the rounds' ratios."""
    return Mark(
        "bookings' p50 during a flood of searches, over without",
        median(each.ratio for each in rounds),
        at_most=AT_MOST,
    )


def searches_table(rounds: Sequence[Round]) -> tuple[tuple[str, ...], ...]:
    """Return a row for each round."""
    return tuple(_row(number, each) for number, each in enumerate(rounds, 1))


def _row(number: int, round_: Round) -> tuple[str, ...]:
    flood = round_.with_flood
    found = flood.searches_with(HTTPStatus.OK)
    return (
        str(number),
        *(
            milliseconds(span.booked(share))
            for share in (0.5, 0.99)
            for span in (round_.without, flood)
        ),
        f"{round_.ratio:.2f}",
        flood.a_second(found),
        milliseconds(percentile(found, 0.5)) if found else "",
        flood.a_second(flood.searches_with(HTTPStatus.SERVICE_UNAVAILABLE)),
    )
