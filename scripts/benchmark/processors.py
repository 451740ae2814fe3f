"""Who uses the processors: the benchmark and all that it started, or others."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from statistics import median

import psutil

# Kernel threads and a terminal take a little on every machine.
DISTURBED = 0.1


def told_disturbance(shares: Sequence[float]) -> list[str]:
    """Return a sentence on what others used, where that was too much; ``shares`` of each run."""
    foreign = median(shares)
    if foreign <= DISTURBED:
        return []
    return [f"Disturbed: other programs used {foreign:.0%} of the processors meanwhile (median)."]


class ForeignUse:
    """Tells what share of the machine's processors others use, kernel threads among them."""

    def __init__(self) -> None:
        self._before = self._look()

    def share(self) -> float:
        """Return the share, 0 to 1, since the last call or the making."""
        looked = self._look()
        seconds, busy, own = (
            now - before for now, before in zip(looked, self._before, strict=True)
        )
        self._before = looked
        available = seconds * (os.cpu_count() or 1)
        return min(1.0, max(0.0, (busy - own) / available)) if available else 0.0

    @staticmethod
    def _look() -> tuple[float, float, float]:
        machine = psutil.cpu_times()._asdict()
        idle = machine["idle"] + machine.get("iowait", 0.0)
        # Guests are counted in user already.
        guests = machine.get("guest", 0.0) + machine.get("guest_nice", 0.0)
        return time.monotonic(), sum(machine.values()) - idle - guests, _own_seconds()


def _own_seconds() -> float:
    this = psutil.Process()
    total = 0.0
    for process in [this, *this.children(recursive=True)]:
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        # Those of children that ended are the parent's.
        total += times.user + times.system + times.children_user + times.children_system
    return total
