"""What ``postmaster.pid`` says, believed only as far as it can be checked."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from booking.db.embedded import linux

_FILE = "postmaster.pid"
# pidfile.h of PostgreSQL: line 1 the process id, line 8 the state of a server.
_STATUS_LINE = 8


def is_ready(data: Path, pid: int) -> bool:
    """Say whether the server with this process id accepts connections."""
    lines = _lines(data)
    return (
        len(lines) >= _STATUS_LINE
        and lines[0] == str(pid)
        and lines[_STATUS_LINE - 1].strip() == "ready"
    )


def running_server(data: Path) -> int | None:
    """Return the process id of a server that lives on these data, if there is one."""
    pid = _pid(data)
    return pid if pid is not None and _serves(pid, data) else None


def disarm(data: Path, parent: int) -> None:
    """Make a stale file harmless that names a process which has nothing to do with these data.

    PostgreSQL does not start while that process lives, unless it is PostgreSQL's own parent
    (CreateLockFile, src/backend/utils/init/miscinit.c). So ``parent`` is put in its place. The file
    stays: by the rest of it PostgreSQL finds out whether backends of a dead server still run.
    """
    pid = _pid(data)
    if pid is None or pid == parent or not _lives(pid) or _serves(pid, data):
        return
    with (data / _FILE).open("r+") as file:
        rest = file.read().partition("\n")[2]
        file.seek(0)
        file.write(f"{parent}\n{rest}")
        file.truncate()


def _lines(data: Path) -> list[str]:
    try:
        return (data / _FILE).read_text().splitlines()
    except FileNotFoundError:
        return []


def _pid(data: Path) -> int | None:
    lines = _lines(data)
    # A standalone backend writes its id as a negative number.
    return abs(int(lines[0])) if lines and lines[0].lstrip("-").isdigit() else None


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _serves(pid: int, data: Path) -> bool:
    """Say whether a process is a PostgreSQL server whose data directory this is."""
    if linux.IS_HERE:
        process = Path("/proc") / str(pid)
        try:
            program = (process / "exe").readlink().name.removesuffix(" (deleted)")
            return program == "postgres" and (process / "cwd").samefile(data)
        except OSError:
            # Gone, or another user's: these data are ours, and so would their server be.
            return False
    shown = subprocess.run(  # noqa: S603
        ["ps", "-ww", "-o", "command=", "-p", str(pid)],  # noqa: S607 - POSIX, wherever it is
        capture_output=True,
        text=True,
        check=False,
    )
    return "postgres" in shown.stdout and f"-D {data}" in shown.stdout
