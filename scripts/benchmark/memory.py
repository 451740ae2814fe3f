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
# Groups large and small, refusals, mistakes, holds, confirmations and cancellations, reads.
LOADS = (
    *("hot-64-on", "hot-256-on", "sold-out", "mistakes", "mixed", "random"),
    *("read-slots", "read-booking"),
)
# By the first look each load had its turn: what a worker makes once for each of them is no growth.
FIRST_BURST_SECONDS, BURST_SECONDS = 1, 5

Told = Callable[[int], None]


def measure_memory(directory: Path, requests: int, seed: int, tell: Told) -> Section:
    """Have one worker serve so many requests; compare its memory with that after 10,000.

    The loads take turns, all of them before the first look. ``tell`` hears how many were served so
    far. Raises NotRun.
    """
    with opened_stage(directory, [True], {"WEB_CONCURRENCY": "1"}) as stage:
        (worker,) = stage.servers[True].workers()
        runs: list[Run] = []
        looks = []
        for wanted, seconds in ((FIRST_REQUESTS, FIRST_BURST_SECONDS), (requests, BURST_SECONDS)):
            while _answered(runs) < wanted or len(runs) < len(LOADS):
                runs.append(_burst(stage, len(runs), seconds, seed))
                tell(_answered(runs))
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


def _burst(stage: Stage, number: int, seconds: int, seed: int) -> Run:
    scenario = BY_NAME[LOADS[number % len(LOADS)]]
    return run_scenario(scenario, stage, Plan(f"{scenario.name}.{number}", seconds, seed + number))


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
