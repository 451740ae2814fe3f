"""scripts/audit-dependencies fails on a finding, and on nothing that is the network's fault."""

from __future__ import annotations

import json
from typing import Any

import pytest

from scripts.audit_dependencies import judge

# As pip-audit 2 writes them (its README, "JSON").
CLEAN = {"name": "flask", "version": "3.1.0", "vulns": []}
HIT = {
    "name": "jinja2",
    "version": "2.4.1",
    "vulns": [
        {"id": "PYSEC-2019-217", "fix_versions": ["2.10.1"], "aliases": [], "description": ""}
    ],
}
SKIPPED = {"name": "orjson", "skip_reason": "Dependency not found and could not be audited"}


def _report(*packages: dict[str, Any]) -> str:
    return json.dumps({"dependencies": packages, "fixes": []})


@pytest.mark.parametrize(
    ("exit_code", "report", "errors", "expected", "told"),
    [
        (0, _report(CLEAN), "", 0, "1 packages audited, 0 vulnerabilities"),
        (1, _report(CLEAN, HIT), "Found 1", 1, "jinja2 2.4.1: PYSEC-2019-217, mended in 2.10.1"),
        (1, _report(SKIPPED, HIT), "", 1, "NOT audited: orjson"),
        (0, _report(CLEAN, SKIPPED), "", 0, "NOT audited: orjson"),
        (0, _report(SKIPPED, SKIPPED), "", 0, "serves no vulnerability records"),
        (1, "", "requests.exceptions.ConnectionError: unresolved", 0, "is not reached from here"),
        (1, "", "ERROR:pip_audit._cli:invalid requirements: line 3", 1, "invalid requirements"),
        (1, "", "", 1, "pip-audit ended with 1"),
    ],
)
def test_only_a_finding_or_a_fault_of_ours_fails(
    exit_code: int, report: str, errors: str, expected: int, told: str
) -> None:
    code, text = judge(exit_code, report, errors)
    assert code == expected
    assert told in text
