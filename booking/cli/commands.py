"""What each command of the command line does. A command gets the settings and its options, and
returns its exit code.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import jwt
from psycopg2.extensions import make_dsn, parse_dsn

from booking.app import Services, create_app, create_services
from booking.cli import demo, serving
from booking.cli.supervise import signals_unwind
from booking.config import PROJECT_ROOT, Config
from booking.db import migrations
from booking.embedded import EmbeddedPostgresUnavailable, binary, embedded_postgres
from booking.errors import ConfigurationError
from booking.middleware.authentication import ADMIN_ROLE, USER_ROLE
from booking.openapi.document import write_document

EMBEDDED_DIRECTORY = PROJECT_ROOT / ".local" / "postgres"
DEFAULT_TOKEN_SECONDS = 3600
SHOWN_VIOLATIONS = 20

Command = Callable[[Config, argparse.Namespace], int]


def serve(config: Config, _options: argparse.Namespace) -> int:
    """Migrate and serve until a signal."""
    with signals_unwind(), _database(config) as reached:
        return serving.serve(reached)


def migrate(config: Config, _options: argparse.Namespace) -> int:
    """Apply what is not applied yet."""
    with _database(config) as reached:
        applied = migrations.migrate(reached.database_url or "")
    print("\n".join(f"applied {name}" for name in applied) or "The schema is up to date.")
    return 0


def expire_pending(config: Config, _options: argparse.Namespace) -> int:
    """Fail every lapsed hold."""
    with _parts(config) as parts:
        expired = parts.expiry.expire_all()
    print(f"{expired.holds} holds expired, {expired.seats} seats restored")
    return 0


def audit(config: Config, _options: argparse.Namespace) -> int:
    """Print what each check finds; 1 where one is violated."""
    with _parts(config) as parts:
        results = parts.audit.run_audit()
    for result in results:
        found = len(result.violations)
        print(f"{'FAILED' if found else 'ok':6}  {result.name}" + (f"  {found}" if found else ""))
        for violation in result.violations[:SHOWN_VIOLATIONS]:
            print("        " + ", ".join(f"{name}={value}" for name, value in violation.items()))
    is_healthy = not any(result.violations for result in results)
    print("healthy" if is_healthy else "NOT healthy")
    return 0 if is_healthy else 1


def token(config: Config, options: argparse.Namespace) -> int:
    """Print a token for a user. Raises ConfigurationError without a secret to sign it with."""
    if not config.auth.jwt_secret:
        raise ConfigurationError(["AUTH_JWT_SECRET: not set; tokens are signed with it"])
    now = int(time.time())
    claims = {
        "sub": options.user,
        "role": ADMIN_ROLE if options.admin else USER_ROLE,
        "iat": now,
        "exp": now + options.ttl,
        "iss": config.auth.jwt_issuer,
        "aud": config.auth.jwt_audience,
    }
    told = {name: value for name, value in claims.items() if value is not None}
    print(jwt.encode(told, config.auth.jwt_secret, algorithm="HS256"))
    return 0


def seed_demo(config: Config, _options: argparse.Namespace) -> int:
    """Add slots and bookings to look at, and print them."""
    with _parts(config) as parts:
        for line in demo.seed(parts):
            print(line)
    return 0


def openapi(config: Config, _options: argparse.Namespace) -> int:
    """Print the OpenAPI document. Needs no database."""
    print(write_document(create_app(config)), end="")
    return 0


def psql(config: Config, options: argparse.Namespace) -> int:
    """Run psql on the database, with the arguments given; print its address where there is none."""
    arguments = options.rest[1:] if options.rest[:1] == ["--"] else options.rest
    with _database(config) as reached:
        program = _find_psql()
        if program is None:
            print(reached.database_url or "the database that the PG* variables name")
            return 0
        # psql answers Ctrl-C by itself: it ends a query, not the session.
        with serving.ignoring_interrupts():
            fields = parse_dsn(reached.database_url or "")
            # Every user of the machine can read the arguments of a process.
            if password := fields.pop("password", None):
                os.environ["PGPASSWORD"] = password
            # An older psql does not know it, and passes over a variable that it does not know.
            if method := fields.pop("require_auth", None):
                os.environ["PGREQUIREAUTH"] = method
            command = [program, make_dsn(**fields), *arguments]
            return subprocess.run(command, check=False).returncode  # noqa: S603


def _find_psql() -> str | None:
    try:
        return str(binary("psql"))
    except EmbeddedPostgresUnavailable:
        return shutil.which("psql")


@contextmanager
def _database(config: Config) -> Iterator[Config]:
    """Lend settings that name a database: the configured one, else the embedded one."""
    if config.database_url is not None:
        yield config
        return
    if not EMBEDDED_DIRECTORY.exists():
        print("Making a PostgreSQL in .local/postgres", file=sys.stderr)
    with embedded_postgres(EMBEDDED_DIRECTORY) as url:
        # Child processes, gunicorn's workers among them, find it where any database is named.
        os.environ["DATABASE_URL"] = url
        yield replace(config, database_url=url)


@contextmanager
def _parts(config: Config) -> Iterator[Services]:
    with _database(config) as reached:
        parts = create_services(reached)
        try:
            yield parts
        finally:
            parts.pool.close()
