"""Root, whom PostgreSQL refuses, and an ordinary user; and folders that are closed to others."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import psutil
import psycopg2
import pytest

from booking.db.embedded import EmbeddedPostgresUnavailable, binary, embedded_postgres, linux
from booking.db.embedded.binaries import find_installation
from tests.embedded.processes import StartUser, fetch, is_gone, processes_of
from tests.servers import ROOT

NOBODY = 65534

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
needs_capabilities = pytest.mark.skipif(
    sys.platform != "linux", reason="needs Linux's capabilities(7)"
)


def capabilities(process: psutil.Process) -> dict[str, int]:
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return {
        name: int(value, 16)
        for name, _, value in (line.partition(":") for line in lines)
        if name.startswith("Cap") and name != "CapBnd"
    }


def closed_folder(parent: Path) -> Path:
    """Make a folder that its owner, root, alone may enter."""
    folder = parent / "closed"
    folder.mkdir(mode=0o700)
    return folder


def is_open(path: Path) -> bool:
    """Say whether everybody may go there."""
    return all(parent.stat().st_mode & 0o005 == 0o005 for parent in path.parents)


@needs_root
def test_the_server_is_not_root(directory: Path) -> None:
    with embedded_postgres(directory) as url:
        assert fetch(url, "SELECT 1") == 1
        ids = {p.uids() for p in processes_of(directory) if p.name() == "postgres"}
        assert len(ids) == 1
        assert 0 not in ids.pop()


@needs_root
@needs_capabilities
@pytest.mark.skipif(
    find_installation().directory.parts[1:2] == ("usr",), reason="needs the wheel's PostgreSQL"
)
@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_programs_and_data_below_a_folder_of_roots_alone(
    tmp_path: Path, start_user: StartUser, umask: int
) -> None:
    folder = closed_folder(tmp_path)
    wheel = find_installation().directory.parents[1]
    for part in (wheel, wheel.with_name(f"{wheel.name}.libs")):
        shutil.copytree(part, folder / "site packages" / part.name)
    for path in (folder / "site packages").rglob("*"):
        path.chmod(path.stat().st_mode & ~umask)
    directory = folder / "a checkout" / "postgres"
    # The copy comes before the environment's own.
    env = {**os.environ, "PYTHONPATH": str(folder / "site packages")}

    user = start_user(directory, env=env)
    assert fetch(user.url(), "SELECT 1") == 1
    servers = [p for p in processes_of(directory) if p.name() == "postgres"]
    assert all(str(folder) in process.exe() for process in servers)
    needed = linux.CAP_DAC_OVERRIDE if umask & 0o001 else linux.CAP_DAC_READ_SEARCH
    held = {frozenset(capabilities(process).values()) for process in servers}
    assert held == {frozenset({1 << needed})}
    user.leave()

    assert is_gone(directory)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert folder.stat().st_uid == 0


@needs_root
@needs_capabilities
def test_no_capability_where_none_is_needed() -> None:
    # Not below pytest's own folder, which is closed to others.
    folder = Path("/var/tmp") / f"booking-test-{os.getpid()}"  # noqa: S108
    folder.mkdir(mode=0o755)
    try:
        programs = find_installation().directory
        if not is_open(programs):
            pytest.skip("PostgreSQL's programs themselves are below a closed folder")
        with embedded_postgres(folder / "postgres"):
            servers = [p for p in processes_of(folder / "postgres") if p.name() == "postgres"]
            assert {max(capabilities(process).values()) for process in servers} == {0}
    finally:
        shutil.rmtree(folder)


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
