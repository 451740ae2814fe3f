"""The command line of the concurrency test."""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NoReturn
from urllib.parse import urlsplit

from scripts.racing.scenarios import SCENARIOS, Plan
from scripts.racing.transport import Connection

MAX_THREADS = 1000
MAX_CAPACITY = 1_000_000
MAX_SEATS = 1000
MAX_REQUESTS = 10_000
MAX_SECONDS = 86_400
MAX_BOOKINGS_TO_FILL = 5000
"""Each is read back alone, with its events, after the race."""
FILLING = frozenset({"cancel", "expiry"})


@dataclass(frozen=True, slots=True)
class Options:
    """What to run, and against what. `dsn` is None where SQL is not to be asked."""

    connection: Connection
    scenarios: tuple[str, ...]
    plan: Plan
    dsn: str | None


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")


def parse(arguments: Sequence[str]) -> Options:
    """Read the command line. A bad one ends the program: one line on stderr, exit 2."""
    parser = _parser()
    chosen = parser.parse_args(arguments)
    plan = Plan(
        threads=chosen.threads,
        capacity=chosen.capacity,
        seats=chosen.seats,
        requests=chosen.requests,
        seed=random.randrange(10**6) if chosen.seed is None else chosen.seed,
        max_wait=chosen.max_wait,
    )
    names = chosen.scenario or ["oversell"]
    scenarios = tuple(SCENARIOS) if "all" in names else tuple(dict.fromkeys(names))
    if plan.seats > plan.capacity:
        parser.error(f"--seats {plan.seats} does not fit into --capacity {plan.capacity}")
    if FILLING & set(scenarios) and plan.room > MAX_BOOKINGS_TO_FILL:
        parser.error(
            f"{plan.room} bookings would have to fill the slot, at most {MAX_BOOKINGS_TO_FILL} "
            "can: give a smaller --capacity or more --seats"
        )
    connection = Connection(chosen.base_url, chosen.token, chosen.timeout)
    return Options(connection, scenarios, plan, chosen.dsn)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="concurrent_bookings.py",
        description="Races threads for the seats of a slot and proves that none is sold twice.",
        epilog="Exit status: 0 all checks hold, 1 one does not, 2 it could not be run, "
        "130 interrupted.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add(
        "--base-url",
        type=_base_url,
        default="http://127.0.0.1:3000",
        metavar="URL",
        help="the server (default: %(default)s)",
    )
    add(
        "--scenario",
        nargs="+",
        action="extend",
        choices=[*SCENARIOS, "all"],
        help="which races to run (default: oversell)",
    )
    add(
        "--threads",
        type=_whole(1, MAX_THREADS),
        default=50,
        metavar="N",
        help="threads that start together (default: %(default)s)",
    )
    add(
        "--capacity",
        type=_whole(1, MAX_CAPACITY),
        default=20,
        metavar="N",
        help="seats of the slot (default: %(default)s)",
    )
    add(
        "--seats",
        type=_whole(1, MAX_SEATS),
        default=1,
        metavar="N",
        help="seats of a booking; in mixed, at most (default: %(default)s)",
    )
    add(
        "--requests",
        type=_whole(1, MAX_REQUESTS),
        default=20,
        metavar="N",
        help="operations of each thread in mixed (default: %(default)s)",
    )
    add(
        "--seed",
        type=_whole(0, 2**63 - 1),
        metavar="N",
        help="for the order of operations; drawn and shown where it is left out",
    )
    add("--dsn", metavar="DSN", help="verify in SQL as well, on the server's database")
    add("--token", type=_token, metavar="JWT", help="an admin's token, for AUTH_MODE=jwt")
    add(
        "--timeout",
        type=_seconds,
        default=30.0,
        metavar="SECONDS",
        help="for each request (default: %(default)g)",
    )
    add(
        "--max-wait",
        type=_seconds,
        default=180.0,
        metavar="SECONDS",
        help="the longest life of a hold that expiry waits for (default: %(default)g)",
    )
    return parser


def _whole(least: int, most: int) -> Callable[[str], int]:
    def parse_whole(text: str) -> int:
        if text.isascii() and text.isdigit() and least <= int(text) <= most:
            return int(text)
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least} to {most}")

    return parse_whole


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= MAX_SECONDS:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a number of seconds, above 0 and up to {MAX_SECONDS}"
        )
    return seconds


def _base_url(text: str) -> str:
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable or parts.query or parts.fragment or parts.username is not None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a URL like http://127.0.0.1:3000")
    return text.rstrip("/")


def _token(text: str) -> str:
    if not (text.isascii() and text.isprintable() and text and " " not in text):
        raise argparse.ArgumentTypeError("a token is visible ASCII, without spaces")
    return text
