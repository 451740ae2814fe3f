"""How often a worker looks for garbage, in a process of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

from booking.config import PROJECT_ROOT

PROGRAM = """
import gc, sys
from booking.worker.collector import collect_seldom

collect_seldom()
looked = []
gc.callbacks.append(lambda phase, info: looked.append(phase))

class Cycle:
    alive = 0

    def __init__(self):
        Cycle.alive += 1
        self.myself = self

    def __del__(self):
        Cycle.alive -= 1

for _ in range(int(sys.argv[1])):
    Cycle()
print(len(looked) // 2, Cycle.alive < 10_100, gc.get_freeze_count() > 1000)
"""


@pytest.mark.parametrize(("cycles", "looks"), [(5_000, 0), (45_000, 4)])
def test_collector_looks_seldom_but_does_look(cycles: int, looks: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(cycles)],
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == [str(looks), "True", "True"]
