"""What ``postmaster.pid`` says, believed only as far as it can be checked."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path
from typing import TextIO

from booking.embedded import linux
from booking.embedded.files import open_directory, open_file

_FILE = "postmaster.pid"
# pidfile.h of PostgreSQL: line 1 the process id, line 8 the state of a server.
_STATUS_LINE = 8
# The longest is a data directory's path and some numbers.
_LIMIT_CHARACTERS = 16 * 1024
_MOST_DIGITS = 9


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


def signal_server(data: Path, signal_number: int) -> bool:
    """Send a signal to the server that lives on these data; say whether there is one."""
    pid = _pid(data)
    if pid is None:
        return False
    try:
        # What is looked at is what gets the signal, should the number go to another meanwhile.
        process = os.pidfd_open(pid) if linux.IS_HERE else -1
    except OSError:
        # It has gone; or Linux is older than 5.3.
        process = -1
    try:
        if not _serves(pid, data):
            return False
        if process >= 0:
            signal.pidfd_send_signal(process, signal_number)
        else:
            os.kill(pid, signal_number)
    except ProcessLookupError:
        return False
    finally:
        if process >= 0:
            os.close(process)
    return True


def disarm(data: Path, parent: int) -> None:
    """Make a stale file harmless that names a process which has nothing to do with these data.

    PostgreSQL does not start while that process lives, unless it is PostgreSQL's own parent
    (CreateLockFile, src/backend/utils/init/miscinit.c). So ``parent`` is put in its place. The file
    stays: by the rest of it PostgreSQL finds out whether backends of a dead server still run.
    """
    pid = _pid(data)
    if pid is None or pid == parent or not _lives(pid) or _serves(pid, data):
        return
    with _open(data, os.O_RDWR) as file:
        rest = file.read(_LIMIT_CHARACTERS).partition("\n")[2]
        file.seek(0)
        file.write(f"{parent}\n{rest}")
        file.truncate()


def _open(data: Path, flags: int) -> TextIO:
    directory = open_directory(data)
    try:
        descriptor = open_file(directory, data / _FILE, flags)
    finally:
        os.close(directory)
    return os.fdopen(descriptor, "r" if flags == os.O_RDONLY else "r+", errors="replace")


def _lines(data: Path) -> list[str]:
    try:
        with _open(data, os.O_RDONLY) as file:
            return file.read(_LIMIT_CHARACTERS).splitlines()
    except FileNotFoundError:
        return []


def _pid(data: Path) -> int | None:
    lines = _lines(data)
    # A standalone backend writes its id as a negative number.
    first = lines[0].removeprefix("-") if lines else ""
    if not first.isascii() or not first.isdigit() or len(first) > _MOST_DIGITS:
        return None
    return int(first) or None


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _serves(pid: int, data: Path) -> bool:
    """Say whether a process is a PostgreSQL server of the data's owner, and on these data."""
    owner = data.lstat().st_uid
    if linux.IS_HERE:
        process = Path("/proc") / str(pid)
        try:
            program = (process / "exe").readlink().name.removesuffix(" (deleted)")
            users = re.search(r"(?m)^Uid:(.*)$", (process / "status").read_text())
            return (
                program == "postgres"
                and (process / "cwd").samefile(data)
                and users is not None
                and {int(user) for user in users[1].split()} == {owner}
            )
        except OSError:
            # Gone, or another user's: these data are ours, and so would their server be.
            return False
    shown = subprocess.run(  # noqa: S603
        ["ps", "-ww", "-o", "uid=,command=", "-p", str(pid)],  # noqa: S607 - POSIX, wherever it is
        capture_output=True,
        text=True,
        check=False,
    )
    user, _, command = shown.stdout.strip().partition(" ")
    return user == str(owner) and "postgres" in command and f"-D {data}" in command
