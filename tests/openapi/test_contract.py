"""schemathesis finds nothing: every answer is one that the document promises, in both modes.

``scripts/contract-tests`` runs these alone and longer.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import jwt
import pytest
import requests

from tests.openapi.contract import Run, run_schemathesis
from tests.openapi.documents import operations_of
from tests.support.servers import LiveServer

SECRET = "the contract tests sign with this key"
# As .ci/run asks for, which keeps both modes within two minutes on two cores.
USUAL_EXAMPLES = 10
EXAMPLES = int(os.environ["CONTRACT_TESTS_EXAMPLES"])
LEAST_REQUESTS = int(os.environ["CONTRACT_TESTS_LEAST_REQUESTS"])
TIMEOUT_SECONDS = 300 + 60 * EXAMPLES

pytestmark = pytest.mark.timeout(TIMEOUT_SECONDS)


def as_open_mode(document: dict[str, Any]) -> dict[str, Any]:
    """Return what the document says in its introduction of AUTH_MODE=open: no tokens are asked for,
    and ``user_id`` is required.
    """
    changed = deepcopy(document)
    for _, _, operation in operations_of(changed):
        operation["security"] = []
    changed["components"]["schemas"]["BookingCreate"]["required"].append("user_id")
    for parameter in changed["paths"]["/api/bookings"]["get"]["parameters"]:
        if parameter.get("name") == "user_id":
            parameter["required"] = True
    return changed


def check(run: Run, document: dict[str, Any]) -> None:
    assert run.code == 0, run.output
    assert not [request for request in run.requests if request[2] >= 500], run.output
    assert sum(run.requests.values()) >= LEAST_REQUESTS, run.output
    if EXAMPLES < USUAL_EXAMPLES:
        return  # too few for every operation to be done once
    for _, method, operation in operations_of(document):
        assert run.has_succeeded(operation["operationId"], method), operation["operationId"]


def test_open_mode(new_database: Callable[..., str], tmp_path: Path) -> None:
    with LiveServer(new_database(), AUTH_MODE="open") as server:
        document = as_open_mode(requests.get(f"{server.base_url}/openapi.json", timeout=10).json())
        run = run_schemathesis(document, server.base_url, tmp_path, examples=EXAMPLES, token=None)
    check(run, document)


def test_jwt_mode(new_database: Callable[..., str], tmp_path: Path) -> None:
    claims = {"sub": "meera", "role": "admin", "exp": time.time() + 86_400}
    token = jwt.encode(claims, SECRET, algorithm="HS256")
    with LiveServer(new_database(), AUTH_MODE="jwt", AUTH_JWT_SECRET=SECRET) as server:
        document = requests.get(f"{server.base_url}/openapi.json", timeout=10).json()
        run = run_schemathesis(document, server.base_url, tmp_path, examples=EXAMPLES, token=token)
    check(run, document)
    assert any(status == 401 for (_, _, status) in run.requests)
