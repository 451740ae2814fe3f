"""PostgreSQL's programs where the user that is to run them can run them."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from booking.embedded.binaries import Installation
from booking.embedded.errors import EmbeddedPostgresUnavailable
from booking.embedded.files import open_directory
from booking.embedded.identity import Identity

_PREFIX = "booking-postgres-"
_MAKING_SECONDS = 60


@contextmanager
def within_reach(installation: Installation, identity: Identity) -> Iterator[Installation]:
    """Lend an installation that the identity can run: as it is, or a copy for this block.

    A copy is made of the wheel's, in the directory for temporary files, where it is below a folder
    of root's alone or a umask took the rights of others: PostgreSQL looks for its libraries by the
    path of its program, so no open descriptor would do.

    Raises:
        EmbeddedPostgresUnavailable: there is no way; the message says what to do.

    """
    fault = _fault(installation, identity)
    if fault is None:
        yield installation
        return
    if not installation.wheel:
        raise _unreachable(installation, identity, fault)
    with _copied(installation) as copy:
        fault = _fault(copy, identity)
        if fault is not None:
            raise _unreachable(copy, identity, fault)
        yield copy


def _unreachable(
    installation: Installation, identity: Identity, fault: Exception
) -> EmbeddedPostgresUnavailable:
    return EmbeddedPostgresUnavailable(
        f"PostgreSQL does not run as root, and user {identity.uid} cannot run the programs in "
        f"{installation.directory} ({fault}): run this as an ordinary user, set TMPDIR to a "
        "directory where every user may run programs, or set DATABASE_URL"
    )


def _fault(installation: Installation, identity: Identity) -> Exception | None:
    """Say what keeps the identity from running the server."""
    if identity.uid is None:
        return None
    postgres = installation.program("postgres")
    prepare = identity.preparation(signal.SIGKILL)

    def reach() -> None:
        prepare()
        # As PostgreSQL's find_my_exec does (src/common/exec.c), with access(2).
        for path in (postgres, *installation.wheel):
            if not os.access(path, os.R_OK | os.X_OK):
                raise PermissionError(path)

    try:
        subprocess.run(  # noqa: S603 - the program that is to be run anyhow
            [postgres, "--version"],
            preexec_fn=reach,  # the guard has one thread
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        return error
    return None


@contextmanager
def _copied(installation: Installation) -> Iterator[Installation]:
    _remove_abandoned()
    with tempfile.TemporaryDirectory(prefix=_PREFIX, ignore_cleanup_errors=True) as name:
        directory = Path(name)
        lock = open_directory(directory)
        try:
            # The kernel drops it however this process ends.
            fcntl.flock(lock, fcntl.LOCK_EX)
            _copy(installation, directory)
            place = installation.directory.relative_to(installation.wheel[0].parent)
            yield Installation(directory / place, installation.major)
        finally:
            os.close(lock)


def _copy(installation: Installation, directory: Path) -> None:
    try:
        for folder in installation.wheel:
            shutil.copytree(
                folder, directory / folder.name, ignore=shutil.ignore_patterns("include")
            )
        for path in (directory, *directory.rglob("*")):
            path.chmod(0o755 if path.stat().st_mode & stat.S_IXUSR else 0o644)
    except OSError as error:
        raise EmbeddedPostgresUnavailable(
            f"PostgreSQL's programs cannot be copied into {directory}: {error}"
        ) from error


def _remove_abandoned() -> None:
    """Remove the copies of guards that were killed."""
    for path in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        try:
            lock = open_directory(path)
        except (OSError, EmbeddedPostgresUnavailable):
            continue
        try:
            found = os.fstat(lock)
            # A copy that is just being made may not be locked yet.
            is_old = found.st_mtime < time.time() - _MAKING_SECONDS
            if found.st_uid == os.geteuid() and is_old:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path, ignore_errors=True)
        except BlockingIOError:
            continue
        finally:
            os.close(lock)
