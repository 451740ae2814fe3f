"""What the run itself finds: recoveries that were late, promises that broke, defects in a log."""

from __future__ import annotations

import subprocess
import sys

import psutil
import pytest

from tests.faults.chaos.conductor import Injected
from tests.faults.chaos.findings import find_broken, find_logged_defects, find_untold
from tests.faults.chaos.kinds import KINDS
from tests.faults.chaos.machine import BUSY_SHARE, Usage, measure_usage
from tests.faults.chaos.schedule import make_schedule
from tests.faults.chaos.stage import Effect, Recovery
from tests.faults.chaos.tally import Counts

NOTHING = Counts(0, {}, {}, 0)
PLANNED = make_schedule(1, KINDS, 1)[0]
IDLE, BUSY = BUSY_SHARE / 2, BUSY_SHARE * 2


def injected(seconds: float | None, others: float, *broken: str) -> Injected:
    effect = Effect("seen", ended=0.0, broken=broken)
    recoveries = (Recovery("first booking", seconds, limit=5.0),)
    return Injected(PLANNED, effect, "", recoveries, NOTHING, NOTHING, others)


@pytest.mark.parametrize(
    ("seconds", "others", "violations", "untold"),
    [
        (5.0, IDLE, 0, 0),
        (5.1, IDLE, 1, 0),
        (5.1, BUSY, 0, 1),
        (5.0, BUSY, 0, 0),
        (None, IDLE, 1, 0),
        (None, BUSY, 1, 0),
    ],
)
def test_late_is_a_violation_where_the_machine_was_ours(
    seconds: float | None, others: float, violations: int, untold: int
) -> None:
    course = [injected(seconds, others)]
    assert [each.check for each in find_broken(course)] == ["comes_back_in_time"] * violations
    assert len([*find_untold(course)]) == untold


def test_a_broken_promise_is_found() -> None:
    [found] = find_broken([injected(1.0, IDLE, "exit code 1")])
    assert (found.check, found.what) == ("no_fault_breaks_a_promise", "exit code 1")


@pytest.mark.parametrize(
    ("log", "count"), [("all is well", 0), ("a defect of ours\nx\nthe sweep failed", 2)]
)
def test_defects_in_the_log_are_found(log: str, count: int) -> None:
    assert len([*find_logged_defects(log)]) == count


def test_what_others_use_is_what_we_do_not() -> None:
    before = Usage(moment=0.0, everybody=10.0, ours=1.0)
    processors = psutil.cpu_count() or 1
    later = Usage(moment=2.0, everybody=10.0 + processors, ours=1.0 + processors / 2)
    assert before.others_until(later) == pytest.approx(0.25)
    assert before.others_until(before) == 0.0


@pytest.mark.parametrize("state", ["running", "ended"])
def test_what_a_child_uses_is_ours(state: str) -> None:
    work = "import time\nwhile time.process_time() < 0.5: pass\nprint(flush=True)\ninput()"
    before = measure_usage()
    with subprocess.Popen(
        [sys.executable, "-c", work], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout
        child.stdout.readline()
        if state == "ended":
            child.communicate(b"\n")
        after = measure_usage()
        child.kill()
    assert 0.4 <= after.ours - before.ours <= after.everybody - before.everybody + 0.1
