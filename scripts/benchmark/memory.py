"""Measures whether a worker's memory grows with the requests that it has served."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import psutil

from scripts.benchmark.machine import describe_machine
from scripts.benchmark.measuring import faults_of, run_scenario
from scripts.benchmark.records import Mark, Run, Section
from scripts.benchmark.scenarios import BY_NAME, Plan
from scripts.benchmark.stage import Stage, opened_stage

FIRST_REQUESTS = 10_000
ASKED_FOR = 1_000_000
LOADS = ("hot-64-on", "sold-out", "mixed", "random", "read-slots", "read-booking")
BURST_SECONDS = 5

Told = Callable[[int], None]


def measure_memory(directory: Path, requests: int, seed: int, tell: Told) -> Section:
    """Have one worker serve so many requests; compare its memory with that after 10,000.

    The loads take turns. ``tell`` hears how many were served so far. Raises NotRun.
    """
    with opened_stage(directory, [True], {"WEB_CONCURRENCY": "1"}) as stage:
        (worker,) = stage.servers[True].workers()
        looks = []
        runs: list[Run] = []
        for wanted in (FIRST_REQUESTS, requests):
            _serve(stage, runs, wanted, seed, tell)
            looks.append((_answered(runs), memory_mib(worker)))
        faults = faults_of(stage, runs)
        machine = describe_machine(stage.postgres_version, workers=1)
    (few, before), (many, after) = looks
    return Section(
        name="memory",
        marks=(
            Mark(
                f"memory after {_rounded(many)} requests, over {_rounded(few)}",
                after / before,
                at_most=1.1,
            ),
        ),
        heading=("requests served", "memory of the worker, MiB"),
        table=tuple((f"{served:,}", f"{mib:.1f}") for served, mib in looks),
        notes=(
            machine,
            "Proportional set size." if has_pss() else "Resident set size.",
            *(() if requests >= ASKED_FOR else (f"Not the {ASKED_FOR:,} requests of the mark.",)),
        ),
        faults=faults,
    )


def _serve(stage: Stage, runs: list[Run], wanted: int, seed: int, tell: Told) -> None:
    while _answered(runs) < wanted:
        number = len(runs)
        scenario = BY_NAME[LOADS[number % len(LOADS)]]
        plan = Plan(f"{scenario.name}.{number}", BURST_SECONDS, seed + number)
        runs.append(run_scenario(scenario, stage, plan))
        tell(_answered(runs))


def _answered(runs: list[Run]) -> int:
    return sum(run.answered for run in runs)


def has_pss() -> bool:
    """Tell whether the system counts what processes share in parts, as Linux does."""
    return hasattr(psutil.Process().memory_full_info(), "pss")


def memory_mib(process: psutil.Process) -> float:
    """Return the memory of a process in MiB, less the parts of others in what it shares."""
    info = process.memory_full_info()
    return float(getattr(info, "pss", info.rss)) / 2**20


def _rounded(requests: int) -> str:
    return f"{round(requests, -3):,}"
