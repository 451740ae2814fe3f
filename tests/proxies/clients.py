"""An admin's client of a server behind a proxy."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
import requests

from tests.support.factories import slot_body

SECRET = "the tests of proxies sign with this key"
TIMEOUT_SECONDS = 30


@dataclass(frozen=True)
class Certificate:
    """A certificate for loopback that is its own authority, and its key."""

    certificate: Path
    key: Path
    both: Path


class Admin:
    """Calls an API at ``base_url`` over TLS by a certificate of the test's own."""

    def __init__(self, base_url: str, certificate: Path) -> None:
        self.base_url = base_url
        self._certificate = str(certificate)
        self._session = requests.Session()
        claims = {"sub": "admin", "role": "admin", "exp": time.time() + 3600}
        token = jwt.encode(claims, SECRET, algorithm="HS256")
        self._session.headers["Authorization"] = f"Bearer {token}"

    def send(self, method: str, address: str, **parts: Any) -> requests.Response:
        """Send a request to a path of the API, or to a whole address."""
        url = address if address.startswith("https:") else self.base_url + address
        # Not the session's, before which the environment's goes.
        return self._session.request(
            method, url, verify=self._certificate, timeout=TIMEOUT_SECONDS, **parts
        )

    def create_slot(self, **fields: Any) -> requests.Response:
        response = self.send("POST", "/api/admin/slots", json=slot_body(**fields))
        assert response.status_code == 201, response.text
        return response
