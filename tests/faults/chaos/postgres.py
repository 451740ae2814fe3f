"""A PostgreSQL of the run's own that can be killed, shut down and started again where it was."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import psutil
import psycopg2
from psycopg2.extensions import connection as PgConnection  # noqa: N812

from booking.embedded import initdb, pidfile
from booking.embedded.binaries import find_installation
from booking.embedded.identity import choose_identity
from booking.embedded.layout import Layout
from booking.embedded.log import BoundedLog
from booking.embedded.programs import Programs
from booking.embedded.reach import within_reach
from booking.embedded.server import Server
from tests.faults.chaos.disk import SmallDisk, shown_at
from tests.faults.chaos.remote import Remote, in_process
from tests.support.sessions import wait_until

SETTINGS = {
    "fsync": "on",
    "max_connections": "60",
    # A small disk for the WAL must do, and few segments wait on it to be used again.
    "min_wal_size": "32MB",
    "max_wal_size": "64MB",
    "log_line_prefix": "%m [%p] ",
}
END_SECONDS = 20


class Keeper:
    """The one thread that starts PostgreSQL's programs, as ``booking.embedded`` needs it."""

    idle_seconds: float | None = 0.02

    def __init__(
        self, directory: Path, wal_disk: SmallDisk | None, settings: Mapping[str, str]
    ) -> None:
        layout = Layout(directory.resolve())
        layout.directory.mkdir(parents=True, exist_ok=True)
        identity = choose_identity(layout)
        self._layout = layout
        self._programs = Programs(identity, BoundedLog(layout), lambda: False)
        self._lent = ExitStack()
        installation = self._lent.enter_context(within_reach(find_installation(), identity))
        initdb.create(layout, installation, self._programs, superuser=True)
        if wal_disk:
            self._lent.enter_context(wal_disk.mounted())
            wal = layout.data / "pg_wal"
            target = wal_disk.directory / "pg_wal"
            target.mkdir(mode=0o700)
            for entry in wal.iterdir():
                # On the disk they came from they are not needed any more.
                _move(entry, target / entry.name)
            identity.own(wal_disk.directory)
            # A link would lead through folders that PostgreSQL's user may not enter.
            self._lent.enter_context(shown_at(target, wal))
        self._server = Server(layout, installation, self._programs, {**SETTINGS, **settings})
        self._port: int | None = None

    def start(self) -> tuple[str, int]:
        """Start it, on the port of the first time; return its address and the postmaster's id.

        Raises EmbeddedPostgresUnavailable where it does not start.
        """
        self._port = self._server.start(self._port, keep_port=self._port is not None)
        return self._layout.dsn(self._port), self.postmaster() or 0

    def postmaster(self) -> int | None:
        """Return the postmaster's process id, None where it has ended."""
        if self._server.exit_code() is not None:
            return None
        return pidfile.running_server(self._layout.data)

    def idle(self) -> None:
        """Write what the server said into its log."""
        self._programs.listen(0)

    def close(self) -> None:
        """Stop the server and give the disk back."""
        try:
            self._server.stop()
        finally:
            self._lent.close()


class ChaosPostgres:
    """The keeper's PostgreSQL, as the faults see it. ``url`` leads to it directly."""

    def __init__(self, remote: Remote, log: Path) -> None:
        self._remote = remote
        self._log = log
        self.url, self.pid = remote.call("start")

    def start(self) -> None:
        """Start it again, where it was; return when it accepts connections."""
        self.url, self.pid = self._remote.call("start")

    def is_running(self) -> bool:
        """Tell whether there is a postmaster."""
        return self._remote.call("postmaster") is not None

    def accepts_connections(self) -> bool:
        """Tell whether somebody who connects now is let in."""
        try:
            psycopg2.connect(self.url, connect_timeout=3).close()
        except psycopg2.OperationalError:
            return False
        return True

    def kill(self) -> int:
        """``kill -9`` the postmaster and all its children; return how many processes died.

        Raises LookupError when there was no postmaster to kill.
        """
        return self._end(lambda process: process.kill(), with_children=True)

    def shut_down_immediately(self) -> int:
        """Shut down without a checkpoint (PostgreSQL, "Shutting Down the Server"); return how many
        processes ended.

        Raises LookupError when there was no postmaster.
        """
        return self._end(lambda process: process.send_signal(signal.SIGQUIT), with_children=False)

    def _end(self, end: Callable[[psutil.Process], Any], *, with_children: bool) -> int:
        try:
            postmaster = psutil.Process(self.pid)
            children = postmaster.children(recursive=True)
            end(postmaster)
        except psutil.NoSuchProcess as error:
            raise LookupError(f"no postmaster {self.pid}") from error
        for child in children if with_children else ():
            try:
                end(child)
            except psutil.NoSuchProcess:
                # It follows its postmaster by itself.
                continue
        _, alive = psutil.wait_procs([*children], timeout=END_SECONDS)
        if alive:
            raise TimeoutError(f"still there: {[process.pid for process in alive]}")
        # The keeper is the one that learns of the end of its child.
        wait_until(lambda: not self.is_running(), f"the end of postmaster {self.pid}")
        return 1 + len(children)

    def log_size(self) -> int:
        """Return where the log ends now, for ``log_since``."""
        return self._log.stat().st_size

    def log_since(self, size: int) -> str:
        """Return what was logged since; the log may have begun anew."""
        with self._log.open("rb") as log:
            if self._log.stat().st_size >= size:
                log.seek(size)
            return log.read().decode(errors="replace")


@contextmanager
def chaos_postgres(
    directory: Path,
    wal_disk: SmallDisk | None = None,
    settings: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[ChaosPostgres]:
    """Run a PostgreSQL in ``directory`` for the length of the block."""
    with in_process(Keeper, directory, wal_disk, dict(settings)) as remote:
        yield ChaosPostgres(remote, Layout(directory.resolve()).log)


@contextmanager
def outsider(url: str) -> Iterator[PgConnection]:
    """Connect as somebody at psql, in autocommit and with bounded waits for locks."""
    conn = psycopg2.connect(
        url,
        application_name="outsider",
        connect_timeout=5,
        options="-c TimeZone=UTC -c lock_timeout=5000 -c statement_timeout=15000",
    )
    conn.autocommit = True
    try:
        yield conn
    finally:
        conn.close()


def _move(source: Path, target: Path) -> None:
    if source.is_dir():
        target.mkdir(mode=0o700)
        for entry in source.iterdir():
            _move(entry, target / entry.name)
        source.rmdir()
    else:
        target.write_bytes(source.read_bytes())
        target.chmod(0o600)
        source.unlink()
