"""The user that PostgreSQL's programs run as: the caller, or for root somebody without power."""

from __future__ import annotations

import os
import pwd
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from booking.embedded import linux
from booking.embedded.errors import EmbeddedPostgresUnavailable
from booking.embedded.files import give_away, open_directory
from booking.embedded.layout import Layout

# Not "postgres", even where there is one: the clusters of the machine are that user's.
_UNPRIVILEGED = "nobody"


@dataclass(frozen=True)
class Identity:
    """Whom a program runs as, always without any capability. ``uid`` None: as the caller.

    ``folder_owner`` is whose the folder of the server's files is, where the caller is root.
    """

    uid: int | None = None
    gid: int = 0
    folder_owner: int = 0

    def preparation(self, death_signal: int) -> Callable[[], None]:
        """Return what to run between fork and exec, in a process of one thread only.

        The program is sent ``death_signal`` when its parent dies, where the system can do that.
        """
        parent = os.getpid()

        def prepare() -> None:
            if self.uid is not None:
                os.setgroups([])
                os.setgid(self.gid)
                os.setuid(self.uid)
            if linux.IS_HERE:
                linux.give_up_power()
                linux.die_with_parent(death_signal)
                if os.getppid() != parent:
                    os.kill(os.getpid(), signal.SIGKILL)

        return prepare

    @contextmanager
    def reaching(self, directory: Path) -> Iterator[tuple[Path, tuple[int, ...]]]:
        """Lend a path by which a program of this identity reaches a directory.

        The descriptors are to be passed on to the program. An open directory can be walked into
        however closed the folders above it are, so no mode of any folder has to be changed and no
        capability is needed where the project lies below one that is root's alone.

        Raises:
            EmbeddedPostgresUnavailable: the directory is not the identity's own.

        """
        if self.uid is None or not linux.IS_HERE:
            yield directory, ()
            return
        descriptor = open_directory(directory)
        try:
            if os.fstat(descriptor).st_uid != self.uid:
                raise EmbeddedPostgresUnavailable(f"{directory} is not a folder of user {self.uid}")
            yield Path(f"/proc/self/fd/{descriptor}"), (descriptor,)
        finally:
            os.close(descriptor)

    def keep_below(self, directory: Path) -> None:
        """Keep programs that are lent a folder in a directory from walking up out of it.

        An open folder leads to the one above it too, and so past folders that are closed.
        """
        if self.uid is None or not linux.IS_HERE:
            return
        descriptor = open_directory(directory)
        try:
            if os.fstat(descriptor).st_uid == os.geteuid():
                os.fchmod(descriptor, 0o700)
        finally:
            os.close(descriptor)

    def make_folder(self, within: int, name: str) -> None:
        """Make a folder of this identity in an open directory that is the caller's alone."""
        os.mkdir(name, mode=0o700, dir_fd=within)
        if self.uid is not None:
            os.chown(name, self.uid, self.gid, dir_fd=within, follow_symlinks=False)

    def own(self, path: Path) -> None:
        """Give a directory with all that is in it to this identity.

        Raises:
            EmbeddedPostgresUnavailable: there is something in it that is not given away.

        """
        if self.uid is not None and path.stat().st_uid != self.uid:
            give_away(path, self.uid, self.gid, folder_owner=self.folder_owner)


def choose_identity(layout: Layout) -> Identity:
    """Return whom to run as: root's servers are those of the directory's owner, or of nobody.

    Raises:
        EmbeddedPostgresUnavailable: the caller is root, and there is nobody else.

    """
    if os.geteuid() != 0:
        return Identity()
    try:
        nobody = pwd.getpwnam(_UNPRIVILEGED)
    except KeyError as error:
        raise EmbeddedPostgresUnavailable(
            f"PostgreSQL does not run as root, and there is no user {_UNPRIVILEGED}: "
            "run this as an ordinary user, or set DATABASE_URL"
        ) from error
    owner = layout.directory.stat().st_uid
    if owner == 0:
        return Identity(nobody.pw_uid, nobody.pw_gid)
    # Not the folder's group, which is root's where root only changed the owner.
    try:
        return Identity(owner, pwd.getpwuid(owner).pw_gid, owner)
    except KeyError:
        return Identity(owner, nobody.pw_gid, owner)
