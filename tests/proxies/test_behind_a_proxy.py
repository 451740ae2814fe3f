"""Behind the documented proxies, at the root and at a path, on a port that is not 443."""

from __future__ import annotations

import json
from collections.abc import Iterator
from urllib.parse import urljoin, urlsplit

import psutil
import pytest

from booking.controllers.parsing import MAX_BODY_BYTES
from tests.proxies.clients import Admin, Certificate
from tests.proxies.haproxy import haproxy
from tests.proxies.nginx import nginx
from tests.support.factories import UNKNOWN_ID, slot_body, unique
from tests.support.servers import LiveServer

EMOJI = "\N{GRINNING FACE}" * 200
REQUESTS = 10


@pytest.fixture(
    scope="module",
    params=[(nginx, ""), (nginx, "/booking"), (haproxy, ""), (haproxy, "/booking")],
    ids=["nginx", "nginx at a path", "haproxy", "haproxy at a path"],
)
def admin(
    request: pytest.FixtureRequest,
    server: LiveServer,
    tls: Certificate,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Admin]:
    proxy, path = request.param
    with proxy(server, tls, tmp_path_factory.mktemp("proxy"), path) as client:
        yield client


def test_addresses_lead_back(admin: Admin) -> None:
    name = unique("Dr.")
    made = [admin.create_slot(doctor_name=name) for _ in range(2)]
    ids = {slot.json()["data"]["id"] for slot in made}
    path = urlsplit(admin.base_url).path

    assert made[0].headers["Location"].startswith(f"{path}/api/admin/slots/")
    there = admin.send("GET", urljoin(made[0].url, made[0].headers["Location"]))
    assert there.json()["data"] == made[0].json()["data"]

    first = admin.send("GET", "/api/slots", params={"doctor_name": name, "limit": 1})
    link = first.links["next"]["url"]
    assert link.startswith(f"{admin.base_url}/api/slots?")
    pages = [first, admin.send("GET", link)]
    assert {slot["id"] for page in pages for slot in page.json()["data"]} == ids
    assert "Strict-Transport-Security" in first.headers

    absent = admin.send("GET", f"/api/slots/{UNKNOWN_ID}").json()
    assert absent["instance"] == f"{path}/api/slots/{UNKNOWN_ID}"
    [described] = admin.send("GET", "/openapi.json").json()["servers"]
    assert described["url"] == (path or "/")
    for file in ("docs", "docs/swagger-ui-bundle.js"):
        assert admin.send("GET", f"/{file}").status_code == 200


def test_what_a_client_says_of_itself_is_not_believed(admin: Admin) -> None:
    name = unique("Dr.")
    for _ in range(2):
        admin.create_slot(doctor_name=name)
    page = admin.send(
        "GET",
        "/api/slots",
        params={"doctor_name": name, "limit": 1},
        headers={
            "X-Forwarded-For": "203.0.113.9",
            "X-Forwarded-Proto": "http",
            "X-Forwarded-Host": "evil.example",
            "X-Forwarded-Port": "1",
            "X-Forwarded-Prefix": "/evil",
            "Forwarded": "host=evil.example",
        },
    )
    assert page.links["next"]["url"].startswith(f"{admin.base_url}/api/slots?")


def test_longest_filters_page(admin: Admin) -> None:
    """The Link of a list repeats its filters: here 5 KB of them."""
    filters = {"doctor_name": EMOJI, "specialization": EMOJI}
    ids = {admin.create_slot(**filters).json()["data"]["id"] for _ in range(2)}
    first = admin.send("GET", "/api/slots", params={**filters, "limit": 1})
    assert first.status_code == 200
    assert len(first.headers["Link"]) > 5000
    seen, page = {first.json()["data"][0]["id"]}, first
    while "next" in page.links:
        page = admin.send("GET", page.links["next"]["url"])
        seen |= {slot["id"] for slot in page.json()["data"]}
    assert ids <= seen


def test_tag_comes_back_as_it_was(admin: Admin) -> None:
    slot = admin.create_slot(doctor_name=EMOJI, specialization=EMOJI)
    path = f"/api/admin/slots/{slot.json()['data']['id']}"
    tag = admin.send("GET", path, headers={"Accept-Encoding": "gzip"}).headers["ETag"]
    assert tag == slot.headers["ETag"] == '"1"'
    changed = admin.send("PATCH", path, json={"total_capacity": 20}, headers={"If-Match": tag})
    assert (changed.status_code, changed.headers["ETag"]) == (200, '"2"')
    stale = admin.send("PATCH", path, json={"total_capacity": 30}, headers={"If-Match": tag})
    assert (stale.status_code, stale.json()["code"]) == (412, "VERSION_MISMATCH")


@pytest.mark.parametrize("is_chunked", [False, True], ids=["length", "chunks"])
def test_bodies_to_the_limit_and_over_it(admin: Admin, is_chunked: bool) -> None:
    for size, status in ((MAX_BODY_BYTES, 201), (MAX_BODY_BYTES + 1, 413)):
        body = json.dumps(slot_body()).encode().ljust(size)
        answer = admin.send(
            "POST",
            "/api/admin/slots",
            data=iter([body[:1000], body[1000:]]) if is_chunked else body,
            headers={"Content-Type": "application/json"},
        )
        assert answer.status_code == status, answer.text
    assert answer.json()["code"] == "PAYLOAD_TOO_LARGE"


def test_connections_to_the_server_are_kept(admin: Admin, server: LiveServer) -> None:
    before = _connections_to(server)
    for _ in range(REQUESTS):
        assert admin.send("GET", "/health").status_code == 200
    assert _connections_to(server) <= before + 1


def _connections_to(server: LiveServer) -> int:
    """Count the open ones, and those that were closed a moment ago."""
    return sum(
        connection.raddr[1:2] == (server.port,) for connection in psutil.net_connections("tcp")
    )
