"""One server, many users: how it starts, is shared, and ends with the last of them."""

from __future__ import annotations

import signal
from pathlib import Path

import psycopg2
import pytest
from psycopg2.extensions import parse_dsn

from booking.embedded import EmbeddedPostgresUnavailable, binary, embedded_postgres
from tests.embedded.processes import StartUser, eventually, fetch, is_gone, processes_of


def test_is_a_real_server_for_this_machine_alone(directory: Path) -> None:
    with embedded_postgres(directory, settings={"max_connections": "37"}) as url:
        parts = parse_dsn(url)
        assert (parts["host"], parts["user"], parts["dbname"]) == (
            "127.0.0.1",
            "booking",
            "booking",
        )
        expected = {
            "fsync": "on",
            "full_page_writes": "on",
            "synchronous_commit": "on",
            "data_checksums": "on",
            "server_encoding": "UTF8",
            "password_encryption": "scram-sha-256",
            "listen_addresses": "127.0.0.1",
            "max_connections": "37",
            "TimeZone": "UTC",
        }
        assert {name: fetch(url, f"SHOW {name}") for name in expected} == expected
        words = [word for process in processes_of(directory) for word in process.cmdline()]
        assert "unix_socket_directories=" in words
        # Unicode's upper and lower case, in every version and on every system.
        assert fetch(url, "SELECT lower('ÄÖÉ') || upper('äöé')") == "äöéÄÖÉ"
        assert fetch(url, "SELECT 'Z' < 'a' COLLATE \"default\"") is True
        with pytest.raises(psycopg2.OperationalError, match="password"):
            psycopg2.connect(url.replace(str(parts["password"]), "wrong"))
    assert is_gone(directory)


def test_keeps_its_secrets_from_other_users(directory: Path) -> None:
    with embedded_postgres(directory):
        modes = {path.name: path.stat().st_mode & 0o777 for path in directory.iterdir()}
    assert modes.pop("data") == 0o700
    assert set(modes.values()) == {0o600}


def test_keeps_the_data_from_one_use_to_the_next(fresh: Path) -> None:
    with embedded_postgres(fresh) as url:
        fetch(url, "CREATE TABLE kept AS SELECT 42 AS answer")
    assert is_gone(fresh)
    with embedded_postgres(fresh) as url:
        assert fetch(url, "SELECT answer FROM kept") == 42
    assert is_gone(fresh)


def test_ten_at_once_make_one_server(fresh: Path, start_user: StartUser) -> None:
    users = [start_user(fresh) for _ in range(10)]
    urls = {user.url() for user in users}
    assert len(urls) == 1
    assert fetch(urls.pop(), "SELECT 1") == 1
    assert len([p for p in processes_of(fresh) if "booking.embedded.guard" in p.cmdline()]) == 1
    for user in users:
        assert user.process.stdin is not None
        user.process.stdin.close()
    for user in users:
        assert user.process.wait(timeout=20) == 0
        assert user.process.stdout is not None
        user.process.stdout.close()
        assert user.process.stderr is not None
        user.process.stderr.close()
    assert is_gone(fresh)


def test_lives_until_the_last_user_leaves(directory: Path, start_user: StartUser) -> None:
    first, second = start_user(directory), start_user(directory)
    assert first.url() == (url := second.url())
    first.leave()
    assert fetch(url, "SELECT 1") == 1
    third = start_user(directory)
    assert third.url() == url
    second.leave()
    assert fetch(url, "SELECT 1") == 1
    third.leave()
    assert is_gone(directory)


def test_stops_when_its_last_user_is_killed(directory: Path, start_user: StartUser) -> None:
    first, second = start_user(directory), start_user(directory)
    url = first.url()
    second.url()
    first.kill()
    assert fetch(url, "SELECT 1") == 1
    second.kill()
    eventually(lambda: is_gone(directory), "the server has stopped")


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_leaves_no_process(
    directory: Path, start_user: StartUser, signal_number: signal.Signals
) -> None:
    stays, user = start_user(directory), start_user(directory)
    url = stays.url()
    user.url()
    assert user.signal_group(signal_number) == 128 + signal_number
    assert fetch(url, "SELECT 1") == 1
    assert stays.signal_group(signal_number) == 128 + signal_number
    # At once: whoever has the prompt back finds nothing running.
    assert is_gone(directory)


def test_binary_finds_the_programs_beside_the_server() -> None:
    assert {binary(name).name for name in ("psql", "pgbench", "postgres")} == {
        "psql",
        "pgbench",
        "postgres",
    }
    with pytest.raises(EmbeddedPostgresUnavailable, match="without no_such_program"):
        binary("no_such_program")
