"""Behind PgBouncer, configured as docs/DEPLOYMENT.md says, while PostgreSQL goes and comes back."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing

import psycopg2
import pytest

from booking.db.migrations import migrate
from tests.conftest import ROOT
from tests.faults.chaos.postgres import ChaosPostgres, chaos_postgres
from tests.proxies.pgbouncer import pgbouncer
from tests.support.apps import api_over_http
from tests.support.rows import read_statuses
from tests.support.servers import LiveServer
from tests.support.snapshots import violations_of

NAME = "Dr. 王 🦷"
DOWN_SECONDS = 4.0
POLL_SECONDS = 0.05
QUERY_WAIT_SECONDS = 2
# That, and what PgBouncer's clock and a busy machine add.
WAIT_SECONDS = 5.0
# server_login_retry, and the same.
BACK_SECONDS = 5.0


@pytest.fixture(scope="module")
def postgres() -> Iterator[ChaosPostgres]:
    directory = ROOT / ".local" / f"test-{os.getpid()}-pooled"
    try:
        with chaos_postgres(directory) as running:
            migrate(running.url)
            yield running
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def pooled_url(postgres: ChaosPostgres) -> Iterator[str]:
    with pgbouncer(postgres.url) as url:
        yield url


def test_postgres_goes_and_comes_back(postgres: ChaosPostgres, pooled_url: str) -> None:
    with LiveServer(pooled_url, PGCLIENTENCODING="LATIN1") as server:
        api = api_over_http(server.base_url)
        slot_id = api.create_slot(doctor_name=NAME)
        assert api.get_slot(slot_id).data["doctor_name"] == NAME
        booked = [api.make_booking(slot_id)]

        postgres.kill()
        down = time.monotonic()
        while time.monotonic() < down + DOWN_SECONDS:
            began = time.monotonic()
            # PgBouncer ends the connection, by which nobody can tell whether it passed anything on.
            assert api.book(slot_id).code in {"OUTCOME_UNKNOWN", "DATABASE_UNAVAILABLE"}
            assert time.monotonic() - began < WAIT_SECONDS
            assert api.get_slot(slot_id).code == "DATABASE_UNAVAILABLE"
            assert api.get_readiness().code == "NOT_READY"
            time.sleep(POLL_SECONDS)

        postgres.start()
        back = time.monotonic()
        while (answer := api.book(slot_id)).status == 503:
            assert time.monotonic() < back + BACK_SECONDS
            time.sleep(POLL_SECONDS)
        booked.append(answer.data["id"])
    assert read_statuses(postgres.url, slot_id) == dict.fromkeys(booked, "CONFIRMED")
    assert violations_of(postgres.url) == {}


def test_wait_for_one_of_its_connections_ends(postgres: ChaosPostgres) -> None:
    with (
        pgbouncer(postgres.url, default_pool_size="1") as url,
        LiveServer(url, WEB_CONCURRENCY=1) as server,
    ):
        api = api_over_http(server.base_url)
        slot_id = api.create_slot()
        with closing(psycopg2.connect(url)) as hog:
            hog.cursor().execute("SELECT 1")
            began = time.monotonic()
            # A read is tried once more on another connection, and waits for the pooler twice.
            assert api.get_slot(slot_id).status == 503
            assert time.monotonic() - began < 2 * QUERY_WAIT_SECONDS + 3
            hog.rollback()
        assert api.get_slot(slot_id).status == 200


def test_parameter_that_it_refuses_is_named_with_what_to_do(postgres: ChaosPostgres) -> None:
    told = "unsupported startup parameter: options"
    mended_by = "ignore_startup_parameters = options"
    with (
        pgbouncer(postgres.url, ignore_startup_parameters="") as url,
        LiveServer(url, WEB_CONCURRENCY=1).serving(wait_for="/health") as server,
    ):
        not_ready = api_over_http(server.base_url).get_readiness()
        logged = server.log()
        migrated = subprocess.run(
            [sys.executable, "-m", "booking", "migrate"],
            cwd=ROOT,
            env={"DATABASE_URL": url, "PATH": ""},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert not_ready.status == 503
    assert told in logged
    assert mended_by in logged
    assert migrated.returncode == 1
    [line] = migrated.stderr.splitlines()
    assert told in line
    assert mended_by in line
