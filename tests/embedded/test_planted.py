"""What PostgreSQL's user plants in its directory: links, pipes, names of other processes."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from booking.embedded import EmbeddedPostgresUnavailable, embedded_postgres
from booking.embedded.binaries import find_installation
from booking.embedded.files import give_away
from booking.embedded.identity import choose_identity
from booking.embedded.initdb import create
from booking.embedded.layout import Layout
from booking.embedded.log import BoundedLog
from booking.embedded.programs import Programs
from tests.embedded.processes import StartUser, fetch, is_gone
from tests.embedded.test_as_root import needs_linux, needs_root
from tests.embedded.test_failures import NOBODY

REST = "\n/somewhere\n1700000000\n5432\n\n127.0.0.1\n  1 2\nready\n"
PATIENCE_SECONDS = 30.0


@pytest.fixture
def planted(directory: Path) -> Path:
    """Return the data directory of a server that does not run, as PostgreSQL's user has it."""
    data = directory / "data"
    user = NOBODY if os.geteuid() == 0 else os.geteuid()
    for path in (data, *data.rglob("*")):
        os.chown(path, user, -1)
    return data


@pytest.fixture
def precious(tmp_path: Path) -> Path:
    """Return a file of the caller's alone, which reads like a server's file that names a process.

    That process lives, so that a guard which believes the file writes into it.
    """
    path = tmp_path / "precious"
    path.touch(mode=0o600)
    path.write_text(f"{os.getpid()}{REST}")
    return path


