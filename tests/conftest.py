"""A real PostgreSQL for the whole run, and a migrated database of its own for each test worker.

The run's controller starts the server (or takes ``TEST_DATABASE_URL``) and migrates a template
once; each worker clones it, which takes a tenth of a second. Tests commit for real and share their
worker's database: each makes slots and users of its own and looks at nothing else. What the data
promise (``sql/checks``) is asked after every test that touched the database.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from flask.testing import FlaskClient
from psycopg2.extensions import connection as PgConnection  # noqa: N812
from psycopg2.extensions import make_dsn

from booking.app import Services, create_app, create_services
from booking.config import Config
from booking.db.migrations import migrate
from booking.embedded import embedded_postgres
from tests.support.apps import Api, running_app
from tests.support.factories import make_config
from tests.support.servers import LiveServer
from tests.support.snapshots import violations_of

ROOT = Path(__file__).resolve().parent.parent
SERVER_VARIABLE = "BOOKING_TEST_SERVER"
TEMPLATE_VARIABLE = "BOOKING_TEST_TEMPLATE"
SERVER_SETTINGS = {"max_connections": "300"}

_resources = pytest.StashKey[ExitStack]()


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):
        return
    # What a developer's shell or .env says must not decide what the tests see.
    for name in ("DATABASE_URL", "PGHOST", "PGPORT", "PGUSER", "PGPASSWORD", "PGDATABASE"):
        os.environ.pop(name, None)
    stack = config.stash[_resources] = ExitStack()
    url = os.environ.get("TEST_DATABASE_URL")
    if not url:
        directory = ROOT / ".local" / f"test-{os.getpid()}"
        stack.callback(_remove, directory)
        url = stack.enter_context(
            embedded_postgres(directory, settings=SERVER_SETTINGS, superuser=True)
        )
    template = f"booking_test_{uuid.uuid4().hex[:12]}"
    stack.callback(_drop_database, url, template)
    _create_database(url, template)
    migrate(make_dsn(url, dbname=template))
    os.environ[SERVER_VARIABLE], os.environ[TEMPLATE_VARIABLE] = url, template


def pytest_unconfigure(config: pytest.Config) -> None:
    if _resources in config.stash:
        config.stash[_resources].close()


@pytest.fixture(scope="session")
def server_url() -> str:
    """The address of the test run's PostgreSQL, as its superuser."""
    return os.environ[SERVER_VARIABLE]


@pytest.fixture(scope="session")
def new_database(server_url: str) -> Iterator[Callable[..., str]]:
    """Clone the migrated template (or make an empty database); returns its address."""
    with ExitStack() as stack:

        def create(*, migrated: bool = True) -> str:
            name = f"{os.environ[TEMPLATE_VARIABLE]}_{uuid.uuid4().hex[:8]}"
            stack.callback(_drop_database, server_url, name)
            _create_database(
                server_url, name, os.environ[TEMPLATE_VARIABLE] if migrated else "template0"
            )
            return make_dsn(server_url, dbname=name)

        yield create


@pytest.fixture(scope="session")
def worker_database_url(new_database: Callable[..., str]) -> str:
    return new_database()


@pytest.fixture
def database_url(worker_database_url: str) -> Iterator[str]:
    """The address of this worker's database; its invariants are checked after the test."""
    yield worker_database_url
    assert violations_of(worker_database_url) == {}


@pytest.fixture
def conn(database_url: str) -> Iterator[PgConnection]:
    """A plain connection in autocommit, as somebody at psql has."""
    connection = psycopg2.connect(database_url, options="-c TimeZone=UTC")
    connection.autocommit = True
    yield connection
    connection.close()


@pytest.fixture
def config(database_url: str) -> Config:
    return make_config(database_url=database_url)


@pytest.fixture
def parts(config: Config) -> Iterator[Services]:
    """The application's database and services, without HTTP."""
    made = create_services(config)
    yield made
    made.pool.close()


@pytest.fixture
def client(config: Config) -> Iterator[FlaskClient]:
    """A client of the whole application, in this process; AUTH_MODE=open."""
    app = create_app(config)
    yield app.test_client()
    app.extensions["booking"].pool.close()


@pytest.fixture
def start_api(database_url: str) -> Iterator[Callable[..., Api]]:
    """Start the application in this process with settings of the test's own, for many threads."""
    with ExitStack() as stack:

        def start(**settings: Any) -> Api:
            return stack.enter_context(running_app(database_url, **settings))

        yield start


@pytest.fixture
def api(start_api: Callable[..., Api]) -> Api:
    """The application in this process, patient enough for every race."""
    return start_api()


@pytest.fixture(scope="session")
def worker_server(worker_database_url: str) -> Iterator[LiveServer]:
    with LiveServer(worker_database_url) as server:
        yield server


@pytest.fixture
def server(worker_server: LiveServer, database_url: str) -> LiveServer:
    """gunicorn with two workers on this worker's database, shared by its tests."""
    return worker_server


def _create_database(url: str, name: str, template: str = "template0") -> None:
    _execute(url, f'CREATE DATABASE "{name}" TEMPLATE "{template}"')


def _drop_database(url: str, name: str) -> None:
    _execute(url, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def _execute(url: str, statement: str) -> None:
    connection = psycopg2.connect(url)
    try:
        connection.autocommit = True
        connection.cursor().execute(statement)
    finally:
        connection.close()


def _remove(directory: Path) -> None:
    shutil.rmtree(directory, ignore_errors=True)
