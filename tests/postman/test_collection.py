"""docs/postman_collection.json keeps up with the routes, and passes where newman is installed."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.exceptions import MethodNotAllowed, NotFound

from tests.support.servers import LiveServer

ROOT = Path(__file__).resolve().parents[2]
NEWMAN_DIRECTORY = ROOT / "scripts" / "newman"
COLLECTION = json.loads((ROOT / "docs" / "postman_collection.json").read_text())
# A person reads these in a browser.
PAGES = ("/openapi.json", "/docs")
# Runs only where the requests that wait for a hold to lapse are skipped.
INSTEAD_OF_WAITING = "Give up the hold that was not waited for"
# Shorter than the collection's maxWaitSeconds, so that it waits for a hold to lapse; longer than a
# busy machine takes from a hold to its confirmation.
HOLD_TTL_SECONDS = 4


def requests_in(item: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the named requests of a folder and of those in it."""
    for child in item["item"]:
        if "item" in child:
            yield from requests_in(child)
        else:
            yield child


REQUESTS = list(requests_in(COLLECTION))


def is_tested(item: dict[str, Any]) -> bool:
    """Whether a request has a test of its own, beside those of the collection."""
    scripts = [event["script"]["exec"] for event in item["event"] if event["listen"] == "test"]
    return any(line.lstrip().startswith("pm.test(") for script in scripts for line in script)


def test_every_request_is_described_and_tested() -> None:
    assert REQUESTS
    assert [item["name"] for item in REQUESTS if not item["request"].get("description")] == []
    assert [item["name"] for item in REQUESTS if not is_tested(item)] == []


def test_every_route_has_a_request(client: FlaskClient) -> None:
    url_map = client.application.url_map
    routes = {
        (rule.rule, method)
        for rule in url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if not rule.rule.startswith(PAGES)
    }
    adapter = url_map.bind("localhost")
    requested = set()
    for item in REQUESTS:
        request = item["request"]
        if isinstance(request["url"], str):
            continue  # a Location or Link that an answer gave
        path = "/" + re.sub(r"{{\w+}}", "id", "/".join(request["url"]["path"]))
        try:
            rule, _ = adapter.match(path, method=request["method"], return_rule=True)
        except (NotFound, MethodNotAllowed):
            continue  # a request that is there to be refused
        requested.add((rule.rule, request["method"]))
    assert routes - requested == set()


def test_lock_pins_every_package_and_names_no_registry() -> None:
    packages = json.loads((NEWMAN_DIRECTORY / "package-lock.json").read_text())["packages"]
    installed = [package for path, package in packages.items() if path]
    assert installed
    assert all(package["integrity"] and "resolved" not in package for package in installed)


@pytest.mark.skipif(
    not (NEWMAN_DIRECTORY / "node_modules" / ".bin" / "newman").exists(),
    reason="newman is not installed; scripts/postman installs it",
)
def test_collection_passes_under_newman(database_url: str, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    command = [str(ROOT / "scripts" / "postman"), "--color", "off"]
    command += ["--reporters", "cli,json", "--reporter-json-export", str(report)]
    with LiveServer(database_url, HOLD_TTL_SECONDS=HOLD_TTL_SECONDS) as server:
        done = subprocess.run(
            command,
            env={**os.environ, "BASE_URL": server.base_url, "TOKEN": "", "USER_ID": ""},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    executions = json.loads(report.read_text())["run"]["executions"]
    tested = {execution["item"]["name"] for execution in executions if "assertions" in execution}
    assert {item["name"] for item in REQUESTS} - tested == {INSTEAD_OF_WAITING}
