"""The request id: echoed where it is fit, else made; on every answer and every log line."""

from __future__ import annotations

import json
import re
import string
import uuid
from collections.abc import Callable

import pytest
from flask.testing import FlaskClient

from tests.controllers.answers import problem_of
from tests.controllers.conftest import Log
from tests.support.factories import slot_body


@pytest.mark.parametrize(
    "sent",
    [
        "a",
        "x" * 128,
        string.ascii_letters + string.digits + "._-",
        str(uuid.uuid4()).upper(),
        "...",
    ],
    ids=["one", "longest", "alphabet", "uuid", "dots"],
)
def test_fit_id_is_echoed(offline: FlaskClient, sent: str) -> None:
    headers = {"X-Request-ID": sent}
    assert offline.get("/health", headers=headers).headers["X-Request-ID"] == sent
    problem = problem_of(offline.get("/nowhere", headers=headers), 404, "NOT_FOUND")
    assert problem["request_id"] == sent


@pytest.mark.parametrize(
    "sent",
    ["", "x" * 129, "a b", "a/b", "a,b", "a\tb", "caf\xe9", "a;b", "<a>", '"a"', "a:b", "\u0661"],
)
def test_unfit_id_is_replaced(offline: FlaskClient, sent: str) -> None:
    # A header is latin-1 on its way through WSGI.
    wire = sent.encode("utf-8").decode("latin-1")
    made = offline.get("/health", headers={"X-Request-ID": wire}).headers["X-Request-ID"]
    assert made != wire
    assert re.fullmatch("[0-9a-f]{32}", made)


def test_ids_that_are_made_differ(offline: FlaskClient) -> None:
    made = {offline.get("/health").headers["X-Request-ID"] for _ in range(5)}
    assert len(made) == 5


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/health"),
        ("GET", "/api/slots"),
        ("HEAD", "/api/slots"),
        ("OPTIONS", "/api/slots"),
        ("GET", "/nowhere"),
        ("DELETE", "/health"),
        ("POST", "/api/bookings"),
    ],
)
def test_every_answer_bears_it(client: FlaskClient, method: str, path: str) -> None:
    response = client.open(path, method=method, headers={"X-Request-ID": "on-every-answer"})
    assert response.headers.getlist("X-Request-ID") == ["on-every-answer"]


@pytest.mark.parametrize("path", ["/health", "/api/slots", "/nowhere", "/api/slots/x"])
def test_log_lines_of_the_request_bear_it(
    client: FlaskClient, capture_log: Callable[[str], Log], path: str
) -> None:
    log = capture_log("json")
    client.get(path, headers={"X-Request-ID": "in-the-log"})
    client.get(path, headers={"X-Request-ID": "the-next"})
    lines = [json.loads(line) for line in log.lines]
    assert [line["request_id"] for line in lines] == ["in-the-log", "the-next"]
    assert all(line["status"] and line["milliseconds"] >= 0 for line in lines)


def test_log_names_the_route_and_not_what_was_sent(
    client: FlaskClient, capture_log: Callable[[str], Log]
) -> None:
    log = capture_log("text")
    client.post("/api/admin/slots", json=slot_body(doctor_name="Dr. Planted"))
    client.get("/api/slots?doctor_name=Planted", headers={"Authorization": "Bearer planted"})
    client.get("/nowhere/planted")
    assert len(log.lines) == 3
    assert "POST /api/admin/slots 201" in log.lines[0]
    assert "planted" not in log.text.lower()


# Every character that some reader of logs takes for the end of a line.
LINE_ENDS = ["\n", "\r", "\r\n", "\v", "\f", "\x1c", "\x85", "\u2028", "\u2029"]


@pytest.mark.parametrize("end", LINE_ENDS)
@pytest.mark.parametrize("log_format", ["text", "json"])
def test_nothing_that_was_sent_begins_a_log_line(
    client: FlaskClient, capture_log: Callable[[str], Log], log_format: str, end: str
) -> None:
    log = capture_log(log_format)
    forged = f"x{end}FORGED INFO booking.access [-] GET /admin 200"
    client.post("/api/admin/slots", json=slot_body(doctor_name=forged, specialization=forged))
    client.get("/api/slots", query_string={"doctor_name": forged})
    client.get("/api/slots", query_string={forged: "1"})
    client.get("/" + forged.replace("/", "_"))
    client.post("/api/bookings", json={"user_id": forged})
    assert len(log.lines) == 5
    assert not [line for line in log.lines if line.startswith("FORGED")]
