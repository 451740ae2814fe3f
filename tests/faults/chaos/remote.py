"""An object in a process of its own: it shares no interpreter lock, and outlives no parent."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any, Protocol

from booking.cli.serving import ignoring_interrupts

START_SECONDS = 60
STOP_SECONDS = 60


class Service(Protocol):
    """What lives in the process. ``idle`` is called between calls, each ``idle_seconds``."""

    idle_seconds: float | None

    def idle(self) -> None: ...

    def close(self) -> None: ...


class Remote:
    """The parent's end. Threads may share it; one call is under way at a time."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()

    def call(self, method: str, *arguments: Any) -> Any:
        """Call a method of the object; return what it returned or raise what it raised."""
        with self._lock:
            self._connection.send((method, arguments))
            return self.receive()

    def receive(self) -> Any:
        """Return what the object returned or raise what it raised."""
        is_error, value = self._connection.recv()
        if is_error:
            raise value
        return value


@contextmanager
def in_process(factory: Callable[..., Service], *arguments: Any) -> Iterator[Remote]:
    """Make the object in a new process, and close it at the end.

    It is closed as well when this process dies, of which it learns by the end of the pipe.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, factory, arguments))
    # A terminal's Ctrl-C is for the parent, which ends the process in order.
    with ignoring_interrupts():
        process.start()
    theirs.close()
    try:
        if not ours.poll(START_SECONDS):
            raise TimeoutError(f"{factory.__name__} does not start")
        remote = Remote(ours)
        remote.receive()
        yield remote
    finally:
        ours.close()
        process.join(STOP_SECONDS)
        if process.is_alive():
            process.kill()
            process.join()


def _serve(
    connection: Connection, factory: Callable[..., Service], arguments: tuple[Any, ...]
) -> None:
    try:
        service = factory(*arguments)
    except Exception as error:  # noqa: BLE001 - whatever it is, the parent is told
        connection.send((True, error))
        return
    try:
        connection.send((False, None))
        while True:
            if not connection.poll(service.idle_seconds):
                service.idle()
                continue
            method, values = connection.recv()
            try:
                connection.send((False, getattr(service, method)(*values)))
            except Exception as error:  # noqa: BLE001 - whatever it is, the parent is told
                connection.send((True, error))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return
    finally:
        service.close()
