"""What the documented nginx configuration is set against: nginx with values of another kind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.proxies.clients import Admin, Certificate
from tests.proxies.nginx import nginx
from tests.support.servers import LiveServer

EMOJI = "\N{GRINNING FACE}" * 200


@pytest.fixture
def compressing(server: LiveServer, tls: Certificate, tmp_path: Path) -> Iterator[Admin]:
    with nginx(server, tls, tmp_path, gzip_min_length="1") as admin:
        yield admin


def test_tag_that_nginx_made_weak_is_refused_by_that_name(compressing: Admin) -> None:
    path = compressing.create_slot().headers["Location"]
    read = compressing.send("GET", path)
    assert read.headers["Content-Encoding"] == "gzip"
    tag = read.headers["ETag"]
    assert tag == 'W/"1"'

    refused = compressing.send(
        "PATCH", path, json={"total_capacity": 20}, headers={"If-Match": tag}
    )
    assert refused.status_code == 412
    detail = refused.json()["detail"]
    assert 'The slot has not changed: If-Match names its version by the weak tag W/"1"' in detail
    assert "proxy that compresses" in detail

    strong = f'"{read.json()["data"]["version"]}"'
    changed = compressing.send(
        "PATCH", path, json={"total_capacity": 20}, headers={"If-Match": strong}
    )
    assert changed.status_code == 200


def test_lists_are_compressed_and_single_slots_are_not(
    server: LiveServer, tls: Certificate, tmp_path: Path
) -> None:
    with nginx(server, tls, tmp_path) as admin:
        made = [admin.create_slot(doctor_name=EMOJI, specialization=EMOJI) for _ in range(3)]
        page = admin.send("GET", "/api/slots", params={"doctor_name": EMOJI})
        assert page.headers["Content-Encoding"] == "gzip"
        single = admin.send("GET", made[0].headers["Location"])
        assert "Content-Encoding" not in single.headers


def test_without_the_documented_buffers_a_long_link_is_a_bad_gateway(
    server: LiveServer, tls: Certificate, tmp_path: Path
) -> None:
    """The control of the test of the longest filters."""
    with nginx(server, tls, tmp_path, proxy_buffer_size="4k", proxy_buffers="8 4k") as admin:
        filters = {"doctor_name": EMOJI, "specialization": EMOJI}
        for _ in range(2):
            admin.create_slot(**filters)
        assert admin.send("GET", "/api/slots", params={**filters, "limit": 1}).status_code == 502
