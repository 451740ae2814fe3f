"""The deadline of whoever serves a request, in threads as in greenlets."""

from __future__ import annotations

import math
import time

import pytest

from booking import deadlines
from booking.errors import Busy
from tests.support.threads import background, result


def test_wait_ends_by_its_own_limit_or_by_the_deadline() -> None:
    assert deadlines.at_most(5) == 5
    with deadlines.until(time.monotonic() + 2):
        assert deadlines.at_most(1) == 1
        assert 1 < deadlines.at_most(5) <= 2
    with deadlines.until(time.monotonic() - 1):
        assert deadlines.at_most(5) == 0
    assert deadlines.current() == math.inf


def test_nothing_is_begun_after_the_deadline() -> None:
    deadlines.check()
    with deadlines.until(time.monotonic()), pytest.raises(Busy):
        deadlines.check()
    deadlines.check()


def test_deadline_is_of_its_thread_alone() -> None:
    with background(1) as start, deadlines.until(0.0):
        assert result(start(deadlines.current)) == math.inf
