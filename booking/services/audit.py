"""Asks the data itself whether the promises hold."""

from __future__ import annotations

from collections.abc import Sequence

from booking.db.database import Database
from booking.db.transaction import Isolation
from booking.repositories import checks
from booking.repositories.checks import CheckResult


class AuditService:
    """The use case of the audit."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def run_audit(self) -> Sequence[CheckResult]:
        """Run every check of ``sql/checks`` in one snapshot; locks nobody out."""
        return self._db.transact(checks.run_checks, Isolation.SNAPSHOT)
