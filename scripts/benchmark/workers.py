"""The section of workers and of requests in flight: the same loads on servers that differ in these
alone.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from statistics import median

from booking.db.connection import connect
from scripts.benchmark.database import benchmark_database, checkpoint, server_version
from scripts.benchmark.machine import describe_machine
from scripts.benchmark.measuring import Round, Told, faults_of, run_round
from scripts.benchmark.options import Options
from scripts.benchmark.processors import told_disturbance
from scripts.benchmark.records import Run, Section
from scripts.benchmark.report import milliseconds
from scripts.benchmark.scenarios import BY_NAME
from scripts.benchmark.servers import running_server
from scripts.benchmark.stage import Stage

# Workers, and requests in flight in each at most (WEB_THREADS).
CHOICES = ((1, 64), (2, 16), (2, 64), (2, 256), (3, 64), (4, 64))
CHOSEN = ("hot-64-on", "hot-256-on", "random", "empty")
_SERVED_OR_TURNED_AWAY = frozenset({201, 503})
HEADING = ("workers x in flight", *(f"{name}: a second, p99 ms, refused" for name in CHOSEN))

Choice = tuple[int, int]


def measure_workers(directory: Path, options: Options, tell: Told) -> Section:
    """Measure each choice of workers and requests in flight in rounds, in an order drawn for each.

    Servers start and end with their turn, so that none takes memory or processors from another.
    Raises NotRun.
    """
    # More clients than a server admits are turned away, which is counted.
    scenarios = [replace(BY_NAME[name], statuses=_SERVED_OR_TURNED_AWAY) for name in CHOSEN]
    runs: dict[Choice, list[Run]] = {choice: [] for choice in CHOICES}
    draw = random.Random(options.seed)
    with ExitStack() as stack:
        dsn = stack.enter_context(benchmark_database(directory / "postgres"))
        conn = stack.enter_context(closing(connect(dsn, application_name="benchmark")))
        stage = Stage(conn, dsn, server_version(conn), {})
        for number in range(options.rounds + 1):
            for choice in draw.sample(CHOICES, len(CHOICES)):
                workers, in_flight = choice
                settings = {"WEB_CONCURRENCY": str(workers), "WEB_THREADS": str(in_flight)}
                checkpoint(conn)
                with running_server(dsn, directory / "server.log", settings) as server:
                    stage.servers[True] = server
                    round_ = Round(number, options.seconds, f".{workers}x{in_flight}")
                    runs[choice] += run_round(stage, scenarios, round_, draw, tell)
                    server.stop()
        faults = faults_of(stage, [run for some in runs.values() for run in some])
        machine = describe_machine(stage.postgres_version)
    counted = {
        choice: [run for run in some if not run.label.endswith(".0")]
        for choice, some in runs.items()
    }
    return Section(
        name="workers",
        marks=(),
        heading=HEADING,
        table=workers_table(counted),
        notes=(
            machine,
            f"{options.rounds} rounds of {options.seconds} seconds each, seed {options.seed}.",
            *told_disturbance([run.foreign_cpu for some in counted.values() for run in some]),
        ),
        faults=faults,
    )


def workers_table(runs: Mapping[Choice, Sequence[Run]]) -> tuple[tuple[str, ...], ...]:
    """Return a row for each choice: medians over the rounds, and what share was turned away."""
    rows = []
    for (workers, in_flight), some in runs.items():
        row = [f"{workers} x {in_flight}"]
        for name in CHOSEN:
            of_name = [run for run in some if run.scenario == name]
            rate = median(run.per_second for run in of_name)
            p99 = milliseconds(median(run.p99_ms for run in of_name))
            refused = median(run.refused / max(run.answered, 1) for run in of_name)
            row.append(f"{rate:.0f}, {p99}, {refused:.0%}")
        rows.append(tuple(row))
    return tuple(rows)
