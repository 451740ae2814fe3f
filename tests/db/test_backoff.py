"""Rests grow with what a try took and from one to the next, up to a bound, and have an end."""

from __future__ import annotations

import math
import time

import pytest

from booking.db import backoff as patience
from booking.db.backoff import Backoff

ERROR = RuntimeError("not now,\nperhaps later")


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "MIN_REST_SECONDS", 0.02)
    monkeypatch.setattr(patience, "MAX_REST_SECONDS", 0.1)


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def test_each_rest_is_twice_the_last_up_to_the_bound(caplog: pytest.LogCaptureFixture) -> None:
    patient, began = Backoff(math.inf), time.monotonic()
    for _ in range(4):
        patient.rest(ERROR, try_began=time.monotonic())
    assert time.monotonic() - began >= 0.24
    assert told(caplog) == [
        f"not now, perhaps later; it is tried again in {seconds} s"
        for seconds in ("0.02", "0.04", "0.08", "0.1")
    ]


def test_rest_is_twice_as_long_as_the_try() -> None:
    began = time.monotonic()
    Backoff(math.inf).rest(ERROR, try_began=began - 0.04)
    assert time.monotonic() - began >= 0.08


def test_patience_that_would_not_last_is_over_at_once(caplog: pytest.LogCaptureFixture) -> None:
    patient = Backoff(0.05)
    assert not patient.is_over()
    began = time.monotonic()
    with pytest.raises(RuntimeError, match="not now"):
        patient.rest(ERROR, try_began=began - 1)
    assert patient.is_over()
    assert told(caplog) == []


def test_patience_of_nothing_is_over_from_the_start() -> None:
    assert Backoff(0).is_over()
