"""Two PostgreSQL servers, of which one streams from the other, and which change places."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from booking.embedded.binaries import find_installation
from booking.embedded.identity import choose_identity
from booking.embedded.layout import ADDRESS, Layout
from booking.embedded.log import BoundedLog
from booking.embedded.programs import Programs
from booking.embedded.reach import within_reach
from booking.embedded.server import Server
from tests.faults.chaos.remote import Remote, in_process
from tests.support.sessions import wait_until
from tests.support.snapshots import query

ROLE = "booking"
SETTINGS = {"max_connections": "60", "min_wal_size": "32MB", "max_wal_size": "64MB"}
TIMEOUT_SECONDS = 60


class Keeper:
    """The one thread that runs a node's programs, as ``booking.embedded`` needs it."""

    idle_seconds: float | None = 0.02

    def __init__(self, directory: Path, source_port: int | None) -> None:
        self._layout = layout = Layout(directory.resolve())
        layout.directory.mkdir(parents=True, exist_ok=True)
        identity = choose_identity(layout)
        self._programs = programs = Programs(identity, BoundedLog(layout), lambda: False)
        self._lent = ExitStack()
        installation = self._lent.enter_context(within_reach(find_installation(), identity))
        layout.data.mkdir(mode=0o700)
        identity.own(layout.data)
        if source_port is None:
            command = ["initdb", "--username", ROLE, "--auth=trust", "--encoding=UTF8"]
            command += ["--locale=C", "--no-sync"]
        else:
            command = ["pg_basebackup", "--write-recovery-conf", "--checkpoint=fast", "--no-sync"]
            command += [f"--dbname={address(source_port)}"]
        program, *arguments = command
        programs.run(
            [installation.program(program), *arguments, "-D", layout.data],
            TIMEOUT_SECONDS,
            data=layout.data,
        )
        self._server = Server(layout, installation, programs, SETTINGS)
        self._port: int | None = None

    def start(self) -> int:
        """Start it, on the port of the first time; return that."""
        self._port = self._server.start(self._port, keep_port=self._port is not None)
        return self._port

    def follow(self, source_port: int) -> None:
        """Shut it down, and start it again as the standby of who listens on a port."""
        self._server.stop()
        conninfo = address(source_port)
        with (self._layout.data / "postgresql.auto.conf").open("a") as settings:
            settings.write(f"primary_conninfo = '{conninfo}'\n")
        (self._layout.data / "standby.signal").touch()
        self.start()

    def idle(self) -> None:
        """Write what the server said into its log."""
        self._programs.listen(0)

    def close(self) -> None:
        """Stop the server."""
        try:
            self._server.stop()
        finally:
            self._lent.close()


def address(port: int) -> str:
    """Return where a node listens, as its superuser sees it."""
    return f"host={ADDRESS} port={port} user={ROLE} dbname=postgres"


class Node:
    """One of the two. ``url`` leads to it directly."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote
        self.port: int = remote.call("start")
        self.url = address(self.port)

    def follow(self, other: Node) -> None:
        """Become the other's standby."""
        self._remote.call("follow", other.port)


class Pair:
    """A primary and its standby."""

    def __init__(self, primary: Node, standby: Node) -> None:
        self.primary = primary
        self.standby = standby

    def demote(self) -> None:
        """Have the primary follow the standby, which is promoted later: until then none leads."""
        self.primary.follow(self.standby)

    def promote(self) -> None:
        """Have the standby lead. Nothing is lost: the other shut down in order, which ends when all
        was sent (PostgreSQL, "Shutting Down the Server").
        """
        query(self.standby.url, "SELECT pg_promote()")
        self.primary, self.standby = self.standby, self.primary

    def wait_for_stream(self) -> None:
        """Wait until the standby has all that there is."""
        wait_until(
            lambda: (
                query(
                    self.primary.url,
                    "SELECT count(*) FROM pg_stat_replication"
                    " WHERE state = 'streaming' AND replay_lsn = pg_current_wal_lsn()",
                )
                == [(1,)]
            ),
            "the standby",
        )


@contextmanager
def replicated(directory: Path) -> Iterator[Pair]:
    """Run a primary and its standby for the length of the block."""
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        primary = Node(stack.enter_context(in_process(Keeper, directory / "a", None)))
        standby = Node(stack.enter_context(in_process(Keeper, directory / "b", primary.port)))
        yield Pair(primary, standby)
