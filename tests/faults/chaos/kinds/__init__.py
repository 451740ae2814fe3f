"""The kinds of faults, each verified to have had its effect."""

from __future__ import annotations

from tests.faults.chaos.kinds import backends, conflicts, disk, locks, network, postgres, processes
from tests.faults.chaos.stage import Kind

KINDS: tuple[Kind, ...] = (
    *processes.KINDS,
    *postgres.KINDS,
    *backends.KINDS,
    *network.KINDS,
    *locks.KINDS,
    *conflicts.KINDS,
    *disk.KINDS,
)
