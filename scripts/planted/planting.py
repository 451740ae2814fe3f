"""Plants bugs one after the other, and judges what was seen."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from scripts.planted.bugs import Bug
from scripts.planted.copies import copy_of
from scripts.planted.options import By, Options
from scripts.planted.patching import PatchFailed
from scripts.planted.trials import Colour, Outcome, run_chaos, run_tests

HONEST = "(no bug)"
# All tests that are named take minutes one by one; a bug's own take seconds.
HONEST_PROCESSES = 2
MOST_CHECKS_SHOWN = 3
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Trial:
    """A copy, with a bug or with none, and what came of each run in it."""

    name: str
    is_as_wanted: bool
    seen: str
    failure: str = ""


def count_steps(options: Options) -> int:
    """Return how many runs there will be."""
    return sum(
        (By.TESTS in options.by and any(each.tests for each in bugs)) + len(_seeds(options, bugs))
        for bugs in (options.bugs, *([bug] for bug in options.bugs))
    )


def try_honest(root: Path, options: Options, tell: Tell) -> Trial:
    """Run all that has to catch a bug in a copy with none: it has to be green."""
    tests = [test for bug in options.bugs for test in bug.tests]
    with copy_of(root, None) as copy:
        outcomes = list(_run(copy, options, None, list(dict.fromkeys(tests)), tell))
    return _judge(HONEST, outcomes, Colour.GREEN)


def try_bug(root: Path, options: Options, bug: Bug, tell: Tell) -> Trial:
    """Run what has to catch a bug in a copy with it: each has to be red."""
    try:
        with copy_of(root, bug.diff) as copy:
            outcomes = list(_run(copy, options, bug, bug.tests, tell))
    except PatchFailed as error:
        return Trial(bug.name, is_as_wanted=False, seen="does not apply", failure=str(error))
    return _judge(bug.name, outcomes, Colour.RED)


def _run(
    copy: Path, options: Options, bug: Bug | None, tests: Sequence[str], tell: Tell
) -> Iterator[tuple[str, Outcome]]:
    name = bug.name if bug else HONEST
    if By.TESTS in options.by and tests:
        tell(f"{name}: tests")
        yield "tests", run_tests(copy, tests, processes=0 if bug else HONEST_PROCESSES)
    for seed in _seeds(options, [bug] if bug else options.bugs):
        tell(f"{name}: short run, seed {seed}")
        yield f"seed {seed}", run_chaos(copy, seed, bug.checks if bug else ())


def _seeds(options: Options, bugs: Sequence[Bug]) -> Sequence[int]:
    return options.seeds if By.CHAOS in options.by and any(bug.checks for bug in bugs) else ()


def _judge(name: str, outcomes: Sequence[tuple[str, Outcome]], wanted: Colour) -> Trial:
    failures = [
        f"{what}: {outcome.colour}: {outcome.told}"
        for what, outcome in outcomes
        if outcome.colour != wanted
    ]
    seen = "; ".join(f"{what}: {_seen(outcome)}" for what, outcome in outcomes)
    return Trial(name, not failures, seen, "\n".join(failures))


def _seen(outcome: Outcome) -> str:
    if not outcome.found:
        return outcome.told.partition("\n")[0]
    shown = [f"{check} {count}" for check, count in outcome.found.most_common(MOST_CHECKS_SHOWN)]
    more = len(outcome.found) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")
