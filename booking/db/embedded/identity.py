"""The user that PostgreSQL's programs run as: the caller, or for root somebody without power."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from booking.db.embedded import linux
from booking.db.embedded.errors import EmbeddedPostgresUnavailable
from booking.db.embedded.layout import Layout

_UNPRIVILEGED = ("postgres", "nobody")


@dataclass(frozen=True)
class Identity:
    """Whom a program runs as. ``uid`` None: as the caller.

    ``capability`` lets that user walk through folders that are closed to it, so that no mode of
    any folder has to be changed where the project lies below one that is root's alone.
    """

    uid: int | None = None
    gid: int = 0
    capability: int | None = None

    def preparation(self, death_signal: int) -> Callable[[], None]:
        """Return what to run between fork and exec, in a process of one thread only.

        The program is sent ``death_signal`` when its parent dies, where the system can do that.
        """
        parent = os.getpid()

        def prepare() -> None:
            if self.uid is not None:
                self._become(self.uid)
            if linux.IS_HERE:
                linux.die_with_parent(death_signal)
                if os.getppid() != parent:
                    os.kill(os.getpid(), signal.SIGKILL)

        return prepare

    def _become(self, uid: int) -> None:
        if linux.IS_HERE and self.capability is not None:
            linux.keep_capabilities_over_setuid()
        os.setgroups([])
        os.setgid(self.gid)
        os.setuid(uid)
        if linux.IS_HERE and self.capability is not None:
            linux.hold_only(self.capability)

    def own(self, path: Path) -> None:
        """Give a file, or a directory with all that is in it, to this identity."""
        if self.uid is None:
            return
        os.chown(path, self.uid, self.gid, follow_symlinks=False)
        for folder, directories, files in os.walk(path):
            for name in (*directories, *files):
                os.chown(Path(folder) / name, self.uid, self.gid, follow_symlinks=False)


def choose_identity(layout: Layout, postgres: Path) -> Identity:
    """Return whom to run as so that both the program and the data can be reached.

    Raises:
        EmbeddedPostgresUnavailable: the caller is root, and can become nobody who reaches them.

    """
    if os.geteuid() != 0:
        return Identity()
    uid, gid = _unprivileged(layout)
    fault: Exception | None = None
    for capability in _capabilities():
        identity = Identity(uid, gid, capability)
        try:
            _try_out(identity, layout.directory, postgres)
        except (OSError, subprocess.SubprocessError) as error:
            fault = error
        else:
            return identity
    raise EmbeddedPostgresUnavailable(
        f"PostgreSQL does not run as root, and user {uid} cannot reach {postgres} and "
        f"{layout.directory} ({fault}): run this as an ordinary user, or set DATABASE_URL"
    )


def _unprivileged(layout: Layout) -> tuple[int, int]:
    for path in (layout.data, layout.directory):
        if path.exists() and (owner := path.stat()).st_uid != 0:
            return owner.st_uid, owner.st_gid
    for name in _UNPRIVILEGED:
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            continue
        return user.pw_uid, user.pw_gid
    raise EmbeddedPostgresUnavailable(
        f"PostgreSQL does not run as root, and there is no user {' or '.join(_UNPRIVILEGED)}: "
        "run this as an ordinary user, or set DATABASE_URL"
    )


def _capabilities() -> Iterator[int | None]:
    """Yield what to try, the least power first."""
    yield None
    if linux.IS_HERE:
        yield linux.CAP_DAC_READ_SEARCH
        # Where a container withholds the former, or a umask took the programs' execute bits.
        yield linux.CAP_DAC_OVERRIDE


def _try_out(identity: Identity, directory: Path, postgres: Path) -> None:
    prepare = identity.preparation(signal.SIGKILL)

    def reach() -> None:
        prepare()
        directory.stat()
        # As PostgreSQL's find_my_exec does (src/common/exec.c), with access(2).
        if not os.access(postgres, os.R_OK | os.X_OK):
            raise PermissionError(postgres)

    subprocess.run(  # noqa: S603 - the program that is to be run anyhow
        [postgres, "--version"],
        preexec_fn=reach,  # the guard has one thread
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=10,
        check=True,
    )
