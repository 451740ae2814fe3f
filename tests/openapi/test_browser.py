"""/docs in a real Chromium: it renders, it is usable, and it stays on this server."""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jwt
import pytest
import requests
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support import expected_conditions as until
from selenium.webdriver.support.ui import WebDriverWait

from tests.openapi.browser import browser, console_of, hosts_asked, require_chromium
from tests.openapi.documents import operations_of
from tests.support.factories import in_future, slot_body
from tests.support.servers import LiveServer

SECRET = "the browser tests sign with this key"
WAIT_SECONDS = 30
SIZES = [(1280, 900), (390, 844)]
# Where to put pictures of the page, for people to look at.
PICTURES_VARIABLE = "DOCS_PICTURES"

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def server(new_database: Callable[..., str]) -> Iterator[LiveServer]:
    require_chromium()
    with LiveServer(new_database(), AUTH_MODE="jwt", AUTH_JWT_SECRET=SECRET) as running:
        yield running


@pytest.fixture(params=SIZES, ids=lambda size: str(size[0]))
def page(request: pytest.FixtureRequest, server: LiveServer, tmp_path: Path) -> Iterator[Chrome]:
    width, height = request.param
    with browser(tmp_path, width=width, height=height, is_mobile=width < 600) as chrome:
        chrome.get(f"{server.base_url}/docs")
        _wait(chrome).until(until.presence_of_element_located((By.CSS_SELECTOR, ".opblock")))
        yield chrome
        # Whatever the test did: nothing is logged as an error, and nobody else was asked.
        assert console_of(chrome) == []
        assert hosts_asked(chrome) == {urlsplit(server.base_url).netloc}


def test_it_lists_every_operation(page: Chrome, server: LiveServer) -> None:
    document = requests.get(f"{server.base_url}/openapi.json", timeout=10).json()
    wanted = {
        (method, path, operation["summary"]) for path, method, operation in operations_of(document)
    }
    shown = {
        tuple(
            _text(block, f".opblock-summary-{part}").replace("\u200b", "")
            for part in ("method", "path", "description")
        )
        for block in page.find_elements(By.CSS_SELECTOR, ".opblock")
    }
    assert shown == wanted
    assert page.find_element(By.CSS_SELECTOR, ".info .title").text.startswith("Booking API")
    _picture(page, "top")


def test_it_fits_its_width(page: Chrome) -> None:
    """Nothing makes the page scroll sideways, with an operation of every kind open either."""
    for operation in ("Slots-listBookableSlots", "Bookings-bookSeats", "Bookings-listEvents"):
        _open(page, operation)
        _assert_fits(page)
    _picture(page, "open")


def test_a_request_made_from_it_succeeds(page: Chrome, server: LiveServer) -> None:
    slot_id = _make_slot(server)
    operation = _open(page, "Slots-getSlot")
    _click(page, operation, ".try-out__btn")
    _type(page, operation, "tr[data-param-name=slot_id] input", slot_id)
    _click(page, operation, ".execute")
    assert _status(page, operation) == "200"
    assert slot_id in _text(operation, ".live-responses-table .highlight-code")
    _picture(page, "tried")


def test_a_token_is_used(page: Chrome, server: LiveServer) -> None:
    """Book as a user who is known by the token alone."""
    user, slot_id = f"user-{uuid.uuid4().hex[:8]}", _make_slot(server)
    _click(page, page, ".auth-wrapper .authorize")
    _type(page, page, ".modal-ux input", _token(user))
    _picture(page, "authorize")
    _click(page, page, ".modal-ux .authorize")
    _click(page, page, ".modal-ux .btn-done")
    operation = _open(page, "Bookings-bookSeats")
    _click(page, operation, ".try-out__btn")
    body = operation.find_element(By.CSS_SELECTOR, "textarea.body-param__text")
    # Not by keys: the editor of the page reads changes, not the selection.
    page.execute_script(
        "const set = Object.getOwnPropertyDescriptor(HTMLTextAreaElement.prototype, 'value').set;"
        "set.call(arguments[0], arguments[1]);"
        "arguments[0].dispatchEvent(new Event('input', {bubbles: true}));",
        body,
        json.dumps({"slot_id": slot_id, "num_seats": 2}),
    )
    # A page that is wider than its window moves beneath the click.
    _assert_fits(page)
    _click(page, operation, ".execute")
    assert _status(page, operation) == "201"
    assert user in _text(operation, ".live-responses-table .highlight-code")
    held = requests.get(
        f"{server.base_url}/api/bookings",
        headers={"Authorization": f"Bearer {_token(user)}"},
        timeout=10,
    ).json()["data"]
    assert [(booking["slot_id"], booking["num_seats"]) for booking in held] == [(slot_id, 2)]


def _wait(chrome: Chrome) -> WebDriverWait[Chrome]:
    return WebDriverWait(chrome, WAIT_SECONDS)


def _assert_fits(chrome: Chrome) -> None:
    width = chrome.execute_script("return screen.width < 600 ? 390 : window.innerWidth")
    assert chrome.execute_script("return document.documentElement.scrollWidth") <= width


def _text(within: Any, selector: str) -> str:
    text: str = within.find_element(By.CSS_SELECTOR, selector).get_attribute("textContent")
    return text.strip()


def _click(chrome: Chrome, within: Any, selector: str) -> None:
    element = _wait(chrome).until(lambda _: within.find_element(By.CSS_SELECTOR, selector))
    chrome.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
    element.click()


def _type(chrome: Chrome, within: Any, selector: str, text: str) -> None:
    _click(chrome, within, selector)
    within.find_element(By.CSS_SELECTOR, selector).send_keys(text)


def _open(chrome: Chrome, name: str) -> WebElement:
    operation = chrome.find_element(By.ID, f"operations-{name}")
    _click(chrome, operation, ".opblock-summary-control")
    _wait(chrome).until(lambda _: operation.find_elements(By.CSS_SELECTOR, ".opblock-body"))
    return operation


def _status(chrome: Chrome, operation: WebElement) -> str:
    selector = ".live-responses-table tbody .response-col_status"
    _wait(chrome).until(lambda _: operation.find_elements(By.CSS_SELECTOR, selector))
    return operation.find_element(By.CSS_SELECTOR, selector).text.split()[0]


def _token(user: str, role: str = "user") -> str:
    claims = {"sub": user, "role": role, "exp": time.time() + 3600}
    return jwt.encode(claims, SECRET, algorithm="HS256")


def _make_slot(server: LiveServer) -> str:
    answer = requests.post(
        f"{server.base_url}/api/admin/slots",
        json=slot_body(start_time=in_future(days=30)),
        headers={"Authorization": f"Bearer {_token('root', 'admin')}"},
        timeout=10,
    )
    slot_id: str = answer.json()["data"]["id"]
    return slot_id


def _picture(chrome: Chrome, name: str) -> None:
    directory = os.environ.get(PICTURES_VARIABLE)
    if directory:
        width = chrome.execute_script("return window.innerWidth")
        chrome.save_screenshot(str(Path(directory) / f"{name}-{width}.png"))
