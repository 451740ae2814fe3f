"""A real Chromium shows a stranger's page beside a server that asks for no tokens."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from selenium.webdriver import Chrome

from tests.openapi.browser import browser, require_chromium
from tests.support.apps import Api, api_over_http
from tests.support.servers import LiveServer

EVIL = "evil.example"

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def server(new_database: Callable[..., str]) -> Iterator[LiveServer]:
    require_chromium()
    with LiveServer(new_database(), AUTH_MODE="open") as running:
        yield running


@contextmanager
def _website(server: LiveServer) -> Iterator[str]:
    """Serve a page at EVIL, whose name leads to the server as soon as the page sends a POST."""

    class Website(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(200, "text/html", b"<!doctype html><title>A page</title>")

        def do_POST(self) -> None:
            # Rebinding a name in the midst needs a DNS server; what is sent is the same.
            rebound = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
            with closing(rebound):
                rebound.request("POST", self.path, headers=dict(self.headers))
                answer = rebound.getresponse()
                self._answer(answer.status, "application/problem+json", answer.read())

        def _answer(self, status: int, content_type: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Website) as website:
        thread = threading.Thread(target=website.serve_forever)
        thread.start()
        try:
            yield f"http://{EVIL}:{website.server_port}"
        finally:
            website.shutdown()
            thread.join()


@pytest.fixture
def page(server: LiveServer, tmp_path: Path) -> Iterator[Chrome]:
    """A page of EVIL, in a browser."""
    flag = f"--host-resolver-rules=MAP {EVIL} 127.0.0.1"
    with (
        _website(server) as url,
        browser(tmp_path, width=1280, height=900, is_mobile=False, flags=(flag,)) as chrome,
    ):
        chrome.get(url)
        yield chrome


def _post(page: Chrome, url: str, mode: str) -> str:
    """Let the page send a POST without a body, and return what it learns of the answer."""
    told: str = page.execute_async_script(
        "const done = arguments[arguments.length - 1];"
        "fetch(arguments[0], {method: 'POST', mode: arguments[1]})"
        ".then(answer => answer.text()).then(done, error => done(String(error)));",
        url,
        mode,
    )
    return told


def _hold(server: LiveServer) -> tuple[Api, str]:
    api = api_over_http(server.base_url)
    return api, api.make_booking(api.create_slot(), hold=True)


def test_page_of_another_site_changes_nothing(server: LiveServer, page: Chrome) -> None:
    api, booking_id = _hold(server)
    _post(page, f"{server.base_url}/api/bookings/{booking_id}/cancel", "no-cors")
    assert api.get_booking(booking_id).data["status"] == "PENDING"
    # It came, and was refused.
    assert "POST /api/bookings/<booking_id>/cancel 403" in server.log()


def test_page_whose_name_is_rebound_changes_nothing(server: LiveServer, page: Chrome) -> None:
    api, booking_id = _hold(server)
    told = _post(page, f"/api/bookings/{booking_id}/cancel", "same-origin")
    assert api.get_booking(booking_id).data["status"] == "PENDING"
    assert json.loads(told)["code"] == "FORBIDDEN"
