"""Ids of version 7 (RFC 9562, section 5.7)."""

from __future__ import annotations

import time
import uuid

import pytest

from booking.uuid7 import uuid7


def test_version_and_variant_are_those_of_the_rfc() -> None:
    for _ in range(200):
        made = uuid7()
        assert made == made.lower()
        assert str(uuid.UUID(made)) == made
        assert uuid.UUID(made).version == 7
        assert uuid.UUID(made).variant == uuid.RFC_4122


def test_first_48_bits_are_the_time_in_milliseconds() -> None:
    before = time.time_ns() // 1_000_000
    moment = uuid.UUID(uuid7()).int >> 80
    assert before <= moment <= time.time_ns() // 1_000_000


@pytest.mark.parametrize("moment", [0, 1, 1_700_000_000_000, 2**48 - 1])
def test_time_of_the_id_is_the_clock_s(monkeypatch: pytest.MonkeyPatch, moment: int) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: moment * 1_000_000 + 999_999)
    assert uuid.UUID(uuid7()).int >> 80 == moment
    assert uuid.UUID(uuid7()).version == 7


def test_ids_of_later_milliseconds_sort_later(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    for moment in (5, 6, 7, 4095, 4096, 2**40):
        monkeypatch.setattr(time, "time_ns", lambda now=moment: now * 1_000_000)
        made.append(uuid7())
    assert made == sorted(made)


def test_ids_of_one_millisecond_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: 1_700_000_000_000_000_000)
    assert len({uuid7() for _ in range(10_000)}) == 10_000
