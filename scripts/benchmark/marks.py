"""Ratios of what was measured in one round, and the marks that they are held against."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import median

from scripts.benchmark.records import Mark, Run

MARKS = (
    ("hot slot, 64 clients, over pgbench, one row", "hot-64-on", "pgbench-hot", 2.5),
    ("hot slot, 256 clients, over 16", "hot-256-on", "hot-16-on", 0.9),
    ("hot slot, 64 clients, over empty endpoint", "hot-64-on", "empty", 0.5),
    ("10,000 slots at random, over empty endpoint", "random", "empty", 0.4),
    ("sold-out slot, over empty endpoint", "sold-out", "empty", 0.6),
    ("grouping on over off, 1 client, idle slot", "idle-1-on", "idle-1-off", 0.97),
)
"""What, the scenario above, the scenario below, and at least how much it must be."""


def load_marks(runs: Mapping[str, Sequence[Run]]) -> tuple[Mark, ...]:
    """Return the marks of the loads; of those that were not measured, without a value."""
    return tuple(
        Mark(what, ratio(runs, above, below), at_least=bound) for what, above, below, bound in MARKS
    )


def ratio(runs: Mapping[str, Sequence[Run]], above: str, below: str) -> float | None:
    """Return the median over rounds and turns of the ratio of requests a second within one.

    Not the ratio of medians: what slows the machine for a while slows both of a round.
    """
    if above not in runs or below not in runs:
        return None
    return median(
        one.per_second / other.per_second
        for one, other in _pairs(runs[above], runs[below])
        if other.per_second
    )


def _pairs(above: Sequence[Run], below: Sequence[Run]) -> Iterator[tuple[Run, Run]]:
    """Pair runs of one turn; where one of the two has fewer turns, runs of one round."""
    most = max(len(above), len(below))
    for number in range(most):
        yield above[number * len(above) // most], below[number * len(below) // most]
