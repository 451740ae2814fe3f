"""Slots whose doctor's name or specialization contains a text (docs/decisions/0013)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from booking.db.connection import Connection
from booking.db.queries import load_queries
from booking.models import SlotFilter

_queries = load_queries("searches")

# The soonest slots of so many providers are asked for at once.
VERY_FEW_PROVIDERS = 5
# Where more than this match, a search walks so many of the next slots: if one of ten matches, these
# fill a page of the default length. Of few it walks so many pages: one of four must match. For few
# doctors it reads index entries instead, for each as many as cost what a look at the soonest of the
# doctor's own slots does (9 µs, with a million slots).
FEW_PROVIDERS = 200
MAX_WALKED = 500
FEW_PAGES = 4
ENTRIES_PER_HEAD = 100
# The first PostgreSQL that compares a list of values within an index, behind a range, in one pass
# (release notes of 17, "Allow btree indexes to more efficiently find a set of values").
ONE_PASS_VERSION = 17_00_00


def search_slots(
    conn: Connection, wanted: SlotFilter, page: Mapping[str, Any], max_rows: int
) -> Sequence[Sequence[Any]]:
    """Return the rows of slots that match, ``max_rows`` at most; ``page`` is what list_slots goes
    by besides.

    Looks among the next slots first, and only where these do not fill the page among all slots of
    whoever matches. ILIKE decides what matches. Up to three statements, which must see one moment:
    who matches in the first decides what the second finds.
    """
    text = {"doctor_name": wanted.doctor_name, "specialization": wanted.specialization}
    patterns = {f"{name}_pattern": _substring_pattern(value) for name, value in text.items()}
    rows = _queries.find_provider_hashes(conn, max_rows=FEW_PROVIDERS + 1, **text, **patterns)
    hashes = [provider_hash for (provider_hash,) in rows]
    if not hashes:
        return []
    filters = {**patterns, **page, "max_rows": max_rows}
    if len(hashes) > VERY_FEW_PROVIDERS:
        nearby = _search_nearby(conn, hashes, filters)
        if len(nearby) == max_rows:
            return nearby
    return list(_queries.search_by_heads(conn, **text, **filters))


def _search_nearby(
    conn: Connection, hashes: Sequence[int | None], filters: Mapping[str, Any]
) -> Sequence[Sequence[Any]]:
    are_few = len(hashes) <= FEW_PROVIDERS
    are_doctors = filters["doctor_name_pattern"] is not None
    if are_few and are_doctors and conn.server_version >= ONE_PASS_VERSION:
        # As one literal: of a list each number would be parsed by itself.
        literal = f"{{{','.join(map(str, hashes))}}}"
        rows = _queries.search_near(
            conn, provider_hashes=literal, entries_per_head=ENTRIES_PER_HEAD, **filters
        )
    else:
        max_walked = min(FEW_PAGES * filters["max_rows"], MAX_WALKED) if are_few else MAX_WALKED
        rows = _queries.search_by_walk(conn, max_walked=max_walked, **filters)
    return list(rows)


def _substring_pattern(text: str | None) -> str | None:
    """Return a LIKE pattern that matches ``text`` to the letter, anywhere."""
    if text is None:
        return None
    for special in "\\%_":
        text = text.replace(special, "\\" + special)
    return f"%{text}%"
