"""Every error has the problem shape, the framework's and our own defects included."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from psycopg2.extensions import connection as PgConnection  # noqa: N812

from booking.app import create_app
from booking.middleware.authentication import Access, allow
from tests.controllers.answers import data_of, problem_of
from tests.controllers.conftest import Log, Maker
from tests.support.factories import UNKNOWN_ID, booking_body, make_config
from tests.support.snapshots import query

Clients = Callable[..., FlaskClient]


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/api",
        "/api/slot",
        "/api/slots/",
        "/api//slots",
        "/API/slots",
        "/api/slots/a/b",
        "/api/bookings/x/refund",
        "/health/",
        "/%2e%2e/etc/passwd",
        "/%00",
        "/%ff%fe",
        "/caf%C3%A9/%0d%0aX:1",
        "/" + "a" * 4000,
    ],
)
def test_unknown_route(offline: FlaskClient, path: str) -> None:
    for method in ("GET", "POST"):
        problem_of(offline.open(path, method=method), 404, "NOT_FOUND")


@pytest.mark.parametrize("path", ["/health", "/api/slots", "/api/bookings", "/api/admin/bookings"])
@pytest.mark.parametrize("query", ["user_id=%ff", "user_id=x&%C3=1", "q=%ed%a0%80", "q=%c0%af"])
def test_query_that_is_not_utf_8_is_malformed(offline: FlaskClient, path: str, query: str) -> None:
    told = problem_of(offline.get(f"{path}?{query}"), 400, "MALFORMED_REQUEST")
    assert told["detail"] == "The query must be UTF-8, percent-encoded."


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/health", {"GET", "HEAD", "OPTIONS"}),
        ("DELETE", "/api/slots", {"GET", "HEAD", "OPTIONS"}),
        ("PUT", f"/api/admin/slots/{UNKNOWN_ID}", {"GET", "HEAD", "PATCH", "DELETE", "OPTIONS"}),
        ("DELETE", f"/api/bookings/{UNKNOWN_ID}", {"GET", "HEAD", "OPTIONS"}),
        ("GET", f"/api/bookings/{UNKNOWN_ID}/confirm", {"POST", "OPTIONS"}),
        ("GET", "/api/admin/expire-pending", {"POST", "OPTIONS"}),
        ("PATCH", "/api/bookings", {"GET", "HEAD", "POST", "OPTIONS"}),
        ("TRACE", "/api/slots", {"GET", "HEAD", "OPTIONS"}),
        ("BREW", "/api/slots", {"GET", "HEAD", "OPTIONS"}),
    ],
)
def test_wrong_method_says_which_are_right(
    offline: FlaskClient, method: str, path: str, allowed: set[str]
) -> None:
    response = offline.open(path, method=method)
    problem_of(response, 405, "METHOD_NOT_ALLOWED")
    assert set(response.headers["Allow"].split(", ")) == allowed


def test_answer_to_head_has_no_body(client: FlaskClient, new_slot: Maker) -> None:
    slot = new_slot()
    response = client.head(f"/api/slots/{slot['id']}")
    assert (response.status_code, response.data) == (200, b"")
    assert response.headers["ETag"] == '"1"'
    assert client.head(f"/api/slots/{UNKNOWN_ID}").status_code == 404


class Planted(Exception):
    pass


@pytest.fixture
def defective(database_url: str) -> Flask:
    """The application with views that fail in ways of their own."""
    app = create_app(make_config(database_url=database_url))
    pool = app.extensions["booking"].pool

    @allow(Access.ALL)
    def fail() -> None:
        raise Planted("secret-of-the-cause")

    @allow(Access.ALL)
    def fail_in_sql() -> None:
        with pool.connection() as conn, conn.cursor() as cursor:
            cursor.execute("SELECT 'secret-of-the-cause'::integer")

    @allow(Access.ALL)
    def answer_nothing() -> None:
        return None

    views: dict[str, Any] = {
        "/fail": fail,
        "/fail-in-sql": fail_in_sql,
        "/answer-nothing": answer_nothing,
    }
    for path, view in views.items():
        app.add_url_rule(path, path, view)
    return app


@pytest.mark.parametrize("path", ["/fail", "/fail-in-sql", "/answer-nothing"])
@pytest.mark.parametrize("log_format", ["text", "json"])
def test_defect_is_told_to_the_log_and_not_to_the_client(
    defective: Flask, capture_log: Callable[[str], Log], path: str, log_format: str
) -> None:
    log = capture_log(log_format)
    response = defective.test_client().get(path, headers={"X-Request-ID": "defect-1"})
    defective.extensions["booking"].pool.close()
    problem_of(response, 500, "INTERNAL_ERROR")
    told = response.get_data(as_text=True) + str(response.headers)
    for cause in ("secret-of-the-cause", "Planted", "Traceback", ".py", "psycopg2", "integer"):
        assert cause not in told
    assert "Traceback" in log.text
    if path != "/answer-nothing":
        assert "secret-of-the-cause" in log.text
    assert "defect-1" in log.text


def test_failing_views_leak_no_connection(defective: Flask) -> None:
    client = defective.test_client()
    for _ in range(20):
        problem_of(client.get("/fail-in-sql"), 500, "INTERNAL_ERROR")
    data_of(client.get("/ready"))
    defective.extensions["booking"].pool.close()


def test_more_requests_than_are_admitted_are_turned_away(database_url: str) -> None:
    app = create_app(make_config(database_url=database_url, web_threads=1))
    entered, leave = threading.Event(), threading.Event()

    @allow(Access.ALL)
    def wait() -> str:
        entered.set()
        leave.wait(10)
        return "waited"

    app.add_url_rule("/wait", "wait", wait)
    answers: list[Any] = []
    waiting = threading.Thread(target=lambda: answers.append(app.test_client().get("/wait")))
    waiting.start()
    try:
        assert entered.wait(10)
        problem_of(app.test_client().get("/api/slots"), 503, "OVERLOADED")
        data_of(app.test_client().get("/health"))
        data_of(app.test_client().get("/ready"))
    finally:
        leave.set()
        waiting.join()
    assert [answer.data for answer in answers] == [b"waited"]
    assert app.test_client().get("/api/slots").status_code == 200
    app.extensions["booking"].pool.close()


def test_empty_pool_is_an_overload(make_client: Clients) -> None:
    client = make_client(db_pool_size=1, db_pool_timeout_seconds=0.05)
    with client.application.extensions["booking"].pool.connection():
        problem_of(client.get("/api/slots"), 503, "OVERLOADED")
    assert client.get("/api/slots").status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/api/bookings", {"num_seats": 1}),
        ("PATCH", "/api/admin/slots/{slot_id}", {"doctor_name": "Dr. Busy"}),
        ("DELETE", "/api/admin/slots/{slot_id}", None),
    ],
)
def test_locked_slot_is_busy(
    make_client: Clients,
    new_slot: Maker,
    conn: PgConnection,
    method: str,
    path: str,
    body: dict[str, Any] | None,
) -> None:
    client = make_client(db_lock_timeout_ms=100)
    slot = new_slot()
    conn.autocommit = False
    with conn.cursor() as cursor:
        cursor.execute("SELECT id FROM slots WHERE id = %s FOR UPDATE", (slot["id"],))
        if method == "POST":
            body = booking_body(slot["id"])
        response = client.open(path.format(slot_id=slot["id"]), method=method, json=body)
        problem_of(response, 503, "BUSY")
    conn.rollback()
    assert data_of(client.get(f"/api/slots/{slot['id']}")) == slot


def test_slow_statement_is_busy(make_client: Clients, conn: PgConnection) -> None:
    client = make_client(db_statement_timeout_ms=100)
    conn.autocommit = False
    with conn.cursor() as cursor:
        cursor.execute("LOCK TABLE slots IN ACCESS EXCLUSIVE MODE")
        problem_of(client.get("/api/slots"), 503, "BUSY")
    conn.rollback()


def test_connection_lost_while_committing_leaves_the_outcome_unknown(
    new_database: Callable[..., str], make_client: Clients, new_slot: Maker
) -> None:
    url = new_database()
    client = make_client(database_url=url)
    query(
        url,
        "CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS "
        "$$BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END$$",
    )
    query(
        url,
        "CREATE CONSTRAINT TRIGGER dying AFTER INSERT ON bookings DEFERRABLE INITIALLY DEFERRED "
        "FOR EACH ROW EXECUTE FUNCTION die()",
    )
    body = {"doctor_name": "Dr. U", "start_time": "2999-01-01T00:00:00Z", "total_capacity": 1}
    slot = data_of(client.post("/api/admin/slots", json=body), 201)
    response = client.post("/api/bookings", json=booking_body(slot["id"]))
    problem_of(response, 503, "OUTCOME_UNKNOWN")


def test_instance_is_the_path_that_was_called(offline: FlaskClient) -> None:
    problem = problem_of(offline.get("/no%20such%22thing?secret=1"), 404, "NOT_FOUND")
    assert problem["instance"] == "/no%20such%22thing"


def test_every_answer_bears_the_security_headers(client: FlaskClient) -> None:
    for path in ("/health", "/api/slots", "/nowhere"):
        headers = client.get(path).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"
