"""Root, whom PostgreSQL refuses, and an ordinary user; and folders that are closed to others."""

from __future__ import annotations

import fcntl
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import psycopg2
import pytest

from booking.embedded import EmbeddedPostgresUnavailable, binary, embedded_postgres
from booking.embedded.binaries import Installation, find_installation
from booking.embedded.identity import Identity
from booking.embedded.pidfile import is_ready
from booking.embedded.reach import within_reach
from tests.embedded.processes import StartUser, eventually, fetch, is_gone, processes_of
from tests.support.servers import ROOT, free_port

NOBODY = 65534

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
needs_linux = pytest.mark.skipif(
    sys.platform != "linux", reason="looks at processes in Linux's /proc"
)
needs_wheel = pytest.mark.skipif(
    not find_installation().wheel, reason="needs the wheel's PostgreSQL"
)
POWERS = ("CapInh", "CapPrm", "CapEff", "CapAmb")


def powers(process: psutil.Process) -> dict[str, int]:
    """Return a process's sets of capabilities, and whether it is kept from getting any."""
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    told = dict(line.split(":\t", 1) for line in lines)
    return {name: int(told[name], 16) for name in (*POWERS, "NoNewPrivs")}


def servers_of(directory: Path) -> list[psutil.Process]:
    return [process for process in processes_of(directory) if process.name() == "postgres"]


def closed_folder(parent: Path) -> Path:
    """Make a folder that its owner, root, alone may enter."""
    folder = parent / "closed"
    folder.mkdir(mode=0o700)
    return folder


def is_open(path: Path) -> bool:
    """Say whether everybody may go there."""
    return all(parent.stat().st_mode & 0o005 == 0o005 for parent in path.parents)


@needs_root
@needs_linux
@pytest.mark.parametrize("owner", [None, "daemon"])
def test_the_server_is_nobody_or_the_directorys_owner(directory: Path, owner: str | None) -> None:
    expected = pwd.getpwnam(owner or "nobody").pw_uid
    if owner:
        for path in (directory, *directory.rglob("*")):
            os.chown(path, expected, -1)
    with embedded_postgres(directory) as url, closing(psycopg2.connect(url)):
        servers = servers_of(directory)
        assert {uid for process in servers for uid in process.uids()} == {expected}
        # Not only root's: a backend is among them, and it is what a client's statements run in.
        assert len(servers) > 2
        for process in servers:
            assert powers(process) == {**dict.fromkeys(POWERS, 0), "NoNewPrivs": 1}


@needs_root
@needs_linux
@pytest.mark.parametrize("owner", ["daemon", NOBODY - 1])
def test_the_servers_group_is_no_group_of_roots(directory: Path, owner: str | int) -> None:
    """A folder that was given to a user keeps root's group."""
    uid = pwd.getpwnam(owner).pw_uid if isinstance(owner, str) else owner
    expected = pwd.getpwnam(owner if isinstance(owner, str) else "nobody").pw_gid
    for path in (directory, *directory.rglob("*")):
        os.chown(path, uid, 0)
    with embedded_postgres(directory) as url, closing(psycopg2.connect(url)):
        servers = servers_of(directory)
        assert {gid for process in servers for gid in process.gids()} == {expected}


@needs_root
@needs_linux
def test_no_way_leads_from_the_data_to_the_folders_above(tmp_path: Path) -> None:
    """The server gets into a closed folder by an open directory, and has ".." there too."""
    project = closed_folder(tmp_path) / "project"
    project.mkdir()
    (project / "secrets").touch()
    directory = project / ".local" / "postgres"
    directory.mkdir(parents=True)
    with embedded_postgres(directory):
        data = os.open(directory / "data", os.O_RDONLY)
    try:
        for above in ("../booking.password", "../../../secrets", "../../..", ".."):
            found = subprocess.run(
                ["/bin/ls", above],
                cwd=f"/proc/self/fd/{data}",
                pass_fds=[data],
                user=NOBODY,
                group=NOBODY,
                extra_groups=[],
                capture_output=True,
                text=True,
                check=False,
            )
            assert found.stdout == ""
            assert "Permission denied" in found.stderr
    finally:
        os.close(data)


@needs_root
def test_data_of_the_user_of_the_machines_clusters_change_hands(directory: Path) -> None:
    try:
        user = pwd.getpwnam("postgres")
    except KeyError:
        pytest.skip("this machine has no user postgres")
    data = directory / "data"
    for path in (data, *data.rglob("*")):
        os.chown(path, user.pw_uid, user.pw_gid)
    with embedded_postgres(directory) as url:
        assert fetch(url, "SELECT 1") == 1
        assert {process.uids().real for process in servers_of(directory)} == {NOBODY}
    assert {path.stat().st_uid for path in (data, *data.rglob("*"))} == {NOBODY}


