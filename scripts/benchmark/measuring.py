"""Measures the scenarios in interleaved rounds, and compares what was told with what stands."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from scripts.benchmark.database import (
    SEEDED,
    checkpoint,
    count_bookings,
    violations,
)
from scripts.benchmark.processors import ForeignUse
from scripts.benchmark.records import Load, NotRun, Run
from scripts.benchmark.scenarios import Plan, Scenario
from scripts.benchmark.stage import Stage

WARM_UP_SECONDS = 1

Told = Callable[[Scenario, int, Run | None], None]


def measure(
    stage: Stage,
    scenarios: Sequence[Scenario],
    *,
    rounds: int,
    seconds: int,
    seed: int,
    tell: Told,
) -> list[Run]:
    """Warm up, then measure every scenario in each round, in an order drawn for it.

    ``tell`` hears of each run before and after it; round 0 is the warm-up, whose runs come back as
    well: its bookings count. Raises NotRun.
    """
    draw = random.Random(seed)
    runs = []
    for number in range(rounds + 1):
        checkpoint(stage.conn)
        runs += run_round(stage, scenarios, Round(number, seconds), draw, tell)
    return runs


@dataclass(frozen=True)
class Round:
    """A round's number, 0 the warm-up, how long each of its runs is, and what tells it apart."""

    number: int
    seconds: int
    name: str = ""


def run_round(
    stage: Stage, scenarios: Sequence[Scenario], round_: Round, draw: random.Random, tell: Told
) -> list[Run]:
    """Run every scenario as often as it has turns, in an order drawn. Raises NotRun."""
    runs = []
    for scenario, turn in drawn_turns(scenarios, draw):
        tell(scenario, round_.number, None)
        plan = Plan(
            label=f"{scenario.name}{round_.name}{f'-{turn}' if turn else ''}.{round_.number}",
            seconds=round_.seconds if round_.number else WARM_UP_SECONDS,
            seed=draw.randrange(2**31),
        )
        run = run_scenario(scenario, stage, plan)
        if round_.number and not run.answered:
            raise NotRun(f"{run.label}: nothing was answered within {plan.seconds} seconds")
        runs.append(run)
        tell(scenario, round_.number, run)
    return runs


def drawn_turns(
    scenarios: Sequence[Scenario], draw: random.Random
) -> Iterator[tuple[Scenario, int]]:
    """Yield each scenario with the number of each of its turns; those of one place in turns."""
    places: dict[str, list[Scenario]] = {}
    for scenario in scenarios:
        places.setdefault(scenario.place, []).append(scenario)
    for alike in draw.sample(list(places.values()), len(places)):
        for turn in range(alike[0].turns):
            for scenario in draw.sample(alike, len(alike)):
                yield scenario, turn


def measured(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Return the runs of each scenario by round and turn, the warm-up left out."""
    found: dict[str, list[Run]] = {}
    for run in runs:
        if not run.label.endswith(".0"):
            found.setdefault(run.scenario, []).append(run)
    return found


def faults_of(stage: Stage, runs: Sequence[Run]) -> tuple[str, ...]:
    """Return what went wrong, a line each; stops the servers, so that nothing is in flight.

    What must hold: each check of sql/checks; no acknowledged booking is missing and none stands
    that nobody can have asked for; nothing but the expected statuses was answered.
    """
    for server in stage.servers.values():
        server.stop()
    faults = [f"{run.label}: {fault}" for run in runs for fault in run.faults]
    faults += compare_counts(runs, count_bookings(stage.conn))
    return (*faults, *violations(stage.conn))


def compare_counts(runs: Sequence[Run], standing: dict[str, int]) -> list[str]:
    """Compare acknowledged bookings with those that stand, by label."""
    faults = []
    for run in runs:
        found = standing.get(run.label, 0)
        if found < run.acknowledged:
            faults.append(f"{run.label}: {run.acknowledged - found} acknowledged bookings are lost")
        if found > run.acknowledged + run.unanswered:
            faults.append(
                f"{run.label}: {found} bookings stand, {run.acknowledged} were acknowledged and at "
                f"most {run.unanswered} in flight"
            )
    unknown = standing.keys() - {run.label for run in runs} - {SEEDED}
    return faults + [f"bookings stand that no run made: {label}" for label in sorted(unknown)]


def run_scenario(scenario: Scenario, stage: Stage, plan: Plan) -> Run:
    """Run one scenario once, and wait until its server is done with it. Raises NotRun."""
    others = ForeignUse()
    load = scenario.make_load(scenario, stage, plan)
    foreign_cpu = others.share()
    faults = list(load.faults)
    has_server = bool(scenario.statuses)
    if has_server:
        server = stage.servers[scenario.is_grouping]
        server.wait_until_quiet()
        faults += status_faults(scenario, load, server.take_statuses())
    acknowledged = load.answered - load.refused if scenario.books else load.statuses.get(201, 0)
    makes_bookings = scenario.books or bool(load.statuses)
    return Run(
        scenario=scenario.name,
        label=plan.label,
        answered=load.answered,
        refused=load.refused,
        per_second=(load.answered - (0 if scenario.is_refused else load.refused)) / load.seconds,
        p50_ms=load.p50_ms,
        p99_ms=load.p99_ms,
        acknowledged=acknowledged,
        # pgbench waits for what it began.
        unanswered=scenario.clients if has_server and makes_bookings else 0,
        foreign_cpu=foreign_cpu,
        faults=tuple(faults),
    )


def status_faults(scenario: Scenario, load: Load, logged: Counter[int]) -> list[str]:
    """Compare the statuses of the server's log with the expected, and with what wrk counted.

    The log tells statuses apart, which would cost wrk time; wrk tells what arrived. Refusals that
    are not in the log were turned away for overload, which the server counts by the second.
    """
    refused = sum(count for status, count in logged.items() if status >= HTTPStatus.BAD_REQUEST)
    turned_away = max(0, load.refused - refused)
    statuses = logged + Counter({HTTPStatus.SERVICE_UNAVAILABLE.value: turned_away})
    faults = [
        f"status {status} was answered {count} times"
        for status, count in sorted(statuses.items())
        if status not in scenario.statuses
    ]
    arrived, served = load.answered - load.refused, logged.total() - refused
    if not arrived <= served <= arrived + scenario.clients:
        faults.append(f"{arrived} answers arrived, {served} are in the log")
    if refused > load.refused + scenario.clients:
        faults.append(f"{load.refused} refusals arrived, {refused} are in the log")
    return faults
