"""PgBouncer as docs/DEPLOYMENT.md has it, and the settings of the role that it needs."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from psycopg2.extensions import make_dsn, parse_dsn

from tests.proxies.documented import block, filled_in, program, running
from tests.support.servers import free_port
from tests.support.snapshots import query

# It refuses to run as root.
UNPRIVILEGED = "nobody"


@contextmanager
def pgbouncer(url: str, *, role_url: str | None = None, **changes: str) -> Iterator[str]:
    """Run PgBouncer before the database at ``url``; yield the address by way of it.

    ``changes`` gives settings other values than the document's. ``role_url`` is where the settings
    of the role are made, where that is not the same.
    """
    address = parse_dsn(url)
    port = free_port()
    # Not pytest's folder, which is for its own user alone.
    with tempfile.TemporaryDirectory(prefix="booking-pgbouncer-") as folder:
        directory = Path(folder)
        directory.chmod(0o755)
        users = directory / "userlist.txt"
        users.write_text(f'"{address["user"]}" "{address.get("password", "")}"\n')
        configuration = directory / "pgbouncer.ini"
        text = filled_in(
            block("ini", after="## PgBouncer"),
            {
                "booking = host=db.internal port=5432": (
                    f"{address['dbname']} = host={address['host']} port={address['port']}"
                ),
                "listen_port = 6432": f"listen_port = {port}",
                "/etc/pgbouncer/userlist.txt": str(users),
            },
        )
        # The last value of a setting holds.
        own = {"unix_socket_dir": "", **changes}
        configuration.write_text(text + "".join(f"{name} = {own[name]}\n" for name in own))
        for statement in filter(str.strip, block("sql", after="## PgBouncer").split(";")):
            query(role_url or url, statement)
        as_user = ["-u", UNPRIVILEGED] if os.geteuid() == 0 else []
        with running([program("pgbouncer"), *as_user, configuration], port, directory):
            yield make_dsn(url, host="127.0.0.1", port=port)
