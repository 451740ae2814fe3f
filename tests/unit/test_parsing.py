"""Pieces of reading a request that are simpler to ask without one."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from booking.repositories.searches import _substring_pattern
from booking.schemas.fields import parse_uuid
from booking.schemas.loading import load
from booking.schemas.paging import NoQuery


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
