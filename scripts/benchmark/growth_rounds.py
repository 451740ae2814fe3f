"""Asks a small and a large database the same in turns, and compares how long they take."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from booking.db.connection import Connection, connect
from scripts.benchmark.growth_database import count_rows, read_facts, unkept_promises
from scripts.benchmark.latency import Client
from scripts.benchmark.percentiles import percentile
from scripts.benchmark.questions import ALL, Question, Visitor
from scripts.benchmark.records import Mark, NotRun
from scripts.benchmark.report import milliseconds
from scripts.benchmark.servers import Server, running_server

AT_MOST = 1.3
HEADING = (
    "request, latencies in ms",
    "rows",
    "small p50",
    "p99",
    "large p50",
    "p99",
    "large / small",
    "range",
)

Told = Callable[[str], None]


@dataclass
class Place:
    """A database, a server on it, and one client of theirs."""

    conn: Connection
    server: Server
    visitor: Visitor
    stood_before: int

    def faults(self) -> list[str]:
        """Stop the server; return what is wrong, a line each."""
        self.server.stop()
        return unkept_promises(self.conn, self.visitor.acknowledged, self.stood_before)


@dataclass
class Asked:
    """What one kind of request came to on one database: latencies by round, and rows answered."""

    rounds: list[list[float]] = field(default_factory=list)
    rows: set[int] = field(default_factory=set)

    @property
    def latencies(self) -> list[float]:
        """All latencies, in milliseconds."""
        return [each for some in self.rounds for each in some]


@dataclass
class Pair:
    """The same kind of request, asked of the small and of the large database."""

    question: Question
    small: Asked = field(default_factory=Asked)
    large: Asked = field(default_factory=Asked)

    @property
    def ratios(self) -> list[float]:
        """The ratio of the two p50s, by round."""
        return [
            percentile(large, 0.5) / percentile(small, 0.5)
            for small, large in zip(self.small.rounds, self.large.rounds, strict=True)
        ]

    @property
    def ratio(self) -> float:
        """The median of the rounds' ratios."""
        return median(self.ratios)


@contextmanager
def opened_place(url: str, log: Path, seed: int) -> Iterator[Place]:
    """Start a server on a filled database, and a client of it. Raises NotRun."""
    with ExitStack() as stack:
        conn = stack.enter_context(closing(connect(url, application_name="benchmark")))
        server = stack.enter_context(running_server(url, log, {}))
        client = stack.enter_context(closing(Client(server.base_url)))
        visitor = Visitor(client, read_facts(conn), random.Random(seed))
        yield Place(conn, server, visitor, count_rows(conn))


def ask_in_rounds(
    small: Visitor,
    large: Visitor,
    *,
    rounds: int,
    requests: int,
    seed: int,
    tell: Told,
    questions: Sequence[Question] = ALL,
) -> list[Pair]:
    """Ask both databases every question so often in a round; round 0 warms up and is left out.

    They take turns request by request: what slows the machine for a while slows both. Raises NotRun
    where an answer is not the expected one, or the two do not answer with as many rows.
    """
    draw = random.Random(seed)
    pairs = {question.title: Pair(question) for question in questions}
    for round_ in range(rounds + 1):
        for question in draw.sample(questions, len(questions)):
            tell(f"round {round_} of {rounds}" if round_ else "warm-up")
            pair = pairs[question.title]
            sides = [(small, pair.small), (large, pair.large)]
            if round_:
                for _, asked in sides:
                    asked.rounds.append([])
            for _ in range(requests):
                for visitor, asked in draw.sample(sides, 2):
                    latency, rows = ask(visitor, question)
                    if round_:
                        asked.rounds[-1].append(latency)
                        asked.rows.add(rows)
    for pair in pairs.values():
        check_alike(pair)
    return list(pairs.values())


def ask(visitor: Visitor, question: Question) -> tuple[float, int]:
    """Ask once; return the latency in milliseconds and how many rows came. Raises NotRun."""
    request = question.ask(visitor)
    answer = visitor.send(request)
    if answer.status != question.status:
        raise NotRun(
            f"{question.title}: {request.method} {request.path} was answered with "
            f"{answer.status}: {answer.content}"
        )
    data = answer.content.get("data")
    return answer.milliseconds, len(data) if isinstance(data, list) else 0


def check_alike(pair: Pair) -> None:
    """Raise NotRun where a small and a large answer cannot be compared."""
    if pair.question.is_varied or pair.small.rows == pair.large.rows:
        return
    raise NotRun(
        f"{pair.question.title}: the small database answers with {sorted(pair.small.rows)} rows "
        f"and the large one with {sorted(pair.large.rows)}, which cannot be compared"
    )


def growth_table(pairs: Sequence[Pair]) -> tuple[tuple[str, ...], ...]:
    """Return a row for each kind of request."""
    return tuple(
        (
            pair.question.title,
            "-".join(str(rows) for rows in sorted(pair.small.rows - {0})),
            *(
                milliseconds(percentile(asked.latencies, share))
                for asked in (pair.small, pair.large)
                for share in (0.5, 0.99)
            ),
            f"{pair.ratio:.2f}",
            f"{min(pair.ratios):.2f}-{max(pair.ratios):.2f}",
        )
        for pair in pairs
    )


def growth_marks(pairs: Sequence[Pair]) -> tuple[Mark, ...]:
    """Return a mark for the worst read and one for the worst booking."""
    marks = []
    for name, is_booking in (("read", False), ("booking", True)):
        some = [pair for pair in pairs if pair.question.is_booking is is_booking]
        worst = max(some, key=lambda pair: pair.ratio, default=None)
        marks.append(
            Mark(
                f"any {name}, large over small, p50"
                + (f" (the most: {worst.question.title})" if worst else ""),
                worst.ratio if worst else None,
                at_most=AT_MOST,
            )
        )
    return tuple(marks)


def told_excess(pairs: Sequence[Pair]) -> list[str]:
    """Return a sentence on the kinds of requests that are over the bound, if any are."""
    over = [f"{pair.question.title} ({pair.ratio:.2f})" for pair in pairs if pair.ratio > AT_MOST]
    return [f"Over {AT_MOST}: {', '.join(over)}."] if over else []
