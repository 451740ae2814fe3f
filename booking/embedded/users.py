"""The side of those who use the server: come in, have it started where nobody has, leave."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from types import MappingProxyType

import psycopg2

from booking.embedded.errors import EmbeddedPostgresUnavailable
from booking.embedded.layout import Layout
from booking.embedded.locks import EXCLUSIVE, SHARED, FileLock

_ENTER_SECONDS = 120
_LEAVE_SECONDS = 40
_POLL_SECONDS = 0.03
_CONNECT_SECONDS = 2
_IMPORT_ROOT = Path(__file__).resolve().parents[2]

# Guards that outlive this user; kept so that nothing takes them for forgotten children.
_left_running: list[subprocess.Popen[bytes]] = []


@contextmanager
def embedded_postgres(
    directory: Path,
    *,
    settings: Mapping[str, str] = MappingProxyType({}),
    superuser: bool = False,
) -> Iterator[str]:
    """Use the PostgreSQL in ``directory``, made and started where it is not; yield its URL.

    The URL, ``postgresql://booking:…@127.0.0.1:port/booking``, is good until the block is left.
    Any number of processes may use one directory; the server stops with the last of them, and then
    the block is not left before it has stopped. However a user dies, its use ends. The data stay.

    Args:
        directory: where the server's files are; made if need be. It is not for several users of
            the operating system, except that root may use another's.
        settings: PostgreSQL settings, where it is this user who starts the server.
        superuser: whether the URL's role is a superuser, where it is this user who makes the data.
            For tests and measurements, never for an application.

    Raises:
        EmbeddedPostgresUnavailable: there is none to be had, in one line that says why.

    """
    layout = Layout(directory.resolve())
    with ExitStack() as stack:
        try:
            layout.directory.mkdir(parents=True, exist_ok=True)
            user = _User(layout, stack)
        except OSError as error:
            raise EmbeddedPostgresUnavailable(
                f"the embedded PostgreSQL cannot use {layout.directory}: {error.strerror}"
            ) from error
        # Registered before coming in: whoever is interrupted there leaves as well.
        stack.callback(user.leave)
        yield user.enter(settings, superuser)


class _User:
    """One user's holds on the locks, and the guard if it was this user who started it."""

    def __init__(self, layout: Layout, stack: ExitStack) -> None:
        self._layout = layout
        self._stack = stack
        self._door = stack.enter_context(closing(_lock(layout, layout.door_lock)))
        self._users = stack.enter_context(closing(_lock(layout, layout.users_lock)))
        self._guard: subprocess.Popen[bytes] | None = None
        self._inside = False

    def enter(self, settings: Mapping[str, str], superuser: bool) -> str:
        """Wait until the server accepts connections, starting it if nobody has; return its URL."""
        deadline = time.monotonic() + _ENTER_SECONDS
        self._acquire(self._door, EXCLUSIVE, deadline)
        # A guard that is stopping holds it until its server has stopped.
        self._acquire(self._users, SHARED, deadline)
        self._inside = True
        while True:
            if self._guard is None:
                self._start_guard_where_none_is(settings, superuser)
            port = self._layout.port()
            fault = "it is still starting" if port is None else self._connection_fault(port)
            if port is not None and fault is None:
                self._door.release()
                return self._layout.dsn(port)
            if self._guard is not None and self._guard.poll() is not None:
                raise EmbeddedPostgresUnavailable(self._last_words(self._guard))
            if time.monotonic() > deadline:
                raise EmbeddedPostgresUnavailable(
                    f"the embedded PostgreSQL did not accept connections within {_ENTER_SECONDS} "
                    f"seconds ({fault}); see {self._layout.log}"
                )
            time.sleep(_POLL_SECONDS)

    def leave(self) -> None:
        """Stop using the server; where nobody else does, wait until it and its guard have ended."""
        if not self._inside:
            return
        deadline = time.monotonic() + _LEAVE_SECONDS
        self._acquire(self._door, EXCLUSIVE, deadline)
        self._users.release()
        if self._used_by_others():
            if self._guard is not None:
                _left_running.append(self._guard)
            return
        with closing(_lock(self._layout, self._layout.guard_lock)) as guard_lock:
            # Free as soon as the guard, which sees that nobody is left, has ended.
            self._acquire(guard_lock, EXCLUSIVE, deadline)
        if self._guard is not None:
            self._guard.wait()

    def _used_by_others(self) -> bool:
        """Say whether others use the server. None comes or leaves meanwhile, but some may die."""
        if self._users.try_acquire(EXCLUSIVE):
            self._users.release()
            return False
        if self._users.try_acquire(SHARED):
            self._users.release()
            return True
        # The guard has it already, and is stopping.
        return False

    def _start_guard_where_none_is(self, settings: Mapping[str, str], superuser: bool) -> None:
        with closing(_lock(self._layout, self._layout.guard_lock)) as lock:
            if lock.try_acquire(EXCLUSIVE):
                self._guard = self._start_guard(settings, superuser, lock.descriptor)

    def _start_guard(
        self, settings: Mapping[str, str], superuser: bool, lock_descriptor: int
    ) -> subprocess.Popen[bytes]:
        """Start the guard, which inherits the hold on ``guard.lock``."""
        port = self._layout.port()
        # Left by a guard that was killed: nobody must take it for the new server's.
        self._layout.endpoint.unlink(missing_ok=True)
        log = self._layout.open_private(self._layout.log, os.O_WRONLY | os.O_APPEND)
        try:
            guard = subprocess.Popen(  # noqa: S603 - this Python
                [
                    *(sys.executable, "-m", "booking.embedded.guard"),
                    *(str(self._layout.directory), "--settings", json.dumps(dict(settings))),
                    *("--lock", str(lock_descriptor)),
                    *(("--port", str(port)) if port else ()),
                    *(("--superuser",) if superuser else ()),
                ],
                cwd=_IMPORT_ROOT,
                env={name: os.environ[name] for name in os.environ if name != "PYTHONSAFEPATH"},
                pass_fds=[lock_descriptor],
                start_new_session=True,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        finally:
            os.close(log)
        if guard.stdout is not None:
            self._stack.callback(guard.stdout.close)
        return guard

    def _connection_fault(self, port: int) -> str | None:
        try:
            psycopg2.connect(self._layout.dsn(port), connect_timeout=_CONNECT_SECONDS).close()
        except psycopg2.OperationalError as error:
            return str(error).strip()
        except FileNotFoundError:
            return f"{self._layout.password} is missing; without it nobody can log in to the data"
        return None

    def _last_words(self, guard: subprocess.Popen[bytes]) -> str:
        said = guard.stdout.read().decode(errors="replace").strip() if guard.stdout else ""
        return said or (
            "the guard of the embedded PostgreSQL ended without a reason; "
            f"see the end of {self._layout.log}"
        )

    def _acquire(self, lock: FileLock, mode: int, deadline: float) -> None:
        if not lock.acquire(mode, deadline):
            raise EmbeddedPostgresUnavailable(
                f"another process starts or stops the PostgreSQL in {self._layout.directory} and "
                f"does not get done; see {self._layout.log}"
            )


def _lock(layout: Layout, path: Path) -> FileLock:
    return FileLock(layout.open_private(path, os.O_RDWR))
