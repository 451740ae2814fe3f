"""The page on reliability names, for each fault, tests that exist."""

from __future__ import annotations

import re

from booking.config import PROJECT_ROOT

PAGE = (PROJECT_ROOT / "docs" / "RELIABILITY.md").read_text("utf-8")
ROWS = {
    int(match[1]): re.findall(r"`([^`]+)`", match[2])
    for match in re.finditer(r"^\| (\d+) \| .+ \| (.+) \|$", PAGE, re.MULTILINE)
}


def test_every_fault_has_a_row_with_tests() -> None:
    assert sorted(ROWS) == list(range(1, 36))
    assert all(ROWS.values())


def test_every_test_that_is_named_exists() -> None:
    named = set(re.findall(r"`(tests/[^`]+)`", PAGE))
    assert named >= {path for paths in ROWS.values() for path in paths}
    assert sorted(path for path in named if not (PROJECT_ROOT / path).exists()) == []


def test_every_test_with_a_fault_s_number_stands_in_its_row() -> None:
    numbered = {
        str(path.relative_to(PROJECT_ROOT)): int(path.name[5:7])
        for folder in ("concurrency", "faults")
        for path in (PROJECT_ROOT / "tests" / folder).glob("test_[0-9][0-9]_*.py")
    }
    assert len(numbered) >= 20
    assert [path for path, number in numbered.items() if path not in ROWS[number]] == []


def test_every_check_is_explained() -> None:
    checks = {path.stem for path in (PROJECT_ROOT / "sql" / "checks").glob("*.sql")}
    explained = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", PAGE, re.MULTILINE)
    assert {name for cell in explained for name in re.findall(r"\w+", cell)} == checks
