"""The section of the loads: all scenarios in rounds, their table, marks and plot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from scripts.benchmark.machine import changed_settings, describe_machine
from scripts.benchmark.marks import load_marks
from scripts.benchmark.measuring import Told, faults_of, measure, measured
from scripts.benchmark.options import Options
from scripts.benchmark.plot import MARKDOWN, draw
from scripts.benchmark.processors import told_disturbance
from scripts.benchmark.records import Run, Section
from scripts.benchmark.report import LOAD_HEADING, load_table
from scripts.benchmark.stage import opened_stage


def measure_loads(directory: Path, options: Options, tell: Told) -> Section:
    """Measure the scenarios; draw the plot where figures are to be kept. Raises NotRun."""
    grouping = sorted({s.is_grouping for s in options.scenarios if s.statuses}, reverse=True)
    with opened_stage(directory, grouping) as stage:
        runs = measure(
            stage,
            options.scenarios,
            rounds=options.rounds,
            seconds=options.seconds,
            seed=options.seed,
            tell=tell,
        )
        faults = faults_of(stage, runs)
        machine = describe_machine(stage.postgres_version)
    by_scenario = measured(runs)
    if options.docs:
        draw(by_scenario, options.docs)
    return Section(
        name="loads",
        marks=load_marks(by_scenario),
        heading=LOAD_HEADING,
        table=load_table(by_scenario),
        notes=(machine, *_notes(options, by_scenario)),
        faults=faults,
        picture=MARKDOWN if options.docs else None,
    )


def _notes(options: Options, runs: Mapping[str, Sequence[Run]]) -> list[str]:
    notes = [f"{options.rounds} rounds of {options.seconds} seconds each, seed {options.seed}."]
    if settings := changed_settings():
        notes.append(settings)
    shares = [run.foreign_cpu for some in runs.values() for run in some]
    return [*notes, *told_disturbance(shares)]
