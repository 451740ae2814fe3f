"""Prepared statements: what is asked often is parsed and planned once on each connection.

psycopg2 writes parameters into the text of a statement, and the server parses and plans each anew:
more than half of what a booking costs it. Here a query becomes PREPARE and EXECUTE (PostgreSQL,
"SQL Commands", PREPARE).

Behind a pooler in transaction mode the two may reach different sessions. PostgreSQL then refuses
the one or the other before anything is done, and the connection goes on without. A statement's name
tells its text, so a session that somebody else prepared cannot run another text for it.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

from aiosql.adapters.pyformat import PyFormatAdapter
from psycopg2 import errors
from psycopg2.extensions import TRANSACTION_STATUS_IDLE, cursor

from booking.db.connection import PooledConnection

# A plan is made for tables of the size that they have. After so many runs it is made anew, or a
# rush on a young table would go on reading it whole.
RUNS_OF_A_PLAN = 500

_PLACEHOLDER = re.compile(r"%\((\w+)\)s")
_NOT_ON_THIS_SESSION = (
    errors.InvalidSqlStatementName,
    errors.DuplicatePreparedStatement,
    # The schema changed under the statement: its columns have other types now.
    errors.FeatureNotSupported,
)


class _Statement:
    """The texts of one query: to prepare, to execute and to forget it."""

    def __init__(self, sql: str) -> None:
        names = list(dict.fromkeys(_PLACEHOLDER.findall(sql)))
        numbered = _PLACEHOLDER.sub(lambda match: f"${names.index(match[1]) + 1}", sql)
        self.name = "booking_" + hashlib.sha256(sql.encode()).hexdigest()[:16]
        # Without parameters the driver reads no percent signs.
        self.prepare = f"PREPARE {self.name} AS {numbered.replace('%%', '%')}"
        self.execute = f"EXECUTE {self.name} ({', '.join(f'%({name})s' for name in names)})"
        self.deallocate = f"DEALLOCATE {self.name}"


class PreparingAdapter(PyFormatAdapter):
    """aiosql's adapter for psycopg2, whose cursors prepare the queries that are named here."""

    def __init__(self, prepared: frozenset[str]) -> None:
        super().__init__(cursor_factory=_PreparingCursor)  # type: ignore[no-untyped-call] # aiosql
        self._prepared = prepared

    def process_sql(self, query_name: str, op_type: Any, sql: str) -> str:
        """Return the query in the driver's style, and remember its statement."""
        text: str = super().process_sql(query_name, op_type, sql)  # type: ignore[no-untyped-call] # aiosql
        if query_name in self._prepared:
            _statements[text] = _Statement(text)
        return text


_statements: dict[str, _Statement] = {}


class _PreparingCursor(cursor):
    """Runs a query of ``_statements`` as a prepared one where its connection can.

    Inside a transaction nothing is tried that could fail for the session's sake.
    """

    def execute(self, query: Any, parameters: Any = None) -> None:
        statement = _statements.get(query)
        conn = self.connection
        if (
            statement is None
            or not isinstance(conn, PooledConnection)
            or not conn.prepares
            or conn.info.transaction_status != TRANSACTION_STATUS_IDLE
        ):
            super().execute(query, parameters)
            return
        try:
            self._prepare(statement, conn)
            super().execute(statement.execute, parameters)
        except _NOT_ON_THIS_SESSION:
            conn.prepares = False
            super().execute(query, parameters)

    def _prepare(self, statement: _Statement, conn: PooledConnection) -> None:
        runs = conn.runs_of_plans.get(statement.name)
        if runs == RUNS_OF_A_PLAN:
            super().execute(statement.deallocate)
        if runs is None or runs == RUNS_OF_A_PLAN:
            super().execute(statement.prepare)
            runs = 0
        conn.runs_of_plans[statement.name] = runs + 1
