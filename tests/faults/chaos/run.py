"""One run: from options to its verdict, with its history in a directory."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import orjson
from rich.console import Console

from tests.faults.chaos import checker, findings, report
from tests.faults.chaos.build import WAL_DISK_BYTES, build_stage
from tests.faults.chaos.course import Evidence, run_course
from tests.faults.chaos.disk import SmallDisk, find_small_disk
from tests.faults.chaos.history import read_history
from tests.faults.chaos.kinds import KINDS
from tests.faults.chaos.kinds.disk import NAME as DISK_FULL
from tests.faults.chaos.options import Options
from tests.faults.chaos.schedule import Planned, make_schedule
from tests.faults.chaos.stage import Kind
from tests.faults.chaos.verdict import Requirements, Result, Verdict, judge
from tests.faults.chaos.violation import Violation

CLIENTS, FAULTS, SCHEDULE, TABLES = (
    "clients.jsonl",
    "faults.jsonl",
    "schedule.json",
    "tables.json",
)
# Of a thousand acknowledged bookings, at least so many other things must have happened.
UNKNOWN_PER_THOUSAND = 5
FULL_PER_THOUSAND = 20
CLOSED_PER_THOUSAND = 2
CHANGED_PER_THOUSAND = 8


def run(options: Options, console: Console) -> Result:
    """Run and print; leaves the directory where the run did not pass, or is to be kept.

    Raises FileExistsError where the directory to keep it in is not empty.
    """
    directory = _make_directory(options.keep)
    is_kept = True
    try:
        verdict = _run(options, directory, console)
        is_kept = options.keep is not None or verdict.result != Result.PASSED
    except (KeyboardInterrupt, SystemExit):
        is_kept = options.keep is not None
        raise
    finally:
        # Of the database only its log is of use: its WAL went with the disk that it was on.
        shutil.rmtree(directory / "postgres" / "data", ignore_errors=True)
        if is_kept:
            console.print(f"history and logs: {directory}", highlight=False, soft_wrap=True)
        else:
            shutil.rmtree(directory)
    return verdict.result


def _run(options: Options, directory: Path, console: Console) -> Verdict:
    disk = find_small_disk(directory / "wal", WAL_DISK_BYTES)
    kinds = _kinds_here(options, disk, console)
    schedule = make_schedule(options.seed, kinds, options.size.faults)
    _tell_schedule(options.seed, schedule, directory / SCHEDULE, console)
    history = [directory / CLIENTS, directory / FAULTS]
    with build_stage(options, directory, history[0], disk) as stage:
        try:
            evidence = run_course(stage, schedule, options.size, history[1], console)
        finally:
            (directory / "server.log").write_text(stage.server.log())
    (directory / TABLES).write_bytes(orjson.dumps(evidence.tables))
    with console.status("judging the history"):
        judged = judge(read_history(history), evidence.tables, _requirements(options, schedule))
    violations = (*judged.violations, *evidence.violations)
    void_reasons = (*judged.void_reasons, *findings.find_untold(evidence.injected))
    result = _result(violations, void_reasons)
    verdict = Verdict(result, violations, void_reasons, judged.counts)
    _print(evidence, verdict, console)
    return verdict


def _result(violations: Sequence[Violation], void_reasons: Sequence[str]) -> Result:
    if violations:
        return Result.VIOLATED
    return Result.VOID if void_reasons else Result.PASSED


def _make_directory(keep: Path | None) -> Path:
    if keep is None:
        return Path(tempfile.mkdtemp(prefix="chaos-"))
    keep.mkdir(parents=True, exist_ok=True)
    if any(keep.iterdir()):
        raise FileExistsError(f"{keep} is not empty: a history of another run may be there")
    return keep.resolve()


def _kinds_here(options: Options, disk: SmallDisk | None, console: Console) -> list[Kind]:
    """Return the kinds of faults to inject, as far as this machine can have them."""
    kinds = [kind for kind in KINDS if not options.only or kind.name in options.only]
    if disk:
        console.print(f"WAL on a disk of {disk.size >> 20} MiB, {disk.kind}", highlight=False)
        return kinds
    console.print(f"skipped: {DISK_FULL}: this user cannot mount a small disk here")
    return [kind for kind in kinds if kind.name != DISK_FULL]


def _tell_schedule(seed: int, schedule: list[Planned], path: Path, console: Console) -> None:
    plan = {"seed": seed, "faults": [planned.describe() for planned in schedule]}
    path.write_text(json.dumps(plan, indent=1))
    names = [f"{each.number} {each.kind.name} {each.draw.seconds:.1f} s" for each in schedule]
    console.print(f"seed {seed}: " + ", ".join(names), highlight=False)


def _requirements(options: Options, schedule: Sequence[Planned]) -> Requirements:
    acknowledged = options.size.acknowledged
    return Requirements(
        acknowledged=acknowledged,
        unknown=acknowledged * UNKNOWN_PER_THOUSAND // 1000,
        slot_full=acknowledged * FULL_PER_THOUSAND // 1000,
        faults=len(schedule),
        slot_closed=acknowledged * CLOSED_PER_THOUSAND // 1000,
        changed=acknowledged * CHANGED_PER_THOUSAND // 1000,
        fault_kinds=frozenset(planned.kind.name for planned in schedule),
    )


def _print(evidence: Evidence, verdict: Verdict, console: Console) -> None:
    report.print_counts(console, verdict.counts, evidence.counts.codes)
    report.print_faults(console, evidence.injected)
    report.print_recoveries(console, evidence.injected)
    checks = [*map(checker.check_name, checker.CHECKS), *evidence.audit_checks, *findings.CHECKS]
    report.print_checks(console, checks, verdict.violations)
    for line in verdict.lines():
        console.print(line, highlight=False, soft_wrap=True, markup=False)
