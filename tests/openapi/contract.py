"""Runs schemathesis over a served document (https://schemathesis.readthedocs.io)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

from tests.openapi.schemathesis_hooks import REQUESTS_VARIABLE

ROOT = Path(__file__).resolve().parents[2]
TOKEN_VARIABLE = "CONTRACT_TESTS_TOKEN"

# 412 refuses an If-Match, 404 an id that is well-formed but nobody's.
_SETTINGS = """
[generation]
database = "none"

[checks]
positive_data_acceptance.expected-statuses = [
    "2xx", "3xx", "401", "403", "404", "409", "412", "429", "5xx"
]
negative_data_rejection.expected-statuses = [
    "400", "401", "403", "404", "405", "409", "412", "413", "415", "422"
]
missing_required_header.expected-statuses = ["401"]
"""
_TOKEN_SETTINGS = f"""
[auth.openapi.bearer]
bearer = "${{{TOKEN_VARIABLE}}}"
"""


@dataclass(frozen=True)
class Run:
    """How a run of schemathesis ended: its exit code, what it printed, and the requests it sent."""

    code: int
    output: str
    requests: Counter[tuple[str, str, int]]

    def has_succeeded(self, operation: str, method: str) -> bool:
        """Tell whether an operation was done at least once, rather than refused each time."""
        return any(
            status < HTTPStatus.BAD_REQUEST
            for (asked, sent, status) in self.requests
            if (asked, sent) == (operation, method)
        )


def run_schemathesis(
    document: Mapping[str, Any],
    base_url: str,
    directory: Path,
    *,
    examples: int,
    token: str | None,
) -> Run:
    """Send up to so many requests an operation and phase, fit and unfit, and check each answer."""
    requests = directory / "requests.jsonl"
    requests.touch()
    (directory / "openapi.json").write_text(json.dumps(document))
    (directory / "schemathesis.toml").write_text(
        _SETTINGS + (_TOKEN_SETTINGS if token is not None else "")
    )
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "schemathesis.cli",
            f"--config-file={directory / 'schemathesis.toml'}",
            "run",
            str(directory / "openapi.json"),
            f"--url={base_url}",
            "--mode=all",
            "--checks=all",
            f"--max-examples={examples}",
            "--continue-on-failure",
            "--no-color",
            "--request-timeout=30",
        ],
        cwd=directory,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "SCHEMATHESIS_HOOKS": "tests.openapi.schemathesis_hooks",
            REQUESTS_VARIABLE: str(requests),
            TOKEN_VARIABLE: token or "",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    sent = Counter(
        tuple(json.loads(line)) for line in requests.read_text(encoding="utf-8").splitlines()
    )
    return Run(done.returncode, done.stdout + done.stderr, sent)