@needs_root
@needs_linux
def test_a_server_that_runs_on_data_that_change_hands_is_stopped_first(directory: Path) -> None:
    """Its guard was killed. It has files open, and could write to them beside the new server."""
    data = directory / "data"
    owner = pwd.getpwnam("daemon")
    for path in (data, *data.rglob("*")):
        os.chown(path, owner.pw_uid, owner.pw_gid)
    options = ("unix_socket_directories=", "listen_addresses=127.0.0.1", f"port={free_port()}")
    identity = Identity(owner.pw_uid, owner.pw_gid)
    with (
        within_reach(find_installation(), identity) as installation,
        identity.reaching(data) as (place, descriptors),
    ):
        postgres = installation.program("postgres")
        former = subprocess.Popen(
            [postgres, "-D", place, *(word for o in options for word in ("-c", o))],
            user=owner.pw_uid,
            cwd="/",
            pass_fds=descriptors,
            env={**os.environ, "LC_ALL": "C"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        eventually(lambda: is_ready(data, former.pid), "it is ready")
    try:
        with embedded_postgres(directory) as url:
            # Stopped in good order.
            assert former.poll() == 0
            assert fetch(url, "SELECT 1") == 1
    finally:
        former.kill()
        former.wait()


@needs_root
@needs_linux
@needs_wheel
@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_programs_and_data_below_a_folder_of_roots_alone(
    tmp_path: Path, start_user: StartUser, umask: int
) -> None:
    folder = closed_folder(tmp_path)
    for part in find_installation().wheel:
        shutil.copytree(part, folder / "site packages" / part.name)
    for path in (folder / "site packages").rglob("*"):
        path.chmod(path.stat().st_mode & ~umask)
    directory = folder / "a checkout" / "postgres"
    # Not below pytest's own folder, which is closed to others.
    with TemporaryDirectory(prefix="booking test ", dir="/var/tmp") as temporary:
        Path(temporary).chmod(0o755)
        # The copy comes before the environment's own.
        env = {
            **os.environ,
            "PYTHONPATH": str(folder / "site packages"),
            "TMPDIR": temporary,
        }
        user = start_user(directory, env=env)
        assert fetch(user.url(), "SELECT 1") == 1
        servers = servers_of(directory)
        assert all(powers(process)["CapPrm"] == 0 for process in servers)
        programs = {Path(process.exe()) for process in servers}
        assert len(programs) == 1
        program = programs.pop()
        assert program.is_relative_to(temporary)
        writable = 0o022
        assert all(
            (path.stat().st_uid, path.stat().st_mode & writable) == (0, 0)
            for path in (program, *program.parents)
            if path.is_relative_to(temporary)
        )
        user.leave()
        assert list(Path(temporary).iterdir()) == []

    assert is_gone(directory)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert folder.stat().st_uid == 0


@needs_root
@needs_linux
@needs_wheel
def test_copies_of_killed_guards_are_removed_and_others_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    old = time.time() - 3600
    abandoned, in_use, anothers, fresh, link = (
        tmp_path / f"booking-postgres-{name}" for name in ("gone", "used", "other", "new", "link")
    )
    for path in (abandoned, in_use, anothers, fresh):
        path.mkdir()
        (path / "postgres").touch()
        if path != fresh:
            os.utime(path, (old, old))
    os.chown(anothers, NOBODY, NOBODY)
    link.symlink_to(tmp_path)
    lock = os.open(in_use, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        programs = find_installation()
        unreachable = replace(programs, directory=closed_copy(tmp_path, programs))
        with (
            pytest.raises(EmbeddedPostgresUnavailable, match="set TMPDIR to a directory where"),
            within_reach(unreachable, Identity(NOBODY, NOBODY)),
        ):
            pytest.fail("nobody can run programs below pytest's own folder")
    finally:
        os.close(lock)
    assert not abandoned.exists()
    assert {path.name for path in tmp_path.glob("booking-postgres-*")} == {
        path.name for path in (in_use, anothers, fresh, link)
    }
    assert (in_use / "postgres").exists()


def closed_copy(parent: Path, installation: Installation) -> Path:
    """Copy the wheel into a closed folder; return where the programs are."""
    folder = closed_folder(parent)
    for part in installation.wheel:
        shutil.copytree(part, folder / part.name)
    return folder / installation.directory.relative_to(installation.wheel[0].parent)


@needs_root
def test_one_line_where_nobody_else_can_be_become(tmp_path: Path, start_user: StartUser) -> None:
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        pytest.skip("needs setpriv(1)")
    user = start_user(
        tmp_path / "postgres",
        program=(
            *(setpriv, "--bounding-set", "-setuid", sys.executable),
            str(ROOT / "tests" / "embedded" / "user_program.py"),
        ),
    )
    _, said = user.process.communicate(timeout=20)
    assert user.process.returncode == 1
    assert "PostgreSQL does not run as root" in said
    assert "DATABASE_URL" in said
    assert len(said.strip().splitlines()) == 1


@needs_root
def test_an_ordinary_user(start_user: StartUser) -> None:
    packages = Path(psycopg2.__file__).parents[1]
    program = ROOT / "tests" / "embedded" / "user_program.py"
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    pythons = (Path(sys.executable).resolve(), Path(f"/usr/bin/python{version}"))
    python = next((path for path in pythons if path.exists() and is_open(path)), None)
    if python is None or not all(map(is_open, (packages, binary("postgres"), program))):
        pytest.skip("Python, its packages or the checkout is below a folder closed to others")
    folder = Path("/var/tmp") / f"booking-test-user-{os.getpid()}"  # noqa: S108
    folder.mkdir()
    os.chown(folder, NOBODY, NOBODY)
    become = "import os, sys; os.setgroups([]); os.setgid(65534); os.setuid(65534); "
    run = "os.execv(sys.argv[1], sys.argv[1:])"
    try:
        user = start_user(
            folder / "postgres",
            env={**os.environ, "PYTHONPATH": str(packages)},
            program=(sys.executable, "-c", become + run, str(python), str(program)),
        )
        assert fetch(user.url(), "SELECT 1") == 1
        ids = {p.uids().real for p in processes_of(folder / "postgres")}
        assert ids == {NOBODY}
        user.leave()
        assert is_gone(folder / "postgres")
    finally:
        shutil.rmtree(folder)


def test_says_so_where_the_directory_is_anothers(tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.touch()
    with (
        pytest.raises(EmbeddedPostgresUnavailable, match=r"cannot use .*postgres: Not a directory"),
        embedded_postgres(in_the_way / "postgres"),
    ):
        pytest.fail("it came up")
