"""Files in directories that others write: opened only as what they ought to be.

The guard may be root, and what runs as PostgreSQL's user can put links, pipes and anything else
where the guard looks for a file.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from booking.embedded.errors import EmbeddedPostgresUnavailable

_LIMIT_BYTES = 64 * 1024
# Opening a pipe must not wait for whoever writes to it.
_SAFELY = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def open_directory(path: Path) -> int:
    """Open a directory that is no link.

    Raises:
        FileNotFoundError: there is none.
        EmbeddedPostgresUnavailable: something else is in its place.

    """
    try:
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | _SAFELY)
    except OSError as error:
        if error.errno not in {errno.ENOTDIR, errno.ELOOP}:
            raise
        raise EmbeddedPostgresUnavailable(f"{path} is not a directory, or is a link") from error


def open_file(
    directory: int, path: Path, flags: int = os.O_RDONLY, *, owner: int | None = None
) -> int:
    """Open the file of ``path``'s name in an open directory.

    It must be a regular file, no link, without a second name, of the directory's own user or of
    ``owner``.

    Raises:
        FileNotFoundError: there is none.
        EmbeddedPostgresUnavailable: something else is in its place.

    """
    try:
        descriptor = os.open(path.name, flags | _SAFELY, dir_fd=directory)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise EmbeddedPostgresUnavailable(f"{path} cannot be used: {error.strerror}") from error
    found, whose = os.fstat(descriptor), os.fstat(directory).st_uid
    is_owned = found.st_uid in {whose, owner}
    if stat.S_ISREG(found.st_mode) and found.st_nlink <= 1 and is_owned:
        return descriptor
    os.close(descriptor)
    raise EmbeddedPostgresUnavailable(
        f"{path} cannot be used: it is not a plain file of user {whose}, who owns its directory"
    )


def read_file(path: Path, *, owner: int | None = None) -> str:
    """Return the beginning of a file, up to 64 KiB, as ``open_file`` lets it be opened.

    Raises:
        FileNotFoundError: there is none.
        EmbeddedPostgresUnavailable: something else is in its place.

    """
    directory = open_directory(path.parent)
    try:
        descriptor = open_file(directory, path, owner=owner)
    finally:
        os.close(directory)
    with os.fdopen(descriptor, errors="replace") as file:
        return file.read(_LIMIT_BYTES)


def give_away(path: Path, uid: int, gid: int, *, folder_owner: int = 0) -> None:
    """Give a directory to a user, and all in it that is its owner's; links stay as they are.

    It must be in a folder of ``folder_owner``'s. What somebody puts there meanwhile is met by its
    descriptor, never by its name. The directory itself comes last: while it has its former owner,
    it was not given away whole.

    Raises:
        EmbeddedPostgresUnavailable: a file has a second name, which may be anywhere, or the folder
            is another's.

    """
    top = open_directory(path)
    try:
        # By the path, a folder above might have become a link since its owner was looked at.
        if os.stat("..", dir_fd=top).st_uid != folder_owner:
            raise EmbeddedPostgresUnavailable(f"{path} is not in a folder of user {folder_owner}")
        owner = os.fstat(top).st_uid
        for folder, _, names, directory in os.fwalk(".", topdown=False, dir_fd=top):
            for name in names:
                _give_file_away(name, path / folder / name, directory, owner, (uid, gid))
            if os.fstat(directory).st_uid == owner:
                os.fchown(directory, uid, gid)
    finally:
        os.close(top)


def _give_file_away(
    name: str, path: Path, directory: int, owner: int, receiver: tuple[int, int]
) -> None:
    try:
        file = os.open(name, os.O_RDONLY | _SAFELY, dir_fd=directory)
    except OSError:
        # A link or a socket: PostgreSQL needs to own neither.
        return
    try:
        found = os.fstat(file)
        if found.st_nlink > 1:
            raise EmbeddedPostgresUnavailable(
                f"{path} has a second name: it is not given to user {receiver[0]}"
            )
        if found.st_uid == owner:
            os.fchown(file, *receiver)
    finally:
        os.close(file)
