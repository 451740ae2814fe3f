"""Whether a run passed, broke a promise, or was void: too little happened for it to tell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from tests.faults.chaos.checker import find_violations
from tests.faults.chaos.clock import fit_clock
from tests.faults.chaos.history import Call, History
from tests.faults.chaos.records import BOOKINGS, READS, Operation, Outcome, Tables
from tests.faults.chaos.violation import Violation

# What a well-kept clock is set by at most, in seconds; beyond it nothing can be said of holds.
MAX_CLOCK_JUMP = 0.25


class Result(StrEnum):
    """How a run ended. A violation counts in a run that is void otherwise, too."""

    PASSED = "passed"
    VIOLATED = "violated"
    VOID = "void"


@dataclass(frozen=True, kw_only=True)
class Requirements:
    """How much must have happened. ``fault_kinds`` are the schedule's, each to be had once."""

    acknowledged: int
    unknown: int
    slot_full: int
    faults: int
    fault_kinds: frozenset[str]
    not_done: int = 1
    replayed: int = 1
    confirmed: int = 1
    cancelled: int = 1
    lapsed: int = 1
    reads: int = 1
    slot_closed: int = 1
    changed: int = 1


@dataclass(frozen=True)
class Verdict:
    """A run's result, with one line for each reason why it is not PASSED."""

    result: Result
    violations: tuple[Violation, ...]
    void_reasons: tuple[str, ...]
    counts: dict[str, int]

    def lines(self, most_per_check: int = 5) -> Iterator[str]:
        """Return the result and its reasons, of each check the first few."""
        yield f"{self.result}: {_joined(self.counts)}"
        yield from (f"void: {reason}" for reason in self.void_reasons)
        told: Counter[str] = Counter()
        for violation in self.violations:
            told[violation.check] += 1
            if told[violation.check] <= most_per_check:
                yield str(violation)
        for check, found in told.items():
            if found > most_per_check:
                yield f"{check}: {found - most_per_check} more"


def judge(history: History, tables: Tables, requirements: Requirements) -> Verdict:
    """Check a run, and whether enough happened in it."""
    violations = tuple(find_violations(history, tables))
    counts = count(history, tables)
    void_reasons = tuple(_void_reasons(history, counts, requirements))
    without_violation = Result.VOID if void_reasons else Result.PASSED
    result = Result.VIOLATED if violations else without_violation
    return Verdict(result, violations, void_reasons, counts)


def count(history: History, tables: Tables) -> dict[str, int]:
    """Return how much happened, by the names that ``Requirements`` has for it."""
    bookings = [call for kind in sorted(BOOKINGS) for call in history.by_operation[kind]]
    return {
        "acknowledged": len(
            {
                call.answer.booking.id
                for call in bookings
                if call.answer and call.answer.booking and call.outcome == Outcome.ACKNOWLEDGED
            }
        ),
        "unknown": sum(
            call.outcome == Outcome.UNKNOWN for call in history.calls if call.operation not in READS
        ),
        "slot_full": sum(_code(call) == "SLOT_FULL" for call in bookings),
        "faults": sum(bool(fault.effect) for fault in history.faults),
        "not_done": sum(call.outcome == Outcome.NOT_DONE for call in history.calls),
        "replayed": sum(bool(call.answer and call.answer.replayed) for call in bookings),
        "confirmed": _acknowledged(history, Operation.CONFIRM),
        "cancelled": _acknowledged(history, Operation.CANCEL),
        "lapsed": sum(row.status == "FAILED" for row in tables.bookings),
        "reads": sum(_acknowledged(history, operation) for operation in READS),
        "slot_closed": sum(_code(call) == "SLOT_CLOSED" for call in bookings),
        "changed": _acknowledged(history, Operation.CHANGE_SLOT),
    }


def _code(call: Call) -> str | None:
    return call.answer.code if call.answer else None


def _acknowledged(history: History, operation: Operation) -> int:
    return sum(call.outcome == Outcome.ACKNOWLEDGED for call in history.by_operation[operation])


def _void_reasons(
    history: History, counts: dict[str, int], requirements: Requirements
) -> Iterator[str]:
    for name, found in counts.items():
        if found < getattr(requirements, name):
            yield f"{name}: {found} of {getattr(requirements, name)} that are needed"
    seen = {fault.kind for fault in history.faults if fault.effect}
    if missing := requirements.fault_kinds - seen:
        yield f"no fault with an effect of the kind {_listed(sorted(missing))}"
    for fault in history.faults:
        if fault.ended is None:
            yield f"fault {fault.id} ({fault.kind} of {fault.target}) was not seen to end"
        elif not fault.effect:
            yield f"fault {fault.id} ({fault.kind} of {fault.target}) was not seen to do anything"
    jump = fit_clock(call for call in history.calls if call.operation in BOOKINGS).jump
    if jump > MAX_CLOCK_JUMP:
        yield f"a clock was set by {jump:.3f} s during the run"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)


def _joined(counts: dict[str, int]) -> str:
    return ", ".join(f"{found} {name}" for name, found in counts.items())
