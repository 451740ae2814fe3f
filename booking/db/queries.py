"""The SQL files of ``sql/queries``, each a namespace of its own."""

from __future__ import annotations

from typing import Any

import aiosql

from booking.config import PROJECT_ROOT
from booking.db.prepared import PreparingAdapter

QUERIES = PROJECT_ROOT / "sql" / "queries"


def load_queries(name: str, *, prepared: frozenset[str] = frozenset()) -> Any:
    """Return the queries of ``sql/queries/<name>.sql`` as functions: ``queries.x(conn, …)``.

    Those in ``prepared`` are planned once on each pooled connection, whatever their parameters:
    choose such as have one good plan. A query whose name has no operator yields its rows lazily:
    read it whole, or it never runs.
    """
    return aiosql.from_path(QUERIES / f"{name}.sql", lambda: PreparingAdapter(prepared))
