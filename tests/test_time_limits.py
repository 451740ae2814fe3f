"""The chain of time limits, read from where each is set: every one is longer than what it holds."""

from __future__ import annotations

import re
import runpy
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from booking import config as config_module
from booking.config import PROJECT_ROOT, Config
from booking.db import connection, migrations
from booking.db.connection import pool_parameters
from booking.services import readiness
from booking.time_limits import (
    commit_timeout,
    find_disorder,
    lane_seconds,
    longest_seconds,
    queue_timeout,
    request_seconds,
)
from tests.support.factories import make_config
from tests.support.servers import LiveServer, free_port

DEPLOYMENT = (PROJECT_ROOT / "docs" / "DEPLOYMENT.md").read_text()
DESIGN = (PROJECT_ROOT / "docs" / "SYSTEM_DESIGN.md").read_text()
STOPS = (
    r"TimeoutStopSec=(\d+)",
    r"docker stop -t (\d+)",
    r"terminationGracePeriodSeconds: (\d+)",
    r"maxShutdownDelaySeconds: (\d+)",
    r"RAILWAY_DEPLOYMENT_DRAINING_SECONDS=(\d+)",
)


@pytest.fixture
def config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Config:
    """The defaults, whatever the environment says."""
    for name in (
        "DB_LOCK_TIMEOUT_MS",
        "DB_STATEMENT_TIMEOUT_MS",
        "DB_POOL_TIMEOUT_SECONDS",
        "APP_ENV",
        "AUTH_MODE",
        "HOST",
    ):
        monkeypatch.delenv(name, raising=False)
    # Where there is no .env.
    monkeypatch.setattr(config_module, "PROJECT_ROOT", tmp_path)
    return Config.from_environment()


@pytest.fixture
def gunicorn(config: Config) -> dict[str, Any]:
    """What gunicorn reads from its configuration."""
    return runpy.run_path(str(PROJECT_ROOT / "gunicorn.conf.py"))


@pytest.fixture
def database(config: Config) -> dict[str, float]:
    """The time limits that a pooled connection asks for, in seconds."""
    options = pool_parameters(
        statement_timeout_ms=config.db_statement_timeout_ms,
        lock_timeout_ms=config.db_lock_timeout_ms,
    )["options"]
    return {
        name: float(value) / 1000
        for name, value in re.findall(r"-c (\w*(?:timeout|interval))=(\d+)", options)
    }


def seconds_in(page: str, pattern: str) -> float:
    """Return the one number that a page names so; every mention of it must be the same."""
    [found] = set(re.findall(pattern, page))
    return float(found)


def assert_in_order(*limits: float) -> None:
    assert all(inner < outer for inner, outer in pairwise(limits)), limits


def test_limits_of_the_database(config: Config, database: dict[str, float]) -> None:
    assert_in_order(
        database["client_connection_check_interval"],
        database["lock_timeout"],
        database["statement_timeout"],
        database["idle_in_transaction_session_timeout"],
    )
    answer = connection.answer_seconds(config.db_statement_timeout_ms)
    assert_in_order(database["statement_timeout"], answer, commit_timeout(config))
    assert config.db_pool_timeout_seconds < database["statement_timeout"]
    assert connection.RECONNECT_PAUSE_SECONDS < connection.CONNECT_TIMEOUT_SECONDS
    assert database["statement_timeout"] > connection.CONNECT_TIMEOUT_SECONDS


def test_database_that_vanished_is_given_up_while_a_server_ends(
    database: dict[str, float], gunicorn: dict[str, Any]
) -> None:
    silent = connection.SIGN_OF_LIFE_SECONDS + connection.SIGN_OF_LIFE_INTERVAL_SECONDS
    # A server that is slow acknowledges all the same; one that does not is not merely slow.
    assert_in_order(
        database["statement_timeout"],
        connection.UNACKNOWLEDGED_SECONDS,
        silent,
        gunicorn["graceful_timeout"],
    )


