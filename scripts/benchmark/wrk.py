"""Runs wrk, the load generator, with the Lua scripts beside this file."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scripts.benchmark.records import Load, NotRun

SCRIPTS = Path(__file__).resolve().parent
# Longer than the server lets any request wait: a slower answer is told as a fault.
TIMEOUT_SECONDS = 30
GRACE_SECONDS = 60


def find_wrk() -> str:
    """Return the path of wrk. Raises NotRun where it is not installed."""
    found = shutil.which("wrk")
    if found is None:
        raise NotRun(
            "wrk, the load generator, is not installed: apt-get install wrk (Debian, Ubuntu) "
            "or brew install wrk (macOS)"
        )
    return found


def run_wrk(
    base_url: str, script: str, arguments: Sequence[str], *, clients: int, seconds: int
) -> Load:
    """Load the server for ``seconds`` from ``clients`` connections with one request each.

    What is in flight at the end is not waited for. Raises NotRun where wrk fails.
    """
    done = _run(base_url, script, arguments, clients, seconds)
    return parse_wrk(done.stdout, done.stderr)


def run_script(
    base_url: str, script: str, arguments: Sequence[str], *, clients: int, seconds: int
) -> dict[str, Any]:
    """Load the server by a script with a summary of its own, and return that.

    Raises NotRun where wrk fails or says anything of a fault in the script.
    """
    done = _run(base_url, script, arguments, clients, seconds)
    if done.stderr.strip():
        raise NotRun(f"wrk: {done.stderr.strip().splitlines()[0]}")
    return _summary(done.stdout)


def _run(
    base_url: str, script: str, arguments: Sequence[str], clients: int, seconds: int
) -> subprocess.CompletedProcess[str]:
    # One thread of wrk has time to spare beside a server in Python.
    command = [
        *(find_wrk(), "--threads", "1", "--connections", str(clients)),
        *("--duration", f"{seconds}s", "--timeout", f"{TIMEOUT_SECONDS}s"),
        *("--script", script, base_url, "--", *arguments),
    ]
    try:
        done = subprocess.run(  # noqa: S603 - wrk
            command,
            cwd=SCRIPTS,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds + GRACE_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise NotRun(f"wrk did not end within {GRACE_SECONDS} seconds of its time") from error
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip() or "it says nothing"
        raise NotRun(f"wrk failed with {done.returncode}: {said.splitlines()[-1]}")
    return done


def parse_wrk(output: str, errors: str = "") -> Load:
    """Read the line of JSON that summary.lua prints. Raises NotRun where there is none.

    wrk goes on after a fault in a script: what it says on stderr is a fault of the run.
    """
    told = _summary(output)
    names = {
        "connect": "connections failed",
        "read": "answers broke off",
        "write": "requests could not be sent",
        "timeout": f"answers took over {TIMEOUT_SECONDS} seconds",
    }
    faults = [f"{told[name]} {text}" for name, text in names.items() if told[name]]
    faults += [f"wrk: {text}" for text in errors.strip().splitlines()[:1]]
    return Load(
        seconds=told["microseconds"] / 1e6,
        answered=told["requests"],
        refused=told["refused"],
        p50_ms=told["p50_us"] / 1000,
        p99_ms=told["p99_us"] / 1000,
        statuses={int(status): count for status, count in told["statuses"].items()},
        faults=tuple(faults),
    )


def _summary(output: str) -> dict[str, Any]:
    line = next((line for line in output.splitlines() if line.startswith("{")), None)
    if line is None:
        raise NotRun("wrk printed no summary; is its script whole?")
    told: dict[str, Any] = json.loads(line)
    return told
