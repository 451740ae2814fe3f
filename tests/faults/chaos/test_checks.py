"""Each check finds a damage that was planted in an honest run, and names it."""

from __future__ import annotations

import pytest

from tests.faults.chaos.checker import CHECKS, check_name, find_violations
from tests.faults.chaos.damages import (
    answers,
    events,
    expiry,
    keys,
    refusals,
    replay,
    seats,
    statuses,
    storage,
    versions,
)
from tests.faults.chaos.damages.planting import Damage, slot_id
from tests.faults.chaos.story import Run

DAMAGES: dict[str, Damage] = {
    **storage.DAMAGES,
    **keys.DAMAGES,
    **statuses.DAMAGES,
    **seats.DAMAGES,
    **events.DAMAGES,
    **replay.DAMAGES,
    **versions.DAMAGES,
    **expiry.DAMAGES,
    **answers.DAMAGES,
    **refusals.DAMAGES,
}


@pytest.mark.parametrize("name", DAMAGES)
def test_check_names_the_damage(name: str, story: Run) -> None:
    damage = DAMAGES[name]
    run = damage.plant(story)
    found = [
        violation
        for violation in find_violations(run.history, run.tables)
        if violation.check == damage.check
    ]
    names = {row.id: row.user_id for row in story.tables.bookings} | {slot_id(story): "slot"}
    named = {names.get(one, one) for violation in found for one in violation.ids}
    assert damage.ids <= named, found


def test_every_check_has_a_damage() -> None:
    assert {damage.check for damage in DAMAGES.values()} == set(map(check_name, CHECKS))
