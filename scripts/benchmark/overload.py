"""The section of overload: three times what the server can carry, and what becomes of each request.

Clients think between their requests, exponentially, and for as much less as they wait for answers,
so what comes does not go down where these come late. What the server can carry is measured in the
same round.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from scripts.benchmark.database import RANDOM_SLOTS, checkpoint
from scripts.benchmark.machine import describe_machine
from scripts.benchmark.measuring import faults_of, run_scenario
from scripts.benchmark.options import Options
from scripts.benchmark.processors import ForeignUse, told_disturbance
from scripts.benchmark.records import Mark, NotRun, Run, Section
from scripts.benchmark.report import milliseconds
from scripts.benchmark.scenarios import BOOKINGS, BY_NAME, Plan
from scripts.benchmark.stage import Stage, opened_stage
from scripts.benchmark.wrk import run_script

CLIENTS = 1500
OFFERED = 3
WARM_UP_SECONDS = 3
ACCEPTED, TURNED_AWAY = 201, 503
PEAK, LOADS = "random", ("random", "hot")
HEADING = (
    *("load", "offered / s", "booked / s", "p50 ms", "p99 ms"),
    *("turned away / s", "p50 ms", "p99 ms"),
)

Told = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Overload:
    """What one run saw after its warm-up; latencies in milliseconds, rates a second."""

    load: str
    peak: float
    booked: float
    turned_away: float
    booked_p50: float
    booked_p99: float
    turned_away_p50: float
    turned_away_p99: float

    @property
    def goodput(self) -> float:
        """What was booked, over the most that was booked without overload."""
        return self.booked / self.peak


def measure_overload(directory: Path, options: Options, tell: Told) -> Section:
    """Measure the peak, then offer three times as much, on slots at random and on one.

    Raises NotRun.
    """
    draw = random.Random(options.seed)
    runs: list[Run] = []
    seen: list[Overload] = []
    foreign: list[float] = []
    with opened_stage(directory, [True]) as stage:
        for round_ in range(options.rounds + 1):
            for load in draw.sample(LOADS, len(LOADS)):
                checkpoint(stage.conn)
                seconds = options.seconds if round_ else 1
                name = "random" if load == "random" else "hot-64-on"
                plan = Plan(f"peak-{load}.{round_}", seconds, draw.randrange(2**31))
                tell(f"round {round_} of {options.rounds}: {load}, what it can carry")
                peak = run_scenario(BY_NAME[name], stage, plan)
                runs.append(peak)
                if not round_:
                    continue
                tell(f"round {round_} of {options.rounds}: {load}, {OFFERED} times as much")
                others = ForeignUse()
                plan = replace(plan, label=f"overload-{load}.{round_}", seconds=2 * seconds)
                run, overload = _overload(stage, load, peak.per_second, plan)
                foreign.append(others.share())
                runs.append(run)
                seen.append(overload)
        faults = faults_of(stage, runs)
        machine = describe_machine(stage.postgres_version)
    by_load = {load: [each for each in seen if each.load == load] for load in LOADS}
    return Section(
        name="overload",
        marks=tuple(_marks(by_load)),
        heading=HEADING,
        table=tuple(_row(load, some) for load, some in by_load.items()),
        notes=(
            machine,
            f"{options.rounds} rounds of {2 * options.seconds} seconds each, seed {options.seed}.",
            *told_disturbance(foreign),
        ),
        faults=faults,
    )


def _overload(stage: Stage, load: str, peak: float, plan: Plan) -> tuple[Run, Overload]:
    slots = RANDOM_SLOTS if load == "random" else stage.new_hot_slot()
    interval_ms = 1000 * CLIENTS / (OFFERED * peak)
    arguments = [BOOKINGS, str(slots[0]), str(len(slots)), plan.label, str(plan.seed)]
    seconds = WARM_UP_SECONDS + plan.seconds
    server = stage.servers[True]
    told = run_script(
        server.base_url,
        "overload.lua",
        [*arguments, f"{interval_ms:.3f}", str(1000 * WARM_UP_SECONDS)],
        clients=CLIENTS,
        seconds=seconds,
    )
    server.wait_until_quiet()
    server.take_statuses()
    statuses = {int(status): count for status, count in told["statuses"].items()}
    run = Run(
        scenario=f"overload-{load}",
        label=plan.label,
        answered=sum(statuses.values()),
        refused=statuses.get(TURNED_AWAY, 0),
        per_second=0,
        p50_ms=0,
        p99_ms=0,
        acknowledged=statuses.get(ACCEPTED, 0),
        unanswered=CLIENTS,
        foreign_cpu=0,
        faults=find_faults(told, statuses),
    )
    counted = told["microseconds"] / 1e6 - WARM_UP_SECONDS
    booked, turned_away = (
        Latencies(told["accepted"], told["width"]),
        Latencies(told["refused"], told["width"]),
    )
    return run, Overload(
        load=load,
        peak=peak,
        booked=booked.total / counted,
        turned_away=turned_away.total / counted,
        booked_p50=booked.percentile(0.5),
        booked_p99=booked.percentile(0.99),
        turned_away_p50=turned_away.percentile(0.5),
        turned_away_p99=turned_away.percentile(0.99),
    )


def find_faults(told: Mapping[str, int], statuses: Mapping[int, int]) -> tuple[str, ...]:
    """Return what must not happen under any load, a line each."""
    faults = [
        f"status {status} was answered {count} times"
        for status, count in sorted(statuses.items())
        if status not in (ACCEPTED, TURNED_AWAY)
    ]
    texts = {
        "bare": "answers of 503 had no Retry-After",
        "strange": "answers did not bear their request's id",
        "broken": "connections failed or answers broke off",
    }
    return (*faults, *(f"{told[name]} {text}" for name, text in texts.items() if told[name]))


class Latencies:
    """Counts by class of latency: class ``c`` is of those from exp(c * width) ms on."""

    def __init__(self, counts: Mapping[str, int], width: float) -> None:
        self._counts = sorted((int(name), count) for name, count in counts.items())
        self._width = width
        self.total = sum(counts.values())

    def percentile(self, share: float) -> float:
        """Return the upper end of the class in which it lies, in milliseconds; 0 of none."""
        missing = math.ceil(share * self.total)
        for number, count in self._counts:
            missing -= count
            if missing <= 0:
                return math.exp((number + 1) * self._width)
        return 0.0


def _marks(by_load: Mapping[str, list[Overload]]) -> list[Mark]:
    some = by_load[PEAK]
    if not some:
        raise NotRun("nothing was measured")
    return [
        Mark("booked under overload, over its peak", _median(some, "goodput"), at_least=0.8),
        Mark("p99 of what is booked, s", _median(some, "booked_p99") / 1000, at_most=1),
    ]


def _median(some: list[Overload], what: str) -> float:
    return float(median(getattr(each, what) for each in some))


def _row(load: str, some: list[Overload]) -> tuple[str, ...]:
    titles = {"random": "10,000 slots, random", "hot": "hot slot"}
    return (
        titles[load],
        f"{OFFERED * _median(some, 'peak'):.0f}",
        f"{_median(some, 'booked'):.0f}",
        milliseconds(_median(some, "booked_p50")),
        milliseconds(_median(some, "booked_p99")),
        f"{_median(some, 'turned_away'):.0f}",
        milliseconds(_median(some, "turned_away_p50")),
        milliseconds(_median(some, "turned_away_p99")),
    )