def is_refused(directory: Path, start_user: StartUser) -> str:
    """Have a user try to come in, for a bounded time; return what it was told."""
    user = start_user(directory)
    try:
        out, said = user.process.communicate(timeout=PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        pytest.fail("it waits for ever")
    assert (user.process.returncode, out) == (1, "")
    assert is_gone(directory)
    return str(said)


@pytest.mark.parametrize("name", ["postmaster.pid", "PG_VERSION"])
def test_a_link_is_not_followed(
    directory: Path, planted: Path, precious: Path, start_user: StartUser, name: str
) -> None:
    before = precious.read_text()
    (planted / name).unlink(missing_ok=True)
    (planted / name).symlink_to(precious)
    said = is_refused(directory, start_user)
    assert f"{planted / name} cannot be used" in said
    assert len(said.splitlines()) == 1
    assert precious.read_text() == before
    assert "somewhere" not in (directory / "postgres.log").read_text()


@pytest.mark.parametrize("name", ["postmaster.pid", "PG_VERSION"])
def test_a_pipe_is_not_waited_for(
    directory: Path, planted: Path, start_user: StartUser, name: str
) -> None:
    (planted / name).unlink(missing_ok=True)
    os.mkfifo(planted / name)
    os.chown(planted / name, planted.stat().st_uid, -1)
    assert f"{planted / name} cannot be used" in is_refused(directory, start_user)


@needs_root
@pytest.mark.parametrize("kind", ["another's file", "second name"])
def test_a_file_that_is_not_the_owners_alone_is_not_written(
    directory: Path, planted: Path, precious: Path, start_user: StartUser, kind: str
) -> None:
    before = precious.read_text()
    if kind == "another's file":
        shutil.copy(precious, planted / "postmaster.pid")
    else:
        os.chown(precious, planted.stat().st_uid, -1)
        (planted / "postmaster.pid").hardlink_to(precious)
    assert "postmaster.pid cannot be used" in is_refused(directory, start_user)
    assert (planted / "postmaster.pid").read_text() == before


@pytest.mark.parametrize("content", ["", "x" * 10, "9" * 5000, "\0\n" * 1000, "²\n"])
def test_what_is_no_version_is_told_in_one_line(
    directory: Path, planted: Path, start_user: StartUser, content: str
) -> None:
    (planted / "PG_VERSION").write_text(content)
    said = is_refused(directory, start_user)
    assert said == (f"{planted} is no data directory of PostgreSQL: its PG_VERSION is not one\n")


@pytest.mark.parametrize("content", ["", "²\n", "-0\n", "x\n" * 100_000])
def test_nonsense_in_the_pid_file_is_told_by_postgresql(
    directory: Path, planted: Path, start_user: StartUser, content: str
) -> None:
    (planted / "postmaster.pid").write_text(content)
    os.chown(planted / "postmaster.pid", planted.stat().st_uid, -1)
    said = is_refused(directory, start_user)
    assert "PostgreSQL does not start" in said
    assert "Traceback" not in (directory / "postgres.log").read_text()


def test_a_number_that_is_no_process_is_no_obstacle(directory: Path, planted: Path) -> None:
    (planted / "postmaster.pid").write_text("9" * 5000)
    os.chown(planted / "postmaster.pid", planted.stat().st_uid, -1)
    with embedded_postgres(directory) as url:
        assert fetch(url, "SELECT 1") == 1


@pytest.fixture
def impostor(planted: Path, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Return a process of root's that looks like the server on these data."""
    program = tmp_path / "postgres program" / "postgres"
    program.parent.mkdir()
    shutil.copy("/bin/sleep", program)
    with subprocess.Popen([program, "60"], cwd=planted) as process:
        yield process
        process.kill()


@needs_root
@needs_linux
def test_a_process_of_another_user_is_not_ended(
    directory: Path, planted: Path, impostor: subprocess.Popen[bytes]
) -> None:
    (planted / "postmaster.pid").write_text(f"{impostor.pid}{REST}")
    os.chown(planted / "postmaster.pid", planted.stat().st_uid, -1)
    with embedded_postgres(directory) as url:
        assert fetch(url, "SELECT 1") == 1
    assert impostor.poll() is None
    impostor.kill()
    impostor.wait()


@pytest.mark.parametrize("name", ["postgres.log", "users.lock", "door.lock", "guard.lock"])
def test_a_link_in_place_of_a_file_of_the_guards_is_not_followed(
    directory: Path, precious: Path, start_user: StartUser, name: str
) -> None:
    before = (precious.read_text(), precious.stat().st_uid)
    (directory / name).unlink(missing_ok=True)
    (directory / name).symlink_to(precious)
    said = is_refused(directory, start_user)
    assert f"{directory / name} cannot be used" in said
    assert (precious.read_text(), precious.stat().st_uid) == before


def test_a_second_name_of_a_file_is_not_emptied(directory: Path, precious: Path) -> None:
    before = precious.read_text()
    layout = Layout(directory)
    # The name under which the endpoint is written before it gets its own.
    (directory / f".endpoint.json.{os.getpid()}").hardlink_to(precious)
    with pytest.raises(EmbeddedPostgresUnavailable, match="not a plain file"):
        layout.publish(5432)
    assert precious.read_text() == before


def test_what_a_killed_process_began_to_write_is_written_anew(directory: Path) -> None:
    layout = Layout(directory)
    (directory / f".endpoint.json.{os.getpid()}").write_text("{" * 1000)
    layout.publish(5432)
    assert layout.port() == 5432


def test_a_link_in_place_of_the_data_is_not_followed(
    directory: Path, tmp_path: Path, start_user: StartUser
) -> None:
    elsewhere = tmp_path / "elsewhere"
    (directory / "data").rename(elsewhere)
    (directory / "data").symlink_to(elsewhere)
    owner = elsewhere.stat().st_uid
    assert "is not a directory, or is a link" in is_refused(directory, start_user)
    assert elsewhere.stat().st_uid == owner


@needs_root
def test_giving_away_stays_within_the_directory(planted: Path, precious: Path) -> None:
    (planted / "link").symlink_to(precious)
    (planted / "base" / "linked").symlink_to(precious.parent)
    shutil.copy(precious, planted / "roots")
    give_away(planted, NOBODY - 1, NOBODY - 1)
    kept = {precious: 0, precious.parent: 0, planted / "roots": 0}
    assert {path: path.stat().st_uid for path in kept} == kept
    assert (planted / "PG_VERSION").stat().st_uid == planted.stat().st_uid == NOBODY - 1

    (planted / "base" / "second").hardlink_to(precious)
    with pytest.raises(EmbeddedPostgresUnavailable, match="second has a second name"):
        give_away(planted, NOBODY, NOBODY)
    assert precious.stat().st_uid == 0
    # Not done, and so tried again.
    assert planted.stat().st_uid == NOBODY - 1


@pytest.fixture
def anothers(tmp_path: Path) -> Path:
    """Return a folder of the caller's that has nothing to do with the server."""
    data = tmp_path / "anothers" / "data"
    data.mkdir(parents=True)
    (data / "secret").touch(mode=0o600)
    return data.parent


def swap(folder: Path, target: Path) -> None:
    """Put a link in a folder's place, as whoever owns the one above may."""
    folder.rename(folder.with_name(f"{folder.name}-away"))
    folder.symlink_to(target)


def owners(folder: Path) -> set[int]:
    return {path.lstat().st_uid for path in (folder, *folder.rglob("*"))}


@needs_root
@pytest.mark.parametrize("moment", ["mkdir", "run"])
def test_new_data_are_made_where_nobody_else_can_put_a_link(
    tmp_path: Path, anothers: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """The folder's owner replaces the draft in it while root makes the data."""
    directory = tmp_path / "postgres"
    directory.mkdir()
    os.chown(directory, pwd.getpwnam("daemon").pw_uid, -1)
    layout = Layout(directory)
    programs = Programs(choose_identity(layout), BoundedLog(layout), lambda: False)

    def draft() -> Path:
        return next(path for path in directory.glob("initdb-*") if not path.is_symlink())

    real_mkdir, real_run = os.mkdir, Programs.run

    def mkdir_and_swap(path: str | Path, *arguments: Any, **options: Any) -> None:
        real_mkdir(path, *arguments, **options)
        if Path(path).name == "data":
            swap(draft(), anothers)

    def run_and_swap(
        self: Programs, command: Sequence[str | Path], *rest: Any, **named: Any
    ) -> None:
        real_run(self, command, *rest, **named)
        if "--single" in command:
            swap(draft(), anothers)

    if moment == "mkdir":
        monkeypatch.setattr(os, "mkdir", mkdir_and_swap)
    else:
        monkeypatch.setattr(Programs, "run", run_and_swap)
    with suppress(EmbeddedPostgresUnavailable, OSError):
        create(layout, find_installation(), programs)
    assert (anothers / "data" / "secret").exists()
    assert owners(anothers) == {0}


@needs_root
def test_data_are_given_away_only_in_the_folder_that_was_looked_at(
    directory: Path, anothers: Path
) -> None:
    """Whoever owns the folder above replaces that of the server."""
    os.chown(directory, NOBODY - 1, NOBODY - 1)
    identity = choose_identity(Layout(directory))
    swap(directory, anothers)
    with pytest.raises(EmbeddedPostgresUnavailable, match="not in a folder of user"):
        identity.own(directory / "data")
    assert owners(anothers) == {0}
    with (
        pytest.raises(EmbeddedPostgresUnavailable, match="not a folder of user"),
        identity.reaching(directory / "data"),
    ):
        pytest.fail("it is not that user's")


@needs_root
def test_giving_away_is_ended_where_it_was_interrupted(directory: Path, planted: Path) -> None:
    (planted / "postmaster.pid").write_text(f"{os.getpid()}{REST}")
    os.chown(planted / "postmaster.pid", NOBODY, -1)
    os.chown(planted, 0, 0)
    with embedded_postgres(directory) as url:
        assert fetch(url, "SELECT 1") == 1
        assert planted.stat().st_uid == NOBODY


@needs_root
def test_giving_away_goes_by_what_it_opened(
    planted: Path, precious: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder is replaced by a link just as the work begins."""
    away = planted.parent / "away"
    real, stolen = os.fchown, planted / "base" / "1"

    def swap_and_own(descriptor: int, uid: int, gid: int) -> None:
        if stolen.is_dir() and not stolen.is_symlink():
            stolen.rename(away)
            stolen.symlink_to(precious.parent)
        real(descriptor, uid, gid)

    monkeypatch.setattr(os, "fchown", swap_and_own)
    give_away(planted, NOBODY - 1, NOBODY - 1)
    assert stolen.is_symlink()
    assert precious.stat().st_uid == precious.parent.stat().st_uid == 0
