"""The real server, as an operator runs it: gunicorn in processes of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import requests

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 30
GUNICORN = ("-m", "gunicorn", "wsgi:app")
# The same with what stands around it: migrations, also when the database is reached later.
SERVE = ("-m", "booking", "serve")


def free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


class LiveServer:
    """gunicorn on a free port and a given database; settings are environment variables."""

    def __init__(
        self, database_url: str, command: Sequence[str] = GUNICORN, /, **settings: Any
    ) -> None:
        self._command = command
        self.port = free_port()
        self.base_url = f"http://127.0.0.1:{self.port}"
        self._log = tempfile.NamedTemporaryFile(prefix="booking-server-", suffix=".log")  # noqa: SIM115 (closed in stop)
        self._environment = {
            **os.environ,
            "DATABASE_URL": database_url,
            "PORT": str(self.port),
            "WEB_CONCURRENCY": "2",
            "EXPIRY_INTERVAL_SECONDS": "0",
            "HOLD_TTL_SECONDS": "3600",
            **{name: str(value) for name, value in settings.items()},
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *, wait_for: str = "/ready") -> LiveServer:
        """Start and wait until ``wait_for`` answers 200."""
        self.process = subprocess.Popen(
            [sys.executable, *self._command],
            cwd=ROOT,
            env=self._environment,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                if requests.get(self.base_url + wait_for, timeout=2).ok:
                    return self
            except (requests.ConnectionError, requests.Timeout):
                pass
            time.sleep(0.05)
        self.stop()
        raise RuntimeError(f"the server did not start:\n{self.log()}")

    def stop(self, signal_number: int = signal.SIGTERM) -> int:
        """End it and return its exit code; by force after half a minute."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal_number)
        try:
            return self.process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            return self.process.wait(5)

    def log(self) -> str:
        """Return what it has logged so far."""
        return Path(self._log.name).read_text()

    @contextmanager
    def serving(self, *, wait_for: str) -> Iterator[LiveServer]:
        """Run it for the length of the block, which begins when ``wait_for`` answers 200."""
        with closing(self._log):
            self.start(wait_for=wait_for)
            try:
                yield self
            finally:
                self.stop()
                # pytest shows it with a test that failed.
                sys.stderr.write(self.log())

    def __enter__(self) -> LiveServer:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        self._log.close()
