"""What dies, is killed, or was never there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg2
import pytest

from booking.embedded import EmbeddedPostgresUnavailable, binaries, embedded_postgres, log
from booking.embedded.layout import Layout
from booking.embedded.log import BoundedLog
from tests.embedded.processes import (
    StartUser,
    eventually,
    fetch,
    has_ended,
    is_gone,
    kill_all,
    processes_of,
)
from tests.support.servers import ROOT, free_port

NOBODY = 65534

# Starts a server as a guard does, and goes without it: what is left of a guard that was killed on a
# system without parent death signals.
ABANDON_A_SERVER = """
import signal, sys, time
from pathlib import Path
from booking.embedded import pidfile
from booking.embedded.binaries import find_installation
from booking.embedded.identity import choose_identity
from booking.embedded.layout import Layout
from booking.embedded.log import BoundedLog
from booking.embedded.programs import Programs
from booking.embedded.reach import within_reach
layout = Layout(Path(sys.argv[1]))
identity = choose_identity(layout)
programs = Programs(identity, BoundedLog(layout), lambda: False)
identity.own(layout.data)
with within_reach(find_installation(), identity) as installation:
    command = [installation.program("postgres"), "-D", layout.data, "-c", "port=" + sys.argv[2]]
    command += ["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]
    server = programs.start(command, signal.SIGCONT, data=layout.data)
    while not pidfile.is_ready(layout.data, server.pid):
        programs.listen(0.02)
    print(server.pid)
"""


def postmaster(directory: Path) -> psutil.Process:
    return psutil.Process(int((directory / "data" / "postmaster.pid").read_text().split()[0]))


def guard(directory: Path) -> psutil.Process:
    return psutil.Process(json.loads((directory / "endpoint.json").read_text())["guard"])


def accepts_connections(url: str) -> bool:
    try:
        return bool(fetch(url, "SELECT 1") == 1)
    except psycopg2.OperationalError:
        return False


def test_recovers_from_a_kill_of_everything(directory: Path, start_user: StartUser) -> None:
    user = start_user(directory)
    fetch(user.url(), "CREATE TABLE kept AS SELECT 42 AS answer")
    kill_all([*processes_of(directory), psutil.Process(user.process.pid)])
    with embedded_postgres(directory) as url:
        assert fetch(url, "SELECT answer FROM kept") == 42
    assert "database system was not properly shut down" in (directory / "postgres.log").read_text()


def test_a_killed_server_comes_back_for_its_users(directory: Path) -> None:
    with embedded_postgres(directory) as url:
        killed = postmaster(directory)
        killed.kill()
        killed.wait(timeout=10)
        eventually(lambda: accepts_connections(url), "the server is back on the same port")
        assert postmaster(directory).pid != killed.pid
    assert is_gone(directory)


def test_the_next_user_puts_a_killed_guard_right(directory: Path) -> None:
    with embedded_postgres(directory) as first:
        killed = guard(directory)
        killed.kill()
        # Whoever comes before it is dead takes the server as it is, which then ends with its guard.
        killed.wait(30)
        with embedded_postgres(directory) as second:
            assert fetch(second, "SELECT 1") == 1
        # The port stays where it can, so that the user from before goes on.
        assert fetch(first, "SELECT 1") == 1
    assert is_gone(directory)


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's parent death signal")
def test_the_server_does_not_outlive_its_guard(directory: Path, start_user: StartUser) -> None:
    user = start_user(directory)
    user.url()
    guard(directory).kill()
    eventually(lambda: is_gone(directory), "the server has stopped")


def test_stops_a_server_that_no_guard_keeps(directory: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ABANDON_A_SERVER, str(directory), str(free_port())],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    orphan = psutil.Process(int(done.stdout))
    assert not has_ended(orphan)
    with embedded_postgres(directory) as url:
        assert fetch(url, "SELECT 1") == 1
        assert has_ended(orphan)
    assert is_gone(directory)


@pytest.fixture
def stranger(directory: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Return a process of the server's user that has nothing to do with it."""
    user = os.geteuid() or NOBODY
    for path in (directory / "data", *(directory / "data").rglob("*")):
        os.chown(path, user, -1)
    # As root only root may become another; as oneself it changes nothing.
    with subprocess.Popen(["/bin/sleep", "60"], user=user) as process:
        yield process
        process.kill()


def test_a_stale_pid_file_that_names_another_process_is_no_obstacle(
    directory: Path, stranger: subprocess.Popen[bytes]
) -> None:
    pid_file = directory / "data" / "postmaster.pid"
    data = directory / "data"
    pid_file.write_text(f"{stranger.pid}\n{data}\n1700000000\n5432\n\n127.0.0.1\n  1 2\nready\n")
    os.chown(pid_file, data.stat().st_uid, -1)
    with embedded_postgres(directory) as url:
        assert fetch(url, "SELECT 1") == 1
    assert stranger.poll() is None


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_initdb_leaves_nothing_half_made(
    fresh: Path, start_user: StartUser, signal_number: signal.Signals
) -> None:
    user = start_user(fresh)
    eventually(lambda: any(fresh.glob("initdb-*/data/*")), "initdb is at work")
    code = user.signal_group(signal_number)
    if signal_number == signal.SIGKILL:
        eventually(lambda: is_gone(fresh), "the guard has ended initdb")
    else:
        assert code == 128 + signal_number
        assert is_gone(fresh)
    assert not any(fresh.glob("initdb-*"))
    assert not (fresh / "data").exists()


def test_what_a_kill_of_everything_left_of_initdb_is_removed(
    fresh: Path, start_user: StartUser
) -> None:
    user = start_user(fresh)
    eventually(lambda: any(fresh.glob("initdb-*/data/*")), "initdb is at work")
    kill_all([*processes_of(fresh), psutil.Process(user.process.pid)])
    assert any(fresh.glob("initdb-*"))
    with embedded_postgres(fresh) as url:
        assert fetch(url, "SELECT 1") == 1
    assert not any(fresh.glob("initdb-*"))


def test_says_what_the_server_said_where_it_does_not_start(directory: Path) -> None:
    with (
        pytest.raises(EmbeddedPostgresUnavailable, match=r'invalid value.*"shared_buffers"'),
        embedded_postgres(directory, settings={"shared_buffers": "nonsense"}),
    ):
        pytest.fail("it came up")
    assert is_gone(directory)
    with embedded_postgres(directory) as url:
        assert fetch(url, "SELECT 1") == 1


def test_says_what_to_set_where_there_is_no_postgresql(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / "old" / "postgres"
    old.parent.mkdir()
    old.write_text("#!/bin/sh\necho 'postgres (PostgreSQL) 14.13 (Debian 14.13-1)'\n")
    old.chmod(0o755)
    old.with_name("initdb").touch()
    monkeypatch.setattr(binaries, "_directories", lambda: [tmp_path / "none", old.parent])
    binaries.find_installation.cache_clear()
    try:
        with pytest.raises(EmbeddedPostgresUnavailable) as raised:
            binaries.find_installation()
    finally:
        binaries.find_installation.cache_clear()
    message = str(raised.value)
    assert "PostgreSQL 15 or newer" in message
    assert "only 14" in message
    assert "DATABASE_URL" in message
    assert "\n" not in message


def test_says_so_where_the_data_are_of_a_version_that_is_not_there(directory: Path) -> None:
    (directory / "data" / "PG_VERSION").write_text("99\n")
    with (
        pytest.raises(EmbeddedPostgresUnavailable, match="made by PostgreSQL 99"),
        embedded_postgres(directory),
    ):
        pytest.fail("it came up")


def test_the_log_does_not_grow_without_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "_LIMIT_BYTES", 1000)
    written = BoundedLog(Layout(tmp_path))
    for number in range(500):
        written.write(f"line {number}\n".encode())
    sizes = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert sizes.keys() == {"postgres.log", "postgres.log.1"}
    assert max(sizes.values()) < 1100
    assert written.recent().splitlines()[-1] == "line 499"
