"""The files of one embedded server, and who may read them."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from psycopg2.extensions import libpq_version

from booking.embedded.files import open_directory, open_file, read_file

ROLE = "booking"
SUPERUSER = "postgres"
DATABASE = "booking"
ADDRESS = "127.0.0.1"

_LIBPQ_16 = 160000


@dataclass(frozen=True)
class Layout:
    """The directory of one server. All of it can be deleted while nobody uses it."""

    directory: Path

    @property
    def data(self) -> Path:
        """PostgreSQL's data directory. It exists only whole: it is renamed into place."""
        return self.directory / "data"

    @property
    def password(self) -> Path:
        """The password of the role ``booking``."""
        return self.directory / "booking.password"

    @property
    def superuser_password(self) -> Path:
        """What releases before this one had in its place: their role was the superuser."""
        return self.directory / "password"

    @property
    def endpoint(self) -> Path:
        """Where the server listens, as JSON; there while it accepts connections."""
        return self.directory / "endpoint.json"

    @property
    def log(self) -> Path:
        """What the server, initdb and the guard have to say."""
        return self.directory / "postgres.log"

    @property
    def users_lock(self) -> Path:
        """Held shared by every user, exclusive by a guard that is stopping."""
        return self.directory / "users.lock"

    @property
    def guard_lock(self) -> Path:
        """Held exclusive by the guard for all its life."""
        return self.directory / "guard.lock"

    @property
    def door_lock(self) -> Path:
        """Held exclusive by a user while it comes or leaves."""
        return self.directory / "door.lock"

    def port(self) -> int | None:
        """Return the port on which the server listens, or did when its guard was killed."""
        try:
            return int(json.loads(read_file(self.endpoint, owner=os.geteuid()))["port"])
        except FileNotFoundError:
            return None

    def publish(self, port: int) -> None:
        """Tell every user, those of later included, where the server and its guard are."""
        text = json.dumps({"port": port, "guard": os.getpid()})
        self.write_private(self.endpoint, text)

    def dsn(self, port: int) -> str:
        """Return the connection URL of the role ``booking`` on a port.

        Whoever else may listen there by now gets no password out of libpq (16 or newer).
        """
        password = read_file(self.password, owner=os.geteuid())
        options = "?require_auth=scram-sha-256" if libpq_version() >= _LIBPQ_16 else ""
        return f"postgresql://{ROLE}:{password}@{ADDRESS}:{port}/{DATABASE}{options}"

    def write_private(self, path: Path, text: str) -> None:
        """Write a file of mode 0600, whole or not at all."""
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        descriptor = self.open_private(draft, os.O_WRONLY)
        with os.fdopen(descriptor, "w") as file:
            # Not as it is opened, before it is known to be a file of this directory alone.
            file.truncate(0)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)

    def open_private(self, path: Path, flags: int) -> int:
        """Open a file of this directory, made with mode 0600 where it is not; not inherited.

        What root makes belongs to the owner of the directory, who could not open it otherwise.

        Raises:
            EmbeddedPostgresUnavailable: something other than such a file is in its place.

        """
        directory = open_directory(self.directory)
        try:
            try:
                made = os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
                descriptor = os.open(path.name, flags | made, 0o600, dir_fd=directory)
            except FileExistsError:
                return open_file(directory, path, flags, owner=os.geteuid())
            if os.geteuid() == 0:
                owner = os.fstat(directory)
                os.fchown(descriptor, owner.st_uid, owner.st_gid)
            return descriptor
        finally:
            os.close(directory)
