"""Injects the faults of a schedule, one after the other, and keeps what came of each."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import psycopg2

from tests.faults.chaos.kinds.postgres import wait_for_first_booking
from tests.faults.chaos.machine import measure_usage
from tests.faults.chaos.recorder import Recorder
from tests.faults.chaos.records import Fault
from tests.faults.chaos.schedule import Planned
from tests.faults.chaos.stage import Effect, NoEffect, Recovery, Stage
from tests.faults.chaos.tally import Counts

# What a fault is aimed at may be gone just then: a backend that ended, a commit that did not wait.
ATTEMPTS = 3
# After a fault that took nothing away for longer than a moment; nobody promised it to the second.
BACK_LIMIT_SECONDS = 15.0


@dataclass(frozen=True)
class Injected:
    """A fault and what came of it. ``effect`` None: it did nothing, for the reason in ``fault``.

    ``others`` is the share of the machine that other programs had meanwhile.
    """

    planned: Planned
    effect: Effect | None
    fault: str
    recoveries: tuple[Recovery, ...]
    before: Counts
    after: Counts
    others: float


def inject_all(
    stage: Stage,
    schedule: Sequence[Planned],
    recorder: Recorder,
    tell: Callable[[Planned, Injected | None], None],
) -> list[Injected]:
    """Inject each fault, wait until bookings are acknowledged again, and go on.

    Ends early where something does not come back. ``tell`` is called as a fault begins, and with
    what came of it.
    """
    injected: list[Injected] = []
    for planned in schedule:
        time.sleep(planned.pause)
        tell(planned, None)
        injected.append(_inject(stage, planned, recorder))
        tell(planned, injected[-1])
        if any(recovery.seconds is None for recovery in injected[-1].recoveries):
            break
    return injected


def _inject(stage: Stage, planned: Planned, recorder: Recorder) -> Injected:
    before = stage.traffic.counts()
    usage = measure_usage()
    kind = planned.kind
    effect, fault = None, ""
    for _ in range(ATTEMPTS):
        began = Fault(
            id=f"fault-{planned.number}",
            kind=kind.name,
            target=kind.target,
            began=time.monotonic(),
        )
        recorder.write(began)
        try:
            effect = kind.inject(stage, planned.draw)
        except (NoEffect, psycopg2.OperationalError) as error:
            fault = " ".join(str(error).split())
            recorder.write(replace(began, ended=time.monotonic()))
        else:
            recorder.write(replace(began, ended=effect.ended, effect=effect.seen))
            break
    recoveries: tuple[Recovery, ...] = ()
    if effect:
        back = wait_for_first_booking(stage, effect.ended)
        recoveries = (*effect.recoveries, Recovery("first booking", back, BACK_LIMIT_SECONDS))
    others = usage.others_until(measure_usage())
    return Injected(planned, effect, fault, recoveries, before, stage.traffic.counts(), others)
