"""Writes what was measured into docs/PERFORMANCE.md, between markers that name the section."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from scripts.benchmark.records import NotRun, Section
from scripts.benchmark.report import MARK_HEADING, mark_rows

NAME = "PERFORMANCE.md"


def write_section(directory: Path, section: Section) -> None:
    """Replace the section's part of the document. Raises NotRun where its markers are not there."""
    path = directory / NAME
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise NotRun(f"{path.name} cannot be read: {error.strerror}") from error
    draft = path.with_name(f".{path.name}.new")
    draft.write_text(replace_section(text, section), "utf-8")
    draft.replace(path)


def replace_section(text: str, section: Section) -> str:
    """Return the document with the section's part replaced, and nothing else changed.

    Raises NotRun where not each of its markers is there once, in order.
    """
    begin, end = f"<!-- bench {section.name} begins -->", f"<!-- bench {section.name} ends -->"
    before, found_begin, rest = text.partition(begin)
    _, found_end, after = rest.partition(end)
    if not (found_begin and found_end) or text.count(begin) > 1 or text.count(end) > 1:
        raise NotRun(f"{NAME} does not have the markers '{begin}' and '{end}' once each, in order")
    return f"{before}{begin}\n\n{render(section)}\n{end}{after}"


def render(section: Section) -> str:
    """Return the section in Markdown: notes, marks, table, picture."""
    parts = [
        "\n".join(section.notes),
        *([_table(MARK_HEADING, mark_rows(section.marks))] if section.marks else []),
        _table(section.heading, section.table),
        *([section.picture] if section.picture else []),
    ]
    return "\n".join(f"{part}\n" for part in parts)


def _table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    rule = ["---" if position == 0 else "---:" for position in range(len(heading))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (heading, rule, *rows))
