"""A real Chromium, without a window."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
# Chromium's own pages and data: addresses ask nobody.
NETWORK_SCHEMES = {"http", "https", "ws", "wss"}


def require_chromium() -> tuple[str, str]:
    """Return the paths of Chromium and its driver; skip the test where nobody requires them."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if chromium and driver:
        return chromium, driver
    reason = "Chromium and chromedriver are not installed (Debian: chromium, chromium-driver)"
    if os.environ.get("REQUIRE_CHROMIUM"):
        pytest.fail(reason)
    pytest.skip(reason)


@contextmanager
def browser(
    directory: Path, *, width: int, height: int, is_mobile: bool, flags: Sequence[str] = ()
) -> Iterator[Chrome]:
    """Run a browser with a new profile in ``directory`` and a page of this size."""
    chromium, driver = require_chromium()
    options = ChromeOptions()
    options.binary_location = chromium
    for flag in (*FLAGS, *flags, f"--user-data-dir={directory}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    chrome = Chrome(options=options, service=Service(driver))
    try:
        chrome.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": is_mobile},
        )
        yield chrome
    finally:
        chrome.quit()


def console_of(chrome: Chrome) -> list[str]:
    """Return what the page's console and the browser said of it since this was last asked."""
    return [entry["message"] for entry in _log(chrome, "browser")]


def hosts_asked(chrome: Chrome) -> set[str]:
    """Return the hosts that the page has sent requests to since this was last asked."""
    messages: list[Any] = [
        json.loads(entry["message"])["message"] for entry in _log(chrome, "performance")
    ]
    addresses = [
        urlsplit(message["params"]["request"]["url"])
        for message in messages
        if message["method"] == "Network.requestWillBeSent"
    ]
    return {address.netloc for address in addresses if address.scheme in NETWORK_SCHEMES}


def _log(chrome: Chrome, kind: str) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = chrome.get_log(kind)  # type: ignore[no-untyped-call] # selenium's own
    return entries
