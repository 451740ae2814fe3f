"""The schedule: a seed's own, every kind in each round, lengths within their bounds."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.faults.chaos.kinds import KINDS
from tests.faults.chaos.schedule import LONGEST_PAUSE, SHORTEST_PAUSE, make_schedule


def test_kinds_have_names_of_their_own() -> None:
    assert len({kind.name for kind in KINDS}) == len(KINDS) >= 20


def test_a_seed_draws_the_same_again() -> None:
    first, again, other = (make_schedule(seed, KINDS, 50) for seed in (1, 1, 2))
    assert [each.describe() for each in first] == [each.describe() for each in again]
    assert [each.describe() for each in first] != [each.describe() for each in other]


@pytest.mark.parametrize("more", [0, 1, len(KINDS) - 1])
def test_every_kind_comes_once_in_a_round(more: int) -> None:
    plan = make_schedule(3, KINDS, 2 * len(KINDS) + more)
    counted = Counter(each.kind.name for each in plan)
    assert [each.number for each in plan] == [*range(1, 2 * len(KINDS) + more + 1)]
    assert Counter(counted.values()) == {
        count: kinds for count, kinds in ((2, len(KINDS) - more), (3, more)) if kinds
    }


def test_what_is_drawn_keeps_to_its_bounds() -> None:
    for each in make_schedule(4, KINDS, 500):
        assert each.kind.shortest <= each.draw.seconds <= each.kind.longest
        assert SHORTEST_PAUSE <= each.pause <= LONGEST_PAUSE
        assert 0 <= each.draw.pick < 1
