"""The concurrency test as people run it: against the real server, sound and broken."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psycopg2
import pytest

from tests.support.servers import LiveServer

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "concurrent_bookings.py"
LEAK = """
    CREATE FUNCTION forget_taken_seats() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF NEW.remaining_capacity < OLD.remaining_capacity AND NEW.version % 2 = 0 THEN
            NEW.remaining_capacity := OLD.remaining_capacity;
        END IF;
        RETURN NEW;
    END
    $$;
    CREATE TRIGGER forget_taken_seats BEFORE UPDATE ON slots
    FOR EACH ROW EXECUTE FUNCTION forget_taken_seats();
"""


def run(server: LiveServer, dsn: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPT), "--base-url", server.base_url, "--dsn", dsn, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


@pytest.mark.parametrize(
    ("scenario", "checks"), [("oversell", 21), ("mixed", 21), ("cancel", 23), ("expiry", 23)]
)
def test_all_holds_on_the_real_server(
    scenario: str, checks: int, new_database: Callable[..., str]
) -> None:
    url = new_database()
    with LiveServer(url, HOLD_TTL_SECONDS=2) as server:
        done = run(
            server,
            url,
            *("--scenario", scenario, "--threads", "12", "--capacity", "7", "--seats", "2"),
            *("--requests", "10", "--seed", "1"),
        )

    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{scenario}: all {checks} checks hold" in done.stdout
    assert "✗" not in done.stdout
    assert all(char.isprintable() for char in done.stdout.replace("\n", ""))


def test_seats_sold_twice_are_told(new_database: Callable[..., str]) -> None:
    url = new_database()
    connection = psycopg2.connect(url)
    with connection, connection.cursor() as cursor:
        cursor.execute(LEAK)
    connection.close()

    with LiveServer(url) as server:
        done = run(server, url, "--threads", "30", "--capacity", "5")

    assert done.returncode == 1, done.stdout + done.stderr
    for name in (
        "Exactly 5 bookings stand",
        "Nothing is oversold",
        "Capacity taken = seats accepted",
        "The server's audit is healthy",
        "SQL: the slot's invariant holds",
    ):
        assert f"✗ {name}" in done.stdout


def test_a_foreign_database_is_no_evidence(new_database: Callable[..., str]) -> None:
    with LiveServer(new_database()) as server:
        done = run(server, new_database())

    assert done.returncode == 2
    assert "is not in this database" in done.stderr


def test_holds_that_live_too_long_are_not_waited_for(new_database: Callable[..., str]) -> None:
    url = new_database()
    with LiveServer(url, HOLD_TTL_SECONDS=600) as server:
        done = run(server, url, "--scenario", "expiry", "oversell", "--max-wait", "2")

    assert done.returncode == 2
    assert "longer than --max-wait 2" in done.stderr
    assert "oversell: all 21 checks hold" in done.stdout
