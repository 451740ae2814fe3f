"""The document, as it is served in both modes."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient


@pytest.fixture
def document(client: FlaskClient) -> dict[str, Any]:
    """The document as a client gets it."""
    served: dict[str, Any] = client.get("/openapi.json").get_json()
    return served
