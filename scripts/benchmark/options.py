"""The command line of the benchmark."""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import NoReturn

from booking.config import PROJECT_ROOT
from scripts.benchmark.scenarios import ALL, BY_NAME, Scenario

PROGRAM = "bench.py"
ROUNDS, SECONDS = 5, 5
QUICK_ROUNDS, QUICK_SECONDS = 2, 2
MEMORY_REQUESTS = 1_000_000


class Part(StrEnum):
    """What one run of the benchmark measures."""

    LOADS = "loads"
    WORKERS = "workers"
    OVERLOAD = "overload"
    SEARCHES = "searches"
    GROWTH = "growth"
    MEMORY = "memory"


@dataclass(frozen=True)
class Options:
    """What to measure, how long, and where the figures go; ``docs`` None: to the terminal alone.

    ``scenarios`` are of the loads, ``memory_requests`` of the memory of a worker.
    """

    part: Part
    scenarios: tuple[Scenario, ...]
    rounds: int
    seconds: int
    seed: int
    memory_requests: int
    is_quick: bool
    docs: Path | None


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")


def parse(arguments: Sequence[str]) -> Options:
    """Read the command line. A bad one ends the program: one line on stderr, exit 2."""
    chosen = _parser().parse_args(arguments)
    rounds = chosen.rounds or (QUICK_ROUNDS if chosen.quick else ROUNDS)
    seconds = chosen.seconds or (QUICK_SECONDS if chosen.quick else SECONDS)
    # A part of the figures, or hasty ones, must not stand where all of them stood.
    is_whole = not chosen.quick and not chosen.only
    return Options(
        part=_part(chosen),
        scenarios=tuple(BY_NAME[name] for name in dict.fromkeys(chosen.only)) or ALL,
        rounds=rounds,
        seconds=seconds,
        seed=random.randrange(10**6) if chosen.seed is None else chosen.seed,
        memory_requests=chosen.memory or MEMORY_REQUESTS,
        is_quick=chosen.quick,
        docs=PROJECT_ROOT / "docs" if is_whole else None,
    )


def _part(chosen: argparse.Namespace) -> Part:
    if chosen.memory:
        return Part.MEMORY
    if chosen.growth:
        return Part.GROWTH
    if chosen.overload:
        return Part.OVERLOAD
    if chosen.searches:
        return Part.SEARCHES
    return Part.WORKERS if chosen.workers else Part.LOADS


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog=PROGRAM,
        description="Measures the server under load, on a PostgreSQL of its own, and holds the "
        "figures against pgbench and an empty endpoint. A whole run takes about ten minutes and "
        "writes its table and plot into docs/.",
        epilog="Exit status: 0 measured, whatever the marks say; 1 seats were oversold, bookings "
        "lost or answers unexpected; 2 it could not be run; 128 + number after a signal.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    parts = parser.add_mutually_exclusive_group()
    add("--quick", action="store_true", help="about two minutes, and docs/ stays as it is")
    parts.add_argument(
        "--only",
        action="append",
        default=[],
        choices=list(BY_NAME),
        metavar="NAME",
        help=f"one scenario, docs/ stays as it is; may be repeated: {', '.join(BY_NAME)}",
    )
    add(
        "--rounds",
        type=_whole(1, 1000),
        metavar="N",
        help=f"rounds (default: {ROUNDS}; {QUICK_ROUNDS} with --quick)",
    )
    add(
        "--seconds",
        type=_whole(1, 600),
        metavar="N",
        help=f"of a scenario in a round (default: {SECONDS}; {QUICK_SECONDS} with --quick)",
    )
    add(
        "--seed",
        type=_whole(0, 2**31 - 1),
        metavar="N",
        help="for the order and what is drawn; drawn itself and shown where it is left out",
    )
    parts.add_argument(
        "--workers",
        action="store_true",
        help="measure numbers of workers and of requests in flight instead, about a quarter of an "
        "hour",
    )
    parts.add_argument(
        "--overload",
        action="store_true",
        help="offer three times what the server can carry instead, about three minutes",
    )
    parts.add_argument(
        "--searches",
        action="store_true",
        help="measure bookings beside a flood of anonymous searches instead, about two minutes",
    )
    parts.add_argument(
        "--growth",
        action="store_true",
        help="measure small and large databases, and sweeps of 100,000 holds, instead: about half "
        "an hour, and 10 GB of disk; with --quick smaller ones",
    )
    parts.add_argument(
        "--memory",
        nargs="?",
        type=_whole(20_000, 10**9),
        const=MEMORY_REQUESTS,
        metavar="REQUESTS",
        help="measure the memory of a worker instead, after 10,000 requests and after so many "
        f"(default: {MEMORY_REQUESTS}, which takes about a quarter of an hour)",
    )
    return parser


def _whole(least: int, most: int) -> Callable[[str], int]:
    def parse_whole(text: str) -> int:
        if text.isascii() and text.isdigit() and least <= int(text) <= most:
            return int(text)
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least} to {most}")

    return parse_whole
