"""Behind the real PgBouncer: what it needs is said, and with that it works."""

from __future__ import annotations

import subprocess
import sys

from tests.apps import api_over_http
from tests.conftest import ROOT
from tests.pgbouncer import needs_pgbouncer, pgbouncer
from tests.rows import read_slot
from tests.servers import LiveServer
from tests.threads import at_once

pytestmark = needs_pgbouncer

TOLD = "unsupported startup parameter: options"
MENDED_BY = "ignore_startup_parameters = options"
AS_DOCUMENTED = {"ignore_startup_parameters": "options"}
NAME = "Dr. 王 🦷"


def test_parameter_that_it_refuses_is_named_with_what_to_do(database_url: str) -> None:
    with (
        pgbouncer(database_url) as url,
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
    assert TOLD in logged
    assert MENDED_BY in logged
    assert migrated.returncode == 1
    [line] = migrated.stderr.splitlines()
    assert TOLD in line
    assert MENDED_BY in line


def test_server_books_behind_it_as_documented(database_url: str) -> None:
    # What a server's session has of its own is set for the role there.
    with (
        pgbouncer(database_url, **AS_DOCUMENTED, default_pool_size="2") as url,
        LiveServer(url, PGCLIENTENCODING="LATIN1") as server,
    ):
        api = api_over_http(server.base_url)
        slot_id = api.create_slot(doctor_name=NAME, total_capacity=20)
        answers = at_once([lambda: api.book(slot_id, user_id=NAME)] * 10)
        assert api.get_slot(slot_id).data["doctor_name"] == NAME
        assert api.get_readiness().status == 200
    assert {answer.status for answer in answers} == {201}
    assert read_slot(database_url, slot_id).remaining == 10
