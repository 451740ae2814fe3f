"""The tables: what they say, and how the terminal shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from scripts.benchmark.marks import ratio
from scripts.benchmark.records import Mark, Run, Section
from scripts.benchmark.scenarios import BY_NAME

LOAD_HEADING = (
    "scenario",
    "clients",
    "/ s",
    "range",
    "p50 ms",
    "p99 ms",
    "/ empty",
)
MARK_HEADING = ("mark", "bound", "measured", "")
STYLES = {"reached": "green", "NOT reached": "bold yellow", "not measured": "dim"}
MAX_FAULTS = 20


def load_table(runs: Mapping[str, Sequence[Run]]) -> tuple[tuple[str, ...], ...]:
    """Return a row of medians over the rounds for each scenario."""
    rows = []
    for name, scenario in BY_NAME.items():
        if name not in runs:
            continue
        rates = [run.per_second for run in runs[name]]
        over_empty = ratio(runs, name, "empty")
        rows.append(
            (
                scenario.title,
                str(scenario.clients),
                f"{median(rates):.0f}",
                f"{min(rates):.0f}-{max(rates):.0f}",
                milliseconds(median(run.p50_ms for run in runs[name])),
                milliseconds(median(run.p99_ms for run in runs[name])),
                "" if over_empty is None else f"{over_empty:.2f}",
            )
        )
    return tuple(rows)


def milliseconds(value: float) -> str:
    """Return a latency with as many digits as it is worth."""
    return f"{value:.1f}" if value < 100 else f"{value:.0f}"  # noqa: PLR2004 - three digits


def mark_rows(marks: Sequence[Mark]) -> tuple[tuple[str, ...], ...]:
    """Return a row for each mark."""
    return tuple(
        (
            mark.what,
            mark.bound,
            "" if mark.value is None else f"{mark.value:.2f}",
            mark.verdict,
        )
        for mark in marks
    )


def show_section(console: Console, section: Section) -> None:
    """Print a section's table, marks, notes and faults."""
    console.print(_table(section.heading, section.table))
    if section.marks:
        marks = _table(MARK_HEADING, ())
        for row in mark_rows(section.marks):
            marks.add_row(*row[:-1], Text(row[-1], style=STYLES[row[-1]]))
        console.print(marks)
    for note in section.notes:
        console.print(Text(note, style="dim"))
    if section.faults:
        console.print(Text("What must hold does not:", style="bold red"))
        for fault in section.faults[:MAX_FAULTS]:
            console.print(Text(f"  {fault}", style="red"), soft_wrap=True)
        if len(section.faults) > MAX_FAULTS:
            console.print(Text(f"  and {len(section.faults) - MAX_FAULTS} more", style="red"))
    else:
        console.print(
            Text("Nothing was oversold or lost, and every answer was expected.", style="green")
        )


def _table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(header_style="bold", box=SIMPLE_HEAD, pad_edge=False)
    for position, name in enumerate(heading):
        is_figure = position > 0 and name not in ("bound", "")
        table.add_column(name, justify="right" if is_figure else "left")
    for row in rows:
        table.add_row(*row)
    return table
