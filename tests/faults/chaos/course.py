"""The course of a run: load, faults, healing, and the evidence that is left."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from tests.faults.chaos import aftermath
from tests.faults.chaos.build import HOLD_TTL_SECONDS, POOL_SIZE, SWEEP_SECONDS
from tests.faults.chaos.conductor import Injected, inject_all
from tests.faults.chaos.findings import find_broken, find_logged_defects
from tests.faults.chaos.machine import measure_usage
from tests.faults.chaos.options import Size
from tests.faults.chaos.postgres import outsider
from tests.faults.chaos.progress import run_progress
from tests.faults.chaos.recorder import recorder
from tests.faults.chaos.records import Tables
from tests.faults.chaos.schedule import Planned
from tests.faults.chaos.stage import Stage
from tests.faults.chaos.tables import read_tables
from tests.faults.chaos.tally import Counts
from tests.faults.chaos.violation import Violation

WARM_UP_BOOKINGS = 50
# Where nothing is booked for so long there is nothing to wait for.
STALL_SECONDS = 20.0
POLL_SECONDS = 0.1
# Sweeps may be put off by what they meet; each worker sweeps by itself.
SWEPT_SECONDS = HOLD_TTL_SECONDS + 4 * SWEEP_SECONDS + 10


@dataclass(frozen=True)
class Evidence:
    """What a run leaves."""

    injected: Sequence[Injected]
    counts: Counts
    tables: Tables
    violations: tuple[Violation, ...]
    audit_checks: tuple[str, ...]


def run_course(
    stage: Stage, schedule: Sequence[Planned], size: Size, faults: Path, console: Console
) -> Evidence:
    """Load the server, inject the faults of the schedule, heal, settle and look.

    Records the faults in the file ``faults``.
    """
    stage.traffic.prepare()
    stage.traffic.start()
    began = time.monotonic()
    usage = measure_usage()
    with run_progress(console, size, stage.traffic) as progress, recorder(faults) as record:
        _wait_for_bookings(stage, WARM_UP_BOOKINGS)
        injected = inject_all(stage, schedule, record, progress.show_fault)
        last_fault = time.monotonic()
        _wait_for_bookings(stage, size.acknowledged)
        time.sleep(max(0.0, began + size.seconds - time.monotonic()))
        aftermath.heal(stage)
        stage.traffic.stop()
        counts = stage.traffic.counts()
        progress.show_counts(counts)
    seconds = time.monotonic() - began
    console.print(
        f"{counts.acknowledged:,} bookings in {seconds:.0f} s "
        f"({counts.acknowledged / seconds:.0f} a second), "
        f"{usage.others_until(measure_usage()):.0%} of the machine taken by others",
        highlight=False,
    )
    with console.status(f"asking again for {counts.open} outcomes, then looking for what is amiss"):
        violations = list(find_broken(injected))
        if left := stage.traffic.settle():
            violations.append(
                Violation("outcomes_can_be_found_out", f"{left} outcomes stay unknown", ())
            )
        violations += aftermath.find_what_did_not_heal(
            stage, last_fault=last_fault, pool_size=POOL_SIZE, swept_seconds=SWEPT_SECONDS
        )
        audit_checks, audit_violations = aftermath.audit(stage)
        violations += audit_violations
        violations += find_logged_defects(stage.server.log())
        with outsider(stage.postgres.url) as conn:
            tables = read_tables(conn)
    return Evidence(injected, stage.traffic.counts(), tables, (*violations,), (*audit_checks,))


def _wait_for_bookings(stage: Stage, count: int) -> None:
    """Wait until so many bookings are acknowledged, or no more come."""
    before, changed = -1, time.monotonic()
    while (now := stage.traffic.counts().acknowledged) < count:
        if now != before:
            before, changed = now, time.monotonic()
        elif time.monotonic() - changed > STALL_SECONDS:
            return
        time.sleep(POLL_SECONDS)
