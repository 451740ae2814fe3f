"""Pieces of reading a request that are simpler to ask without one."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from booking.errors import MAX_TOLD_FAULTS, InvalidInput
from booking.repositories.searches import _substring_pattern
from booking.schemas.bookings import BookingCreate
from booking.schemas.fields import parse_uuid
from booking.schemas.loading import load
from booking.schemas.pagination import NoQuery


@given(st.uuids())
def test_every_uuid_is_parsed_and_given_back_in_lower_case(made: uuid.UUID) -> None:
    assert parse_uuid(str(made)) == str(made)
    assert parse_uuid(str(made).upper()) == str(made)


@given(st.text(max_size=40))
def test_what_is_parsed_is_a_uuid(text: str) -> None:
    parsed = parse_uuid(text)
    assert parsed is None or str(uuid.UUID(parsed)) == parsed == text.lower()


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        (None, None),
        ("x", "%x%"),
        ("50%", "%50\\%%"),
        ("a_b", "%a\\_b%"),
        ("\\", "%\\\\%"),
        ("\\%", "%\\\\\\%%"),
        ("'", "%'%"),
    ],
)
def test_pattern_escapes_what_like_gives_a_meaning(text: str | None, pattern: str | None) -> None:
    assert _substring_pattern(text) == pattern


def test_schema_that_knows_no_field_takes_nothing() -> None:
    assert load(NoQuery(), {}) == {}


def test_unknown_names_are_looked_at_only_as_far_as_they_are_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    schema, seen = BookingCreate(), []
    load_all = schema.load

    def load_and_count(data: dict[str, Any]) -> Any:
        seen.append(len(data))
        return load_all(data)

    monkeypatch.setattr(schema, "load", load_and_count)
    sent = dict.fromkeys((f"{number}" for number in range(10_000)), 1)
    with pytest.raises(InvalidInput) as caught:
        load(schema, {**sent, "num_seats": 1}, required=["user_id"])
    assert len(caught.value.errors) == MAX_TOLD_FAULTS
    assert seen[0] <= MAX_TOLD_FAULTS + 1 + len(schema.fields)
