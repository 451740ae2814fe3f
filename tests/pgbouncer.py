"""The real PgBouncer before a database, pooling by transaction."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg2
import pytest
from psycopg2.extensions import make_dsn, parse_dsn

from tests.servers import free_port
from tests.sessions import wait_until

PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")

needs_pgbouncer = pytest.mark.skipif(PROGRAM is None, reason="PgBouncer is not installed")


@contextmanager
def pgbouncer(url: str, **settings: str) -> Iterator[str]:
    """Run one for the length of the block; yield the address of the database by way of it.

    It knows the password, and asks for none.
    """
    port = free_port()
    server = " ".join(f"{name}={value}" for name, value in parse_dsn(url).items())
    lines = {
        "listen_addr": "127.0.0.1",
        "listen_port": str(port),
        "unix_socket_dir": "",
        "auth_type": "any",
        "pool_mode": "transaction",
        **settings,
    }
    with tempfile.TemporaryDirectory(prefix="booking-pgbouncer-") as directory:
        file = Path(directory) / "pgbouncer.ini"
        listed = "\n".join(f"{name} = {value}" for name, value in lines.items())
        file.write_text(f"[databases]\nbooking = {server}\n[pgbouncer]\n{listed}\n")
        command = [str(PROGRAM), str(file)]
        if os.geteuid() == 0:
            # It refuses to run as root.
            shutil.chown(directory, "nobody")
            shutil.chown(file, "nobody")
            command.insert(1, "--user=nobody")
        address = make_dsn(host="127.0.0.1", port=port, dbname="booking", user="booking")
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            wait_until(lambda: _answers(address), "PgBouncer")
            yield address
        finally:
            process.terminate()
            process.wait()


def _answers(address: str) -> bool:
    try:
        psycopg2.connect(address).close()
    except psycopg2.OperationalError:
        return False
    return True
