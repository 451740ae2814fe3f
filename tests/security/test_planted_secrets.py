"""Secrets are planted, every kind of error is provoked, and all that comes out is searched."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from psycopg2.extensions import make_dsn, parse_dsn

from booking.config import Config
from booking.errors import ConfigurationError
from tests.security.callers import bearer, token
from tests.security.conftest import SETTINGS
from tests.security.wire import exchange, request_bytes
from tests.support.factories import UNKNOWN_ID, slot_body, unique
from tests.support.servers import ROOT, LiveServer, free_port
from tests.support.snapshots import query

SECRET = f"planted-signing-key-{uuid.uuid4().hex}"
PASSWORD = f"planted-password-{uuid.uuid4().hex}"

# What would tell a client how the inside looks.
INSIDE = re.compile(
    rb"Traceback|File \"|\.py\b|psycopg|\b(SELECT|INSERT INTO|UPDATE|DELETE FROM|FROM|WHERE)\s|"
    rb"relation \"|constraint \"|LINE \d|sqlstate|pg_|werkzeug|[Ff]lask"
)


@pytest.fixture
def planted_database(new_database: Callable[..., str]) -> Iterator[str]:
    """A database of its own, reached by a role with a password that can be searched for."""
    url = new_database()
    role = unique("planted").replace("-", "_")
    query(url, f"CREATE ROLE {role} LOGIN SUPERUSER PASSWORD '{PASSWORD}'")
    yield make_dsn(url, user=role, password=PASSWORD)
    query(url, f"DROP ROLE {role}")


class Searched:
    """Requests to a server; what was sent as a token and what came back are kept."""

    def __init__(self, server: LiveServer) -> None:
        self._server = server
        self._told: list[bytes] = []
        self.tokens: list[str] = []
        # Sent where no token belongs: an answer may repeat a path or a field's name, no log may.
        self.misplaced = token("misplaced", secret=SECRET)

    def token(self, user: str, **claims: Any) -> str:
        made = token(user, **{"secret": SECRET, **claims})
        self.tokens.append(made)
        return made

    def send(self, method: str, path: str, **options: Any) -> requests.Response:
        response = requests.request(method, self._server.base_url + path, timeout=20, **options)
        self._keep(str(response.headers).encode() + b"\n" + response.content)
        return response

    def send_raw(self, request: bytes) -> None:
        self._keep(exchange(self._server.port, request).received)

    def _keep(self, told: bytes) -> None:
        assert not INSIDE.search(told), told
        self._told.append(told)

    def search(self) -> None:
        """Check that no secret, no password and no token came out, by answer or log."""
        answers, log = b"\n".join(self._told).decode(), self._server.log()
        assert answers
        assert "a defect of ours" in log
        for secret in (SECRET, PASSWORD):
            # Nor its end, where something cut it off.
            assert secret[-16:] not in answers + log
        for sent in self.tokens:
            # Of a token the signature is the secret part; the rest says whose it is.
            _is_not_in(sent.rpartition(".")[2], answers)
            for part in sent.split("."):
                _is_not_in(part, log)
        _is_not_in(self.misplaced.rpartition(".")[2], log)
        for reason in ("signature", "expired", "role", "no bearer token", "malformed"):
            assert f"token refused: {reason}" in log
        for claim in ("emperor", "mallory"):
            assert claim not in log


def _is_not_in(secret: str, told: str) -> None:
    found = [line for line in told.splitlines() if secret in line]
    assert not found, found[0][:500]


def _statuses(searched: Searched) -> set[int]:
    """Provoke every refusal there is from outside; return the statuses that were seen."""
    user, admin = searched.token("alice"), searched.token("root", role="admin")
    lost = searched.misplaced
    bad = [
        searched.token("mallory", secret="x" * 40),
        searched.token("alice", seconds=-3600),
        searched.token("alice", role="emperor"),
        searched.token("ali\nce"),
    ]
    seen = [
        searched.send("GET", "/api/bookings", headers=headers).status_code
        for headers in (
            *map(bearer, bad),
            {"Authorization": bad[0]},
            {"Authorization": f"Basic {bad[0]}"},
            {"Authorization": f"Bearer {user} {user}"},
            {"Authorization": f"Bearer {user}.x"},
            {"X-Request-ID": lost},
            {},
        )
    ]
    seen += [
        searched.send(
            "GET", f"/api/bookings?access_token={lost}", headers=bearer(user)
        ).status_code,
        searched.send("GET", f"/{lost}").status_code,
        searched.send("GET", f"/api/slots/{lost}").status_code,
        searched.send("GET", f"/api/slots?{lost}=1&cursor={lost}").status_code,
        searched.send("PUT", "/api/slots").status_code,
        searched.send("GET", "/api/admin/audit", headers=bearer(user)).status_code,
        searched.send("GET", "/api/admin/audit", headers=bearer(admin)).status_code,
        searched.send("GET", "/openapi.json").status_code,
        searched.send("GET", "/ready").status_code,
    ]
    slot = searched.send("POST", "/api/admin/slots", json=slot_body(), headers=bearer(admin)).json()
    requests_sent: list[dict[str, Any]] = [
        {"json": {"slot_id": slot["data"]["id"], "num_seats": 1}},
        {"json": {"slot_id": slot["data"]["id"], "num_seats": 11}},
        {"json": {"slot_id": UNKNOWN_ID, "num_seats": 1}},
        {"json": {"slot_id": lost, "num_seats": lost, "user_id": "alice", lost: lost}},
        {"json": {"user_id": lost}},
        {"data": f'{{"{lost}'},
        {"data": lost, "headers": {"Content-Type": lost[:100]}},
        {"data": b" " * 70_000, "headers": {"Content-Type": "application/json"}},
        {"json": {}, "headers": {"Idempotency-Key": f"{lost} {lost}"}},
    ]
    for options in requests_sent:
        headers = {"Content-Type": "application/json", **options.pop("headers", {}), **bearer(user)}
        seen.append(searched.send("POST", "/api/bookings", headers=headers, **options).status_code)
    return set(seen)


def _provoke_the_parser(searched: Searched) -> None:
    """Send what gunicorn refuses before the application sees it, a token somewhere in each."""
    sent = searched.token("alice")
    for request in (
        request_bytes("GET", "/api/bookings", f"Authorization Bearer {sent}"),
        request_bytes("GET", "/api/bookings", f"Authorization : Bearer {sent}"),
        request_bytes("GET", "/api/bookings", f"Authorization: Bearer {sent}\x00"),
        request_bytes("GET", "/api/bookings", f"Authorization: Bearer {sent}", f" {sent}"),
        request_bytes("GET", "/api/bookings", f"Authorization: Bearer {sent}{'x' * 8200}"),
        request_bytes("GET", "/api/bookings", f"Authorization: Bearer {sent}\rX: y"),
        f"Authorization: Bearer {sent}\r\n\r\n".encode(),
        f"GET /api/bookings HTTP/1.1 {sent}\r\n\r\n".encode(),
        f"GET /api/bookings?access_token={sent} HTTP/9\r\n\r\n".encode(),
        f"{sent[:60]} / HTTP/1.1\r\n\r\n".encode(),
    ):
        searched.send_raw(request)


@contextmanager
def _broken(url: str, *, begin: str, end: str) -> Iterator[None]:
    query(url, begin)
    try:
        yield
    finally:
        query(url, end)


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_no_secret_comes_out_of_a_server(
    planted_database: str, server_url: str, log_format: str
) -> None:
    keeper = make_dsn(server_url, dbname=parse_dsn(planted_database)["dbname"])
    with LiveServer(
        planted_database,
        AUTH_MODE="jwt",
        AUTH_JWT_SECRET=SECRET,
        EXPIRY_INTERVAL_SECONDS="1",
        **SETTINGS[log_format],
        LOG_LEVEL="debug" if log_format == "text" else "info",
    ) as server:
        searched = Searched(server)
        assert _statuses(searched) >= {200, 201, 400, 401, 403, 404, 405, 409, 413, 415, 422}
        _provoke_the_parser(searched)
        admin = bearer(searched.token("root", role="admin"))
        # A defect: a statement fails by what the database cannot do.
        with _broken(
            keeper,
            begin="ALTER TABLE booking_events RENAME TO gone; CREATE VIEW booking_events AS SELECT "
            "id, booking_id, slot_id, type, from_status, to_status, seats / 0 AS seats, "
            "slot_version, at FROM gone",
            end="DROP VIEW booking_events; ALTER TABLE gone RENAME TO booking_events",
        ):
            _expect_failures(searched, admin, 500)
        # The database lets nobody in.
        role = parse_dsn(planted_database)["user"]
        with _broken(
            keeper,
            begin=f"ALTER ROLE {role} NOLOGIN PASSWORD 'another'",
            end=f"ALTER ROLE {role} LOGIN PASSWORD '{PASSWORD}'",
        ):
            query(
                keeper,
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s",
                role,
            )
            _expect_failures(searched, admin, 503)
        searched.search()


def _expect_failures(searched: Searched, admin: dict[str, str], status: int) -> None:
    slot = searched.send("GET", "/api/slots?limit=1")
    assert slot.status_code in {200, status}
    response = searched.send("GET", "/api/admin/audit", headers=admin)
    assert response.status_code == status
    assert response.headers["Content-Type"] == "application/problem+json"


def _private_key() -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


PRIVATE_KEY = _private_key()
GOOD = {
    "APP_ENV": "production",
    "AUTH_JWT_SECRET": SECRET,
    "DATABASE_URL": f"postgresql://planted:{PASSWORD}@127.0.0.1:{free_port()}/booking",
}
BAD_STARTS: dict[str, dict[str, str]] = {
    "short secret": {"AUTH_JWT_SECRET": PASSWORD[:31]},
    "two keys": {"AUTH_JWT_PUBLIC_KEY": PASSWORD},
    "a private key for the public one": {
        "AUTH_JWT_SECRET": "",
        "AUTH_JWT_PUBLIC_KEY": PRIVATE_KEY,
    },
    "a key that is none": {"AUTH_JWT_SECRET": "", "AUTH_JWT_PUBLIC_KEY": PASSWORD},
    "open in production": {"AUTH_MODE": "open", "HOST": "127.0.0.1"},
    "a database URL that is none": {"DATABASE_URL": f"postgresql://planted:{PASSWORD}@[::1/x"},
    "a database URL of words": {"DATABASE_URL": f"{PASSWORD} is the password"},
    "an option that libpq does not know": {"DATABASE_URL": f"postgresql://h/d?pw={PASSWORD}"},
    "a port that is none": {"PORT": "many"},
    "a database port that is none": {"PGPORT": PASSWORD},
}


def _is_told_without_values(told: str, names: set[str]) -> None:
    assert told.strip()
    assert {line.partition(":")[0] for line in told.splitlines()} <= names, told
    for secret in (PASSWORD, PASSWORD[:31], SECRET, PRIVATE_KEY.splitlines()[1]):
        assert secret not in told


@pytest.mark.parametrize("settings", BAD_STARTS.values(), ids=BAD_STARTS)
def test_a_bad_setting_is_named_and_its_value_is_not(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, str]
) -> None:
    for name, value in {**GOOD, **settings}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as refusal:
        Config.from_environment()
    _is_told_without_values(str(refusal.value), {*settings, "AUTH_JWT_SECRET"})


@pytest.mark.parametrize("command", [["-m", "gunicorn", "wsgi:app"], ["-m", "booking", "serve"]])
def test_a_bad_start_is_told_in_lines_and_no_trace(command: list[str]) -> None:
    settings = {
        "AUTH_MODE": "open",
        "AUTH_JWT_SECRET": PASSWORD[:31],
        "AUTH_JWT_PUBLIC_KEY": PRIVATE_KEY,
        "DATABASE_URL": f"{PASSWORD} is the password",
        "PORT": "many",
        "PGPORT": PASSWORD,
    }
    done = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env={**os.environ, **GOOD, **settings},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1
    _is_told_without_values(done.stdout + done.stderr, {*settings, "HOST"})


@pytest.mark.parametrize("command", ["serve", "audit"])
def test_a_database_that_is_away_is_told_without_its_password(command: str) -> None:
    environment = {**os.environ, **GOOD, "HOST": "127.0.0.1", "PORT": str(free_port())}
    process = subprocess.Popen(
        [sys.executable, "-m", "booking", command],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if command == "serve":
        assert process.stdout is not None
        first = process.stdout.readline()
        process.terminate()
        told = first + process.communicate(timeout=40)[0]
    else:
        told = process.communicate(timeout=40)[0]
        assert process.returncode == 1
    assert "database" in told
    assert PASSWORD not in told
    assert SECRET not in told
