"""The sections of growth: a large database against a small one, and sweeps on the large one."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import psutil

from booking.db.connection import connect
from scripts.benchmark.database import benchmark_postgres, server_version
from scripts.benchmark.growth_database import LARGE, MIDDLE, SMALL, Size, make_database
from scripts.benchmark.growth_rounds import (
    HEADING,
    Told,
    ask_in_rounds,
    growth_marks,
    growth_table,
    opened_place,
    told_excess,
)
from scripts.benchmark.machine import changed_settings, describe_machine
from scripts.benchmark.options import Options
from scripts.benchmark.processors import ForeignUse, told_disturbance
from scripts.benchmark.records import Section
from scripts.benchmark.sweep import HEADING as SWEEP_HEADING
from scripts.benchmark.sweep import HOLDS, PER_SECOND, measure_sweeps, sweep_marks, sweep_table

REQUESTS, QUICK_REQUESTS = 60, 20
SWEEP_ROUNDS, QUICK_SWEEP_ROUNDS = 3, 1
QUICK_HOLDS = 10_000


@dataclass(frozen=True)
class _Run:
    """What both sections go by; the notes are on the machine."""

    directory: Path
    options: Options
    tell: Told
    notes: tuple[str, ...]


def measure_growth(directory: Path, options: Options, tell: Told) -> tuple[Section, Section]:
    """Fill a small and a large database and ask both; then have the large one swept.

    Raises NotRun.
    """
    sizes = {"small": SMALL, "large": MIDDLE if options.is_quick else LARGE}
    # What PostgreSQL's documentation recommends (chapter "Resource Consumption").
    shared_mib = psutil.virtual_memory().total // 4 // 2**20
    settings = {"shared_buffers": f"{shared_mib}MB"}
    with benchmark_postgres(directory / "postgres", settings) as cluster:
        urls = {}
        for name, size in sizes.items():
            tell(f"Filling a database of {_count(size)}")
            urls[name] = make_database(cluster, name, size)
        with closing(connect(cluster, application_name="benchmark")) as conn:
            machine = describe_machine(server_version(conn))
        notes = [f"{machine} PostgreSQL has shared_buffers of {shared_mib:,} MiB."]
        if changed := changed_settings():
            notes.append(changed)
        run = _Run(directory, options, tell, tuple(notes))
        return _growth_section(urls, sizes, run), _sweep_section(urls["large"], run)


def _growth_section(urls: Mapping[str, str], sizes: Mapping[str, Size], run: _Run) -> Section:
    options = run.options
    requests = QUICK_REQUESTS if options.is_quick else REQUESTS
    with ExitStack() as stack:
        small, large = (
            stack.enter_context(
                opened_place(urls[name], run.directory / f"{name}.log", options.seed)
            )
            for name in ("small", "large")
        )
        others = ForeignUse()
        pairs = ask_in_rounds(
            small.visitor,
            large.visitor,
            rounds=options.rounds,
            requests=requests,
            seed=options.seed,
            tell=run.tell,
        )
        disturbance = told_disturbance([others.share()])
        run.tell("Checking what stands")
        faults = [*small.faults(), *large.faults()]
    amounts = f"Small: {_count(sizes['small'])}; large: {_count(sizes['large'])}."
    rounds = f"{options.rounds} rounds of {requests} requests, seed {options.seed}."
    return Section(
        name="growth",
        marks=growth_marks(pairs),
        heading=HEADING,
        table=growth_table(pairs),
        notes=(*run.notes, f"{amounts} {rounds}", *told_excess(pairs), *disturbance),
        faults=tuple(faults),
    )


def _sweep_section(url: str, run: _Run) -> Section:
    options = run.options
    rounds = QUICK_SWEEP_ROUNDS if options.is_quick else SWEEP_ROUNDS
    holds = QUICK_HOLDS if options.is_quick else HOLDS
    others = ForeignUse()
    found, faults = measure_sweeps(
        url, run.directory, rounds=rounds, holds=holds, seed=options.seed, tell=run.tell
    )
    load = f"{holds:,} lapsed holds in the large database, {PER_SECOND} bookings a second."
    return Section(
        name="sweep",
        marks=sweep_marks(found),
        heading=SWEEP_HEADING,
        table=sweep_table(found),
        notes=(
            *run.notes,
            f"{load} {rounds} rounds, seed {options.seed}.",
            *told_disturbance([others.share()]),
        ),
        faults=tuple(faults),
    )


def _count(size: Size) -> str:
    return f"{size.slots:,} slots and {size.bookings:,} bookings"
