"""The invariants of ``sql/checks``: one a file, and no row comes back when it holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from booking.config import PROJECT_ROOT
from booking.db.connection import Connection, statements_of

# A check reads whole tables; it locks nobody out while it does.
TIMEOUT_MS = 60_000
CHECKS = PROJECT_ROOT / "sql" / "checks"


@dataclass(frozen=True)
class CheckResult:
    """One invariant and the rows that break it, each as column and value."""

    name: str
    violations: Sequence[dict[str, Any]]


def run_checks(conn: Connection, *, timeout_ms: int = TIMEOUT_MS) -> Sequence[CheckResult]:
    """Run every check, by name, within a transaction: in one snapshot where it has one."""
    results = []
    with statements_of(conn, timeout_ms=timeout_ms), conn.cursor() as cursor:
        for path in sorted(CHECKS.glob("*.sql")):
            cursor.execute(path.read_text("utf-8"))
            columns = [column.name for column in cursor.description or ()]
            rows = [dict(zip(columns, row, strict=True)) for row in cursor]
            results.append(CheckResult(path.stem, rows))
    return results
