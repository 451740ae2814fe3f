"""What is measured, as plain data."""

from __future__ import annotations

from dataclasses import dataclass


class NotRun(Exception):
    """The benchmark cannot be run; the message says why, and what to do about it."""


@dataclass(frozen=True, slots=True)
class Load:
    """What a load generator saw.

    ``answered`` requests, of which ``refused`` with a status above 399; latencies in milliseconds;
    ``statuses`` only where the answers were looked at; ``faults`` are what must not happen at all.
    """

    seconds: float
    answered: int
    refused: int
    p50_ms: float
    p99_ms: float
    statuses: dict[int, int]
    faults: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Run:
    """One scenario in one round, under a label that its bookings bear.

    ``per_second`` counts what was served; a refusal only where the scenario asks for nothing else.
    ``acknowledged`` bookings were answered with 201, and up to ``unanswered`` more may have been
    made: the load generator does not wait for what is in flight when its time is over.
    ``foreign_cpu`` is the share of the machine's processors that others used meanwhile.
    """

    scenario: str
    label: str
    answered: int
    refused: int
    per_second: float
    p50_ms: float
    p99_ms: float
    acknowledged: int
    unanswered: int
    foreign_cpu: float
    faults: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Mark:
    """A figure and the bound that it is judged by; ``value`` None where it was not measured."""

    what: str
    value: float | None
    at_least: float | None = None
    at_most: float | None = None

    @property
    def bound(self) -> str:
        """The bound as it is shown."""
        if self.at_most is not None:
            return f"≤ {self.at_most:g}"
        return f"≥ {self.at_least:g}"

    @property
    def verdict(self) -> str:
        """Whether the bound is kept."""
        if self.value is None:
            return "not measured"
        is_reached = (self.at_least is None or self.value >= self.at_least) and (
            self.at_most is None or self.value <= self.at_most
        )
        return "reached" if is_reached else "NOT reached"


@dataclass(frozen=True, slots=True)
class Section:
    """What one part of the benchmark found.

    ``faults`` are broken promises, each a line; ``table`` has a heading and rows of text; ``notes``
    are sentences that go with it; ``picture`` is one of Markdown's.
    """

    name: str
    marks: tuple[Mark, ...]
    heading: tuple[str, ...]
    table: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]
    faults: tuple[str, ...]
    picture: str | None = None
