"""A PostgreSQL of the project's own for development and tests, shared by all who use its directory.

``users`` is the side of those who want a database, ``guard`` the process that keeps it for them;
``layout`` names the files that both go by. How long the server lives is decided by ``flock`` alone,
which the kernel drops however a process ends:

- every user holds ``users.lock`` shared; the guard stops the server once it gets it exclusive;
- the guard holds ``guard.lock`` exclusive, so whoever can take it knows that there is no guard;
- coming and leaving are serialised by ``door.lock``, so that nobody starts what another stops.
"""

from booking.embedded.binaries import binary
from booking.embedded.errors import EmbeddedPostgresUnavailable
from booking.embedded.users import embedded_postgres

__all__ = ["EmbeddedPostgresUnavailable", "binary", "embedded_postgres"]
