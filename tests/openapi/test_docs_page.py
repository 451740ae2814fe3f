"""/docs and what it loads: from this server alone, under a policy of its own."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest
from flask.testing import FlaskClient

STATIC = Path(__file__).resolve().parents[2] / "booking" / "static"
VENDORED = STATIC / "swagger-ui"
ADDRESSES = (
    "/openapi.json",
    "/docs",
    "/docs/docs.css",
    "/docs/docs.js",
    "/docs/swagger-ui.css",
    "/docs/swagger-ui-bundle.js",
)
MAX_FILE_BYTES = 1_600_000


def test_the_page_names_files_of_this_server_alone(client: FlaskClient) -> None:
    page = client.get("/docs").get_data(as_text=True)
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert {f"/{name}" for name in loaded if name != "data:,"} < set(ADDRESSES)
    for name in loaded:
        assert name == "data:," or client.get(f"/{name}").status_code == 200, name
    assert not re.search(r"<script(?![^>]* src=)|<style|\sstyle=|\son[a-z]+=", page)


def test_the_page_has_its_own_policy(client: FlaskClient) -> None:
    policy = client.get("/docs").headers["Content-Security-Policy"]
    directives = dict(part.split(" ", 1) for part in policy.split("; "))
    assert directives == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' data:",
        "connect-src": "'self'",
        "frame-ancestors": "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    elsewhere = client.get("/health").headers["Content-Security-Policy"]
    assert elsewhere == "default-src 'none'; frame-ancestors 'none'"


@pytest.mark.parametrize("address", ADDRESSES)
def test_it_is_kept_and_revalidated(client: FlaskClient, address: str) -> None:
    first = client.get(address)
    assert first.status_code == 200
    assert first.headers["Cache-Control"] == "public, no-cache"
    assert first.headers["X-Content-Type-Options"] == "nosniff"
    again = client.get(address, headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.get_data()) == (304, b"")
    assert again.headers["ETag"] == first.headers["ETag"]
    assert client.get(address, headers={"If-None-Match": '"other"'}).status_code == 200
    assert client.get(f"{address}?version=1").status_code == 422


@pytest.mark.parametrize(
    ("address", "media_type"),
    [
        ("/openapi.json", "application/json"),
        ("/docs", "text/html; charset=utf-8"),
        ("/docs/docs.css", "text/css; charset=utf-8"),
        ("/docs/swagger-ui-bundle.js", "text/javascript; charset=utf-8"),
    ],
)
def test_each_file_says_what_it_is(client: FlaskClient, address: str, media_type: str) -> None:
    assert client.get(address).headers["Content-Type"] == media_type


@pytest.mark.parametrize(
    "path",
    ["/docs/", "/docs/README.md", "/docs/../app.py", "/docs/%2e%2e/app.py", "/docs/docs.html"],
)
def test_no_other_file_is_served(client: FlaskClient, path: str) -> None:
    assert client.get(path).status_code == 404


def test_swagger_ui_is_as_it_was_published() -> None:
    lines = (VENDORED / "SHA256SUMS").read_text().splitlines()
    sums = {name: digest for digest, name in (line.split() for line in lines)}
    files = {path.name for path in VENDORED.iterdir()} - {"SHA256SUMS", "README.md"}
    assert files == set(sums)
    for name, wanted in sums.items():
        content = (VENDORED / name).read_bytes()
        assert hashlib.sha256(content).hexdigest() == wanted, name
        assert len(content) < MAX_FILE_BYTES
    assert "Apache License" in (VENDORED / "LICENSE").read_text()
