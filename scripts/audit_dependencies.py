"""What pip-audit finds in the pinned requirements, and what it could not look up."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = ("requirements.txt", "requirements-dev.txt")
TIMEOUT_SECONDS = 300

# How pip-audit, or what it is made of, says that nobody answered; any other failure is one.
_UNREACHED = re.compile(r"could not connect|ConnectionError|Timeout|ServiceError|HTTPError", re.I)


def main() -> int:
    """Print what is known of the pinned packages; return 1 on a vulnerability, or a failure that
    is not the network's.
    """
    command = [sys.executable, "-m", "pip_audit", "--disable-pip", "--require-hashes"]
    command += ["--format", "json", "--progress-spinner", "off"]
    command += [part for name in REQUIREMENTS for part in ("--requirement", name)]
    try:
        done = subprocess.run(  # noqa: S603 - this Python's own pip-audit
            command, cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        print("NOT audited: the vulnerability service did not answer in time")
        return 0
    code, text = judge(done.returncode, done.stdout, done.stderr)
    print(text)
    return code


def judge(exit_code: int, report: str, errors: str) -> tuple[int, str]:
    """Return the exit code and what to say of pip-audit's own, its JSON report and its errors."""
    if not report.strip():
        if _UNREACHED.search(errors):
            return 0, "NOT audited: the vulnerability service is not reached from here"
        return 1, errors.strip() or f"pip-audit ended with {exit_code} and said nothing"
    packages: list[dict[str, Any]] = json.loads(report)["dependencies"]
    unknown = [package["name"] for package in packages if "vulns" not in package]
    found = [
        f"{package['name']} {package['version']}: {vulnerability['id']}, "
        f"mended in {', '.join(vulnerability['fix_versions']) or 'no version yet'}"
        for package in packages
        for vulnerability in package.get("vulns", [])
    ]
    if len(unknown) == len(packages):
        return 0, "NOT audited: the package index in use here serves no vulnerability records"
    lines = found + [f"NOT audited: {', '.join(unknown)}"] * bool(unknown)
    lines.append(f"{len(packages) - len(unknown)} packages audited, {len(found)} vulnerabilities")
    return (1 if found else 0), "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
