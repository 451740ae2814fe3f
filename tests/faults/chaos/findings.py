"""What the run itself saw broken, beside what history and tables say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tests.faults.chaos.conductor import Injected
from tests.faults.chaos.machine import BUSY_SHARE
from tests.faults.chaos.stage import Recovery
from tests.faults.chaos.violation import Violation

# Every check whose violations the kit itself finds, here or in ``aftermath``.
CHECKS = (
    "comes_back_in_time",
    "no_fault_breaks_a_promise",
    "no_defect_is_logged",
    "no_lock_is_waited_for",
    "no_transaction_is_left_open",
    "pools_are_whole",
    "server_is_whole",
    "server_is_ready",
    "lapsed_holds_are_swept",
    "outcomes_can_be_found_out",
    "audit_answers",
)
DEFECTS = ("a defect of ours", "the sweep failed", "Exception in worker process")


def find_broken(injected: Sequence[Injected]) -> Iterator[Violation]:
    """Return what came back too late or never, and what broke in the face of a fault."""
    for each in injected:
        for recovery in each.recoveries:
            if recovery.seconds is None or (not recovery.is_in_time and not _was_busy(each)):
                yield Violation("comes_back_in_time", _took(recovery), (_name(each),))
        for promise in each.effect.broken if each.effect else ():
            yield Violation("no_fault_breaks_a_promise", promise, (_name(each),))


def find_untold(injected: Sequence[Injected]) -> Iterator[str]:
    """Return what came back too late on a machine that others kept busy: nobody can tell why."""
    for each in injected:
        for recovery in each.recoveries:
            if recovery.seconds is not None and not recovery.is_in_time and _was_busy(each):
                share = f"{each.others:.0%} of the machine was others'"
                yield f"{_name(each)}: {_took(recovery)}, while {share}"


def _was_busy(injected: Injected) -> bool:
    return injected.others > BUSY_SHARE


def _name(injected: Injected) -> str:
    return f"fault {injected.planned.number}, {injected.planned.kind.name}"


def _took(recovery: Recovery) -> str:
    took = "never" if recovery.seconds is None else f"{recovery.seconds:.2f} s"
    return f"{recovery.what}: {took}, limit {recovery.limit:.0f} s"


def find_logged_defects(log: str) -> Iterator[Violation]:
    """Return what the server's log calls a failure of its own."""
    for defect in DEFECTS:
        if found := log.count(defect):
            yield Violation("no_defect_is_logged", f"{defect!r} is logged {found} times", ())
