"""Measures what the command line asks for, and turns what came of it into a status."""

from __future__ import annotations

import io
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from booking.cli.supervise import signals_unwind
from booking.config import PROJECT_ROOT
from booking.errors import ConfigurationError
from scripts.benchmark.document import write_section
from scripts.benchmark.growth import measure_growth
from scripts.benchmark.loads import measure_loads
from scripts.benchmark.measuring import Told
from scripts.benchmark.memory import measure_memory
from scripts.benchmark.options import PROGRAM, Options, Part, parse
from scripts.benchmark.overload import measure_overload
from scripts.benchmark.records import NotRun, Run, Section
from scripts.benchmark.report import show_section
from scripts.benchmark.scenarios import Scenario
from scripts.benchmark.searches import measure_searches
from scripts.benchmark.workers import CHOICES, CHOSEN, measure_workers
from scripts.benchmark.wrk import find_wrk

MEASURED, BROKEN, NOT_RUN = 0, 1, 2


def main(arguments: Sequence[str]) -> int:
    """Run the benchmark and return the exit status: 0, 1 a promise is broken, 2 not run.

    A signal ends it with SystemExit, 128 + its number, once all that was started has ended.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    options = parse(arguments)
    # Progress goes to stderr, so that tables sent to a file leave it on the terminal.
    out = Console(markup=False, highlight=False, emoji=False)
    screen = Console(markup=False, highlight=False, emoji=False, stderr=True)
    try:
        with signals_unwind(), _directory() as directory:
            find_wrk()
            sections = _measure(options, Path(directory), screen)
            for section in sections:
                show_section(out, section)
                if options.docs and not section.faults:
                    write_section(options.docs, section)
    except (NotRun, ConfigurationError) as error:
        screen.print(f"{PROGRAM}: {error}", soft_wrap=True)
        return NOT_RUN
    return BROKEN if any(section.faults for section in sections) else MEASURED


def _directory() -> tempfile.TemporaryDirectory[str]:
    local = PROJECT_ROOT / ".local"
    local.mkdir(exist_ok=True)
    return tempfile.TemporaryDirectory(prefix="bench-", dir=local, ignore_cleanup_errors=True)


def _measure(options: Options, directory: Path, screen: Console) -> tuple[Section, ...]:
    columns = (
        TextColumn("{task.description}", table_column=None),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=screen) as progress:
        if options.part is Part.MEMORY:
            task = progress.add_task("Serving requests", total=options.memory_requests)
            return (
                measure_memory(
                    directory,
                    options.memory_requests,
                    options.seed,
                    lambda served: progress.update(task, completed=served),
                ),
            )
        if options.part is Part.GROWTH:
            task = progress.add_task("Starting PostgreSQL", total=None)
            return measure_growth(
                directory, options, lambda what: progress.update(task, description=what)
            )
        if options.part in (Part.OVERLOAD, Part.SEARCHES):
            measure = measure_overload if options.part is Part.OVERLOAD else measure_searches
            task = progress.add_task("Starting PostgreSQL", total=None)
            return (
                measure(directory, options, lambda what: progress.update(task, description=what)),
            )
        scenarios = sum(scenario.turns for scenario in options.scenarios)
        if options.part is Part.WORKERS:
            scenarios = len(CHOICES) * len(CHOSEN)
        task = progress.add_task(
            "Starting PostgreSQL and the servers", total=(options.rounds + 1) * scenarios
        )
        tell = _teller(options, screen, lambda **changes: progress.update(task, **changes))
        if options.part is Part.WORKERS:
            return (measure_workers(directory, options, tell),)
        return (measure_loads(directory, options, tell),)


def _teller(options: Options, screen: Console, update: Callable[..., None]) -> Told:
    def tell(scenario: Scenario, round_: int, run: Run | None) -> None:
        where = f"round {round_} of {options.rounds}" if round_ else "warm-up"
        if run is None:
            update(description=f"{where}: {scenario.name}")
            return
        update(advance=1)
        if round_ or run.faults:
            screen.print(_line(run), soft_wrap=True)

    return tell


def _line(run: Run) -> str:
    faults = "".join(f"; {fault}" for fault in run.faults)
    return (
        f"{run.label:20} {run.per_second:7.0f} a second, p50 {run.p50_ms:.1f} ms, "
        f"p99 {run.p99_ms:.1f} ms, others' use of the processors {run.foreign_cpu:.0%}{faults}"
    )
