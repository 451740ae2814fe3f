"""Which fault when: drawn from a seed, so that a run can be had again."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tests.faults.chaos.stage import Draw, Kind

SHORTEST_PAUSE, LONGEST_PAUSE = 0.2, 0.9


@dataclass(frozen=True)
class Planned:
    """One fault. ``pause`` is the time before it, in seconds, in which nothing is hurt."""

    number: int
    kind: Kind
    pause: float
    draw: Draw

    def describe(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "number": self.number,
            "kind": self.kind.name,
            "pause": round(self.pause, 3),
            **{name: round(value, 4) for name, value in asdict(self.draw).items()},
        }


def make_schedule(seed: int, kinds: Sequence[Kind], faults: int) -> list[Planned]:
    """Return so many faults in rounds, in each of which every kind comes once."""
    rng = random.Random(seed)
    plan: list[Planned] = []
    while len(plan) < faults:
        kinds_of_round = rng.sample(kinds, len(kinds))
        for kind in kinds_of_round[: faults - len(plan)]:
            pause = rng.uniform(SHORTEST_PAUSE, LONGEST_PAUSE)
            draw = Draw(rng.uniform(kind.shortest, kind.longest), rng.random())
            plan.append(Planned(len(plan) + 1, kind, pause, draw))
    return plan
