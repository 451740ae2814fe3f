"""Writes what caught the bugs into docs/RELIABILITY.md, between markers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from scripts.planted.bugs import Bug

NAME = "RELIABILITY.md"
BEGIN, END = "<!-- planted bugs begin -->", "<!-- planted bugs end -->"
_HEADING = ("bug", "what the code does then", "against", "caught by", "seen")


class BadDocument(Exception):
    """The document has no place for the list."""


def write_rows(path: Path, bugs: Sequence[Bug], seen: Mapping[str, str]) -> None:
    """Bring the list up to date: all bugs there are, and of those in ``seen`` what was seen.

    Of the others what was seen before stays. Raises BadDocument.
    """
    text = path.read_text("utf-8")
    before, found_begin, rest = text.partition(BEGIN)
    old, found_end, after = rest.partition(END)
    if not (found_begin and found_end):
        raise BadDocument(f"{path.name} does not have the markers '{BEGIN}' and '{END}', in order")
    seen = {**_seen_before(old), **seen}
    rule = ["---"] * len(_HEADING)
    rows = [_HEADING, rule, *(row_of(bug, seen.get(bug.name, "")) for bug in bugs)]
    table = "".join(f"| {' | '.join(cells)} |\n" for cells in rows)
    draft = path.with_name(f".{path.name}.new")
    draft.write_text(f"{before}{BEGIN}\n\n{table}\n{END}{after}", "utf-8")
    draft.replace(path)


def row_of(bug: Bug, seen: str) -> tuple[str, ...]:
    """Return the cells of one bug."""
    chaos = ["short run: " + ", ".join(f"`{check}`" for check in bug.checks)] if bug.checks else []
    tests = [f"`{test.removeprefix('tests/')}`" for test in bug.tests]
    patch = f"[{bug.name}](../tests/planted/{bug.name}.patch)"
    return patch, bug.breaks, bug.against, "<br>".join([*chaos, *tests]), seen


def _seen_before(table: str) -> Mapping[str, str]:
    rows = [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("| [")]
    return {
        cells[0].partition("]")[0].lstrip("["): cells[4].strip()
        for cells in rows
        if len(cells) == len(_HEADING)
    }