def test_limits_of_the_server(config: Config, gunicorn: dict[str, Any]) -> None:
    answer_at_proxy = seconds_in(DEPLOYMENT, r"proxy_read_timeout (\d+)s")
    idle_at_proxy = seconds_in(DEPLOYMENT, r"keepalive_timeout (\d+)s")
    longest = longest_seconds(config)
    assert longest == request_seconds(config) + commit_timeout(config)
    # A slot's line, its gate and its lock are waited for one after the other.
    assert_in_order(lane_seconds(config), queue_timeout(config))
    assert_in_order(3 * queue_timeout(config), request_seconds(config), commit_timeout(config))
    for stop in STOPS:
        assert_in_order(longest, gunicorn["graceful_timeout"], seconds_in(DEPLOYMENT, stop))
    assert_in_order(longest, gunicorn["graceful_timeout"], gunicorn["timeout"])
    assert gunicorn["timeout"] <= answer_at_proxy
    assert idle_at_proxy < gunicorn["keepalive"]


def test_documented_limits_are_the_real_ones(
    config: Config, gunicorn: dict[str, Any], database: dict[str, float]
) -> None:
    rows = dict(re.findall(r"^\| ([^|]+) \| ([\d.]+) s\b", DESIGN.split("## Time limits")[1], re.M))
    real = {
        "wait for a lock": database["lock_timeout"],
        "wait for a pooled connection": config.db_pool_timeout_seconds,
        "connect to the database": connection.CONNECT_TIMEOUT_SECONDS,
        "statement": database["statement_timeout"],
        "answer of PostgreSQL": connection.answer_seconds(config.db_statement_timeout_ms),
        "answer to the commit of `/ready`": readiness.ANSWER_SECONDS,
        "transaction left idle": database["idle_in_transaction_session_timeout"],
        "a database that vanished without a word is given up": connection.UNACKNOWLEDGED_SECONDS,
        "request: nothing more is begun": request_seconds(config),
        "line of a slot": queue_timeout(config),
        "turn to wait for a slot's lock": queue_timeout(config),
        "line of those who share a commit": lane_seconds(config),
        "commit of a group": commit_timeout(config),
        "request, as a whole": longest_seconds(config),
        "shutdown": gunicorn["graceful_timeout"],
        "stop of the service, before it is killed": seconds_in(DEPLOYMENT, STOPS[0]),
        "worker that does not answer the master": gunicorn["timeout"],
        "answer, at the proxy": seconds_in(DEPLOYMENT, r"proxy_read_timeout (\d+)s"),
        "idle HTTP connection, at the proxy": seconds_in(DEPLOYMENT, r"keepalive_timeout (\d+)s"),
        "idle HTTP connection": gunicorn["keepalive"],
        "`migrate`: what may pass, tried again": migrations.PATIENCE_SECONDS,
        "migrations: wait for a table's lock": float(migrations.DDL_LOCK_TIMEOUT.removesuffix("s")),
    }
    assert {name: float(rows[name]) for name in real} == real


def test_defaults_are_in_order(config: Config, gunicorn: dict[str, Any]) -> None:
    assert find_disorder(config, graceful_seconds=gunicorn["graceful_timeout"]) == []


def test_server_starts_with_limits_out_of_order_and_names_them() -> None:
    nowhere = f"postgresql://booking@127.0.0.1:{free_port()}/booking"
    settings = {"DB_LOCK_TIMEOUT_MS": 20_000, "DB_STATEMENT_TIMEOUT_MS": 20_000}
    with LiveServer(nowhere, WEB_CONCURRENCY=1, **settings).serving(wait_for="/health") as server:
        warnings = [line for line in server.log().splitlines() if "DB_STATEMENT_TIMEOUT_MS" in line]
    assert len(warnings) == 2
    assert "not below DB_STATEMENT_TIMEOUT_MS" in warnings[0]
    assert "make 64 s, and a server that ends waits 30 s" in warnings[1]


@pytest.mark.parametrize(
    ("settings", "count"),
    [
        ({"db_lock_timeout_ms": 4999}, 0),
        ({"db_lock_timeout_ms": 5000}, 1),
        ({"db_pool_timeout_seconds": 7.4}, 0),
        ({"db_pool_timeout_seconds": 7.5}, 1),
        ({"db_statement_timeout_ms": 13_000}, 1),
        ({"db_statement_timeout_ms": 1000}, 1),
    ],
)
def test_disorder_is_found(settings: dict[str, Any], count: int) -> None:
    assert len(find_disorder(make_config(**settings), graceful_seconds=30)) == count
