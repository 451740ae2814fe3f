"""The command line of the planted bugs."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NoReturn

from scripts.planted.bugs import Bug

PROGRAM = "planted_bugs.py"
# One seed could be luck.
SEEDS = (1, 2)


class By(StrEnum):
    """What has to catch a bug."""

    TESTS = "tests"
    CHAOS = "chaos"


@dataclass(frozen=True)
class Options:
    """Which bugs to plant, and what is to catch them; ``writes``: and to write what was seen."""

    bugs: tuple[Bug, ...]
    by: frozenset[By]
    seeds: tuple[int, ...]
    lists: bool
    writes: bool


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")


def parse(arguments: Sequence[str], bugs: Sequence[Bug]) -> Options:
    """Read the command line. A bad one ends the program: one line on stderr, exit 2."""
    by_name = {bug.name: bug for bug in bugs}
    parser = _Parser(
        prog=PROGRAM,
        description="Plants each bug of tests/planted in a copy of the code and runs what has to "
        "catch it there: tests, the short run under faults, or both. First all of that is run in a "
        "copy with no bug, and has to be green. All bugs take about an hour, those that tests "
        "catch a few minutes (--by tests).",
        epilog="Exit status: 0 every bug is caught; 1 one is not, or does not apply, or the code "
        "without a bug fails; 2 nothing was run; 128 + number after a signal.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("names", nargs="*", metavar="NAME", help="these bugs alone")
    add("--list", action="store_true", dest="lists", help="show the bugs and plant none")
    add(
        "--by",
        choices=[by.value for by in By],
        help="only what these have to catch, and by these alone",
    )
    add(
        "--seeds",
        nargs="+",
        type=int,
        default=list(SEEDS),
        metavar="N",
        help="of the runs under faults, each of which has to catch the bug "
        f"(default: {' '.join(map(str, SEEDS))})",
    )
    add(
        "--write",
        action="store_true",
        help="write what was seen into docs/RELIABILITY.md, of the bugs that were planted",
    )
    chosen = parser.parse_args(arguments)
    if unknown := [name for name in chosen.names if name not in by_name]:
        parser.error(f"no such bug: {', '.join(unknown)}; --list shows them")
    if chosen.write and (chosen.by or chosen.seeds != list(SEEDS)):
        parser.error("--write needs all that has to catch a bug: not with --by or --seeds")
    by = frozenset([By(chosen.by)] if chosen.by else By)
    names = chosen.names or list(by_name)
    return Options(
        bugs=tuple(bug for bug in bugs if bug.name in names and caught_by(bug) & by),
        by=by,
        seeds=tuple(dict.fromkeys(chosen.seeds)),
        lists=chosen.lists,
        writes=chosen.write,
    )


def caught_by(bug: Bug) -> frozenset[By]:
    """Return what has to catch a bug."""
    named = {By.TESTS: bug.tests, By.CHAOS: bug.checks}
    return frozenset(by for by, catchers in named.items() if catchers)
