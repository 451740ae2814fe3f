"""HAProxy's documented check: a server is in while it can book, and only then."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from booking.db.migrations import migrate
from tests.conftest import ROOT
from tests.faults.chaos.postgres import ChaosPostgres, chaos_postgres
from tests.proxies.clients import SECRET, Admin, Certificate
from tests.proxies.haproxy import haproxy
from tests.support.servers import LiveServer

# Three checks of two seconds each, and one whose answer is waited for; the machine may be busy.
OUT_SECONDS = 30
IN_SECONDS = 20


@pytest.fixture
def postgres() -> Iterator[ChaosPostgres]:
    directory = ROOT / ".local" / f"test-{os.getpid()}-checked"
    try:
        with chaos_postgres(directory) as running:
            migrate(running.url)
            yield running
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def test_server_is_in_while_it_is_ready(
    postgres: ChaosPostgres, tls: Certificate, tmp_path: Path
) -> None:
    settings = {"TRUSTED_PROXIES": 1, "AUTH_MODE": "jwt", "AUTH_JWT_SECRET": SECRET}
    with (
        LiveServer(postgres.url, **settings) as server,
        haproxy(server, tls, tmp_path) as admin,
    ):
        _wait_until_in(admin, is_in=True, seconds=IN_SECONDS)
        # Longer than the checks need to take it out, if they were asked wrongly.
        for _ in range(8):
            time.sleep(1)
            assert _is_in(admin)
        postgres.kill()
        _wait_until_in(admin, is_in=False, seconds=OUT_SECONDS)
        postgres.start()
        _wait_until_in(admin, is_in=True, seconds=IN_SECONDS)
        assert admin.create_slot().status_code == 201


def _is_in(admin: Admin) -> bool:
    """Tell whether HAProxy lets a request through: the process itself is well all the time."""
    answer = admin.send("GET", "/health")
    assert answer.status_code == 200 or "X-Request-ID" not in answer.headers
    return answer.status_code == 200


def _wait_until_in(admin: Admin, *, is_in: bool, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while _is_in(admin) is not is_in:
        assert time.monotonic() < deadline
        time.sleep(0.1)
