"""What a run consists of, as the faults see it, and what a fault is."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.faults.chaos.disk import SmallDisk
from tests.faults.chaos.postgres import ChaosPostgres
from tests.faults.chaos.proxies import Proxy
from tests.faults.chaos.server import ChaosServer
from tests.faults.chaos.traffic import Traffic

POLL_SECONDS = 0.01


@dataclass(frozen=True)
class Stage:
    """Everything that can be hurt."""

    postgres: ChaosPostgres
    server: ChaosServer
    database_proxy: Proxy
    client_proxy: Proxy
    traffic: Traffic
    wal_disk: SmallDisk | None


@dataclass(frozen=True)
class Draw:
    """What the schedule drew for one fault: how long, and a number in [0, 1) to choose by."""

    seconds: float
    pick: float


@dataclass(frozen=True)
class Recovery:
    """How long it took until something was as before; None: longer than was waited for."""

    what: str
    seconds: float | None
    limit: float

    @property
    def is_in_time(self) -> bool:
        """Whether the limit was kept."""
        return self.seconds is not None and self.seconds <= self.limit


@dataclass(frozen=True)
class Effect:
    """What was seen of a fault. ``ended`` (``time.monotonic()``) is when all was well again on the
    side of the fault; ``broken`` are promises that were seen broken on the way.
    """

    seen: str
    ended: float
    recoveries: tuple[Recovery, ...] = ()
    broken: tuple[str, ...] = ()


class Unhealed(Exception):
    """Something that a fault hurt did not come back: the run ends there, violated."""


class NoEffect(Exception):
    """A fault did nothing: what it was aimed at was not there."""


Inject = Callable[[Stage, Draw], Effect]


@dataclass(frozen=True)
class Kind:
    """A kind of fault; ``shortest`` and ``longest`` bound what is drawn for its length, in s."""

    name: str
    target: str
    inject: Inject
    shortest: float = 0.0
    longest: float = 0.0


def poll(is_so: Callable[[], bool], seconds: float) -> bool:
    """Wait until the condition holds, at most so long; return whether it does."""
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True
