"""Process 25: ``fsync`` or ``full_page_writes`` off: what is acknowledged may be lost in a crash of
the machine, so ``/ready`` says no. A running server finds it out, and finds it mended.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest

from booking.db.migrations import migrate
from booking.embedded import embedded_postgres
from tests.conftest import ROOT
from tests.support.apps import api_over_http
from tests.support.servers import LiveServer
from tests.support.sessions import wait_until
from tests.support.snapshots import query

SETTINGS = ("fsync", "full_page_writes")


@pytest.fixture
def own_server_url() -> Iterator[str]:
    directory = ROOT / ".local" / f"test-{os.getpid()}-durability"
    try:
        with embedded_postgres(directory, superuser=True) as url:
            migrate(url)
            yield url
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def set_durability(url: str, setting: str, value: str) -> None:
    query(url, f"ALTER SYSTEM SET {setting} = {value}")
    query(url, "SELECT pg_reload_conf()")
    wait_until(lambda: query(url, f"SHOW {setting}") == [(value,)], f"{setting} to be {value}")


def test_server_is_ready_only_while_both_are_on(own_server_url: str) -> None:
    set_durability(own_server_url, SETTINGS[0], "off")
    with LiveServer(own_server_url, WEB_CONCURRENCY=1).serving(wait_for="/health") as server:
        api = api_over_http(server.base_url)
        for setting in SETTINGS:
            set_durability(own_server_url, setting, "off")
            without = api.get_readiness()
            set_durability(own_server_url, setting, "on")

            assert (without.status, without.code) == (503, "NOT_READY")
            assert without.body["retryable"] is True
            assert int(without.headers["Retry-After"]) > 0
            named = [each for each in SETTINGS if f"{each} is off" in without.body["detail"]]
            assert named == [setting]
            assert api.get_readiness().status == 200
