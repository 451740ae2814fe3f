"""How much of the machine others had while something was timed."""

from __future__ import annotations

import time
from dataclasses import dataclass

import psutil

# Where others had more than this, a time that was too long says nothing of the server.
BUSY_SHARE = 0.2


@dataclass(frozen=True)
class Usage:
    """Seconds of processor time, of all and of this process with its descendants, at a moment."""

    moment: float
    everybody: float
    ours: float

    def others_until(self, later: Usage) -> float:
        """Return the share, 0 to 1, of all processors that others had until ``later``."""
        passed = (later.moment - self.moment) * (psutil.cpu_count() or 1)
        others = (later.everybody - self.everybody) - (later.ours - self.ours)
        return min(1.0, max(0.0, others / passed)) if passed else 0.0


def measure_usage() -> Usage:
    """Return the usage up to now."""
    total = psutil.cpu_times()
    # What a hypervisor gave to somebody else is missing here as much as what a neighbour took.
    everybody = sum(
        getattr(total, name, 0.0) for name in ("user", "nice", "system", "irq", "softirq", "steal")
    )
    me = psutil.Process()
    return Usage(time.monotonic(), everybody, sum(map(_used, [me, *me.children(recursive=True)])))


def _used(process: psutil.Process) -> float:
    """Return what a process and those of its children that have ended used."""
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return times.user + times.system + times.children_user + times.children_system
