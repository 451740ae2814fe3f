"""Runs tests, or the run under faults, in a copy of the code, and tells what came of it.

That a copy's own code ran is seen by the two together: in a copy with no bug everything is green,
and the bug is all that another copy has in addition.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from xml.etree import ElementTree as ET

TESTS_SECONDS, CHAOS_SECONDS = 900.0, 900.0
END_SECONDS = 60.0
RESULTS = "results.xml"
CHAOS_PASSED, CHAOS_VIOLATED = 0, 1
TESTS_PASSED, TESTS_FAILED = 0, 1
# What would lead Python or pytest to other code than the copy's, or to other options.
_LEFT_OUT = ("PYTHONPATH", "PYTHONHOME", "PYTHONSAFEPATH", "PYTEST_ADDOPTS", "PYTEST_PLUGINS")
# Those that the project's options need. To load whatever is installed takes longer than most tests.
_PLUGINS = ("xdist.plugin", "pytest_timeout")
_TAIL_LINES = 15
_VIOLATION = re.compile(r"^(audit: \w+|\w+): ", re.MULTILINE)
_MORE = re.compile(r"^(audit: \w+|\w+): (\d+) more$", re.MULTILINE)


class Colour(StrEnum):
    """How a trial ended; UNTOLD: it failed for another reason than a promise that was broken."""

    GREEN = "green"
    RED = "red"
    UNTOLD = "untold"


@dataclass(frozen=True)
class Outcome:
    """What came of a trial. ``found`` counts the violations of each check."""

    colour: Colour
    told: str
    found: Counter[str] = field(default_factory=Counter)


def run_tests(copy: Path, nodes: Sequence[str], *, processes: int = 0) -> Outcome:
    """Run tests in a copy. RED where every one of the nodes failed, by itself or in what is asked
    of the database after it; GREEN where all of them passed.
    """
    results = copy.parent / RESULTS
    results.unlink(missing_ok=True)
    plugins = [part for name in (*_PLUGINS, "no:cacheprovider") for part in ("-p", name)]
    command = ["-m", "pytest", "-q", *plugins, f"-n{processes}", f"--junitxml={results}", *nodes]
    status, output = _run(copy, command, TESTS_SECONDS)
    if status not in {TESTS_PASSED, TESTS_FAILED} or not results.exists():
        return Outcome(Colour.UNTOLD, f"pytest ended with {status}:\n{output}")
    # What pytest wrote a moment ago.
    cases = list(ET.parse(results).getroot().iter("testcase"))  # noqa: S314
    failed = [case for case in cases if _has_failed(case)]
    passed = [case for case in cases if not len(case)]
    counts = f"{len({_id_of(case) for case in failed})} of {len({_id_of(c) for c in cases})} failed"
    if status == TESTS_PASSED and all(_is_among(node, passed) for node in nodes):
        return Outcome(Colour.GREEN, counts)
    if status == TESTS_FAILED and all(_is_among(node, failed) for node in nodes):
        return Outcome(Colour.RED, counts)
    return Outcome(Colour.UNTOLD, f"{counts}, and not each of the tests that were named:\n{output}")


def _has_failed(case: ET.Element) -> bool:
    if case.find("failure") is not None:
        return True
    # A test that could not even begin says nothing.
    return any("on teardown" in error.get("message", "") for error in case.iter("error"))


def _id_of(case: ET.Element) -> tuple[str, str]:
    return case.get("classname", ""), case.get("name", "")


def _is_among(node: str, cases: Sequence[ET.Element]) -> bool:
    path, _, name = node.partition("::")
    module = path.removesuffix(".py").replace("/", ".")
    names = {found for found_module, found in map(_id_of, cases) if found_module == module}
    return name in names or name in {found.partition("[")[0] for found in names}


def run_chaos(copy: Path, seed: int, checks: Sequence[str]) -> Outcome:
    """Run the short run under faults in a copy. RED where it was violated and each check found it;
    GREEN where it passed.
    """
    command = ["scripts/chaos.py", "--short", "--seed", str(seed)]
    status, output = _run(copy, command, CHAOS_SECONDS, tail=None)
    verdict = output[output.rfind("\nviolated: ") + 1 :]
    if status == CHAOS_PASSED:
        return Outcome(Colour.GREEN, "passed")
    if status != CHAOS_VIOLATED or not verdict.startswith("violated: "):
        return Outcome(Colour.UNTOLD, f"chaos.py ended with {status}:\n{_end_of(output)}")
    found = _violations(verdict)
    told = ", ".join(f"{check} {count}" for check, count in found.most_common())
    missing = [check for check in checks if not found[check]]
    if missing:
        told = f"{told}; nothing was found by {', '.join(missing)}"
    return Outcome(Colour.UNTOLD if missing else Colour.RED, told, found)


def _violations(verdict: str) -> Counter[str]:
    """Return how often each check was violated: the first few are told one by one."""
    reasons = verdict.partition("\n")[2]
    found: Counter[str] = Counter(_VIOLATION.findall(reasons))
    for check, more in _MORE.findall(reasons):
        found[check] += int(more) - 1
    del found["void"]
    return found


def _run(
    copy: Path, arguments: Sequence[str], seconds: float, *, tail: int | None = _TAIL_LINES
) -> tuple[int | None, str]:
    """Run this Python in the copy; return its exit status, None where it did not end in time, and
    the end of what it said.
    """
    temporary = copy.parent / "tmp"
    temporary.mkdir(exist_ok=True)
    environment = {name: value for name, value in os.environ.items() if name not in _LEFT_OUT}
    with subprocess.Popen(  # noqa: S603 - this interpreter, with the copy's own files
        [sys.executable, *arguments],
        cwd=copy,
        env={**environment, "TMPDIR": str(temporary), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # A Ctrl-C reaches it through here alone, once, so that it ends what it started.
        start_new_session=True,
    ) as process:
        try:
            output, _ = process.communicate(timeout=seconds)
            status: int | None = process.returncode
        except subprocess.TimeoutExpired:
            output, status = _end(process), None
        except BaseException:
            _end(process)
            raise
    return status, output if tail is None else _end_of(output, tail)


def _end(process: subprocess.Popen[str]) -> str:
    process.send_signal(signal.SIGINT)
    try:
        return process.communicate(timeout=END_SECONDS)[0]
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        return process.communicate()[0]


def _end_of(output: str, lines: int = _TAIL_LINES) -> str:
    return "\n".join(output.splitlines()[-lines:])
