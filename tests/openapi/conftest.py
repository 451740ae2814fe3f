"""The document, as it is served in both modes."""

from __future__ import annotations

import os
from typing import Any

import pytest
from flask.testing import FlaskClient

# As long as all other tests together: scripts/contract-tests runs them, and .ci/run calls it.
collect_ignore = [] if "CONTRACT_TESTS_EXAMPLES" in os.environ else ["test_contract.py"]


@pytest.fixture
def document(client: FlaskClient) -> dict[str, Any]:
    """The document as a client gets it."""
    served: dict[str, Any] = client.get("/openapi.json").get_json()
    return served
