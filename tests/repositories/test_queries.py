"""Every query of sql/queries fits the migrated schema, is used, and is used by one repository."""

from __future__ import annotations

import inspect
import re
from dataclasses import fields
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from psycopg2.extensions import connection as PgConnection  # noqa: N812

from booking.config import PROJECT_ROOT
from booking.db import migrations
from booking.db.queries import QUERIES, load_queries
from booking.models import Bookability, Booking, BookingEvent, Slot
from booking.repositories import (
    booking_events,
    bookings,
    cursor_keys,
    holds,
    searches,
    server,
    slots,
)
from booking.repositories.bookings import FoundBooking
from booking.repositories.server import ServerState

USERS: dict[str, ModuleType] = {
    "booking_events": booking_events,
    "bookings": bookings,
    "cursor_keys": cursor_keys,
    "holds": holds,
    "schema_migrations": migrations,
    "searches": searches,
    "server": server,
    "slots": slots,
}
FILES = sorted(path.stem for path in QUERIES.glob("*.sql"))
HEADER = re.compile(r"^-- name: (\w+)\(([^)]*)\)([\^$!#]|\*!|<!)?$", re.MULTILINE)


def _names(file: str) -> list[str]:
    return [match[1] for match in HEADER.finditer((QUERIES / f"{file}.sql").read_text())]


QUERIES_OF_FILES = [(file, name) for file in FILES for name in _names(file)]


def _sql(file: str, name: str) -> str:
    sql: str = getattr(load_queries(file), name).sql
    return sql


def _numbered(sql: str) -> tuple[str, list[str]]:
    """Turn the driver's placeholders into the server's: %(name)s into $n."""
    names: list[str] = []

    def number(match: re.Match[str]) -> str:
        if match[1] not in names:
            names.append(match[1])
        return f"${names.index(match[1]) + 1}"

    return re.sub(r"%\((\w+)\)s", number, sql), names


def test_each_file_has_its_module_and_each_module_its_file() -> None:
    assert sorted(USERS) == FILES
    for file, module in USERS.items():
        assert re.findall(r'load_queries\("(\w+)"', inspect.getsource(module)) == [file]
    folder = PROJECT_ROOT / "booking"
    loaders = sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*.py")
        if 'load_queries("' in path.read_text()
    )
    modules = [Path(module.__file__ or "") for module in USERS.values()]
    assert loaders == sorted(path.relative_to(folder).as_posix() for path in modules)


def test_names_are_told_once() -> None:
    names = [name for _, name in QUERIES_OF_FILES]
    assert len(names) > 25
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(("file", "name"), QUERIES_OF_FILES)
def test_query_fits_the_schema(conn: PgConnection, file: str, name: str) -> None:
    sql, parameters = _numbered(_sql(file, name))
    header = {
        match[1]: match[2] for match in HEADER.finditer((QUERIES / f"{file}.sql").read_text())
    }
    assert sorted(parameters) == sorted(filter(None, header[name].split(", ")))
    with conn.cursor() as cursor:
        if sql.startswith(("CREATE", "DO")):
            # PREPARE takes no command that defines something, and no block.
            cursor.execute(sql)
            return
        cursor.execute(f"PREPARE probe AS {sql}")
        cursor.execute(
            "SELECT parameter_types::text[] FROM pg_prepared_statements WHERE name = 'probe'"
        )
        [(types,)] = cursor.fetchall()
        cursor.execute("DEALLOCATE probe")
    assert len(types) == len(parameters)
    assert "unknown" not in types


@pytest.mark.parametrize(("file", "name"), QUERIES_OF_FILES)
def test_query_is_used_and_read_whole(file: str, name: str) -> None:
    source = inspect.getsource(USERS[file])
    assert re.search(rf"\b_queries\.{name}\(", source), f"{name} is used by nobody"
    [operator] = [
        match[3]
        for match in HEADER.finditer((QUERIES / f"{file}.sql").read_text())
        if match[1] == name
    ]
    if operator is None:
        # A lazy generator: unread, it locks and writes nothing.
        call = rf"_queries\.{name}\("
        reads = rf"(list|dict)\(\s*{call}|rows = {call}| in {call}"
        assert re.search(reads, source), f"the rows of {name} are not read whole"


@pytest.mark.parametrize(("file", "name"), QUERIES_OF_FILES)
def test_query_is_explained(file: str, name: str) -> None:
    text = (QUERIES / f"{file}.sql").read_text()
    block = text[text.index(f"-- name: {name}(") :].splitlines()
    assert re.match(r"-- [A-Z].*", block[1])
    assert not re.search(r"(\bSELECT|,|\.)\s*\*", re.sub(r"--.*", "", _sql(file, name)))


@pytest.mark.parametrize(
    ("file", "name", "kind", "more"),
    [
        ("slots", "insert_slot", Slot, []),
        ("slots", "update_slot", Slot, []),
        ("slots", "lock_slot", Slot, []),
        ("slots", "list_slots", Slot, []),
        ("searches", "search_near", Slot, []),
        ("searches", "search_by_walk", Slot, []),
        ("searches", "search_by_heads", Slot, []),
        ("slots", "find_slot", Slot, ["unswept_seats"]),
        ("bookings", "insert_bookings", Booking, []),
        ("bookings", "confirm_booking", Booking, []),
        ("bookings", "cancel_booking", Booking, []),
        ("bookings", "list_bookings", Booking, []),
        ("bookings", "find_booking", Booking, ["is_unswept"]),
        (
            "bookings",
            "explain_refusals",
            Booking,
            [
                "is_unswept",
                "slot_status",
                "has_started",
                "remaining_capacity",
                "max_seats_per_user",
                "unswept_seats",
            ],
        ),
        ("booking_events", "list_booking_events", BookingEvent, []),
        ("server", "read_server_state", ServerState, []),
    ],
)
def test_columns_stand_in_the_order_of_the_fields(
    conn: PgConnection, file: str, name: str, kind: Any, more: list[str]
) -> None:
    sql = _sql(file, name)
    with conn.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute(sql, dict.fromkeys(_numbered(sql)[1]))
        columns = [column.name for column in cursor.description or ()]
        cursor.execute("ROLLBACK")
    assert columns == [field.name for field in fields(kind)] + more


def test_columns_of_other_rows_are_those_of_their_classes() -> None:
    assert [field.name for field in fields(FoundBooking)] == ["booking", "is_unswept"]
    assert [field.name for field in fields(Bookability)] == [
        "status",
        "has_started",
        "remaining_capacity",
        "max_seats_per_user",
        "lapsed_seats",
    ]
