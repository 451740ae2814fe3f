"""What a run is asked for on the command line."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Size:
    """How much has to happen, for a run to tell anything, and by how much load.

    ``rate`` is in requests a second, all clients together, retries not counted.
    """

    acknowledged: int
    faults: int
    clients: int
    rate: float
    seconds: float = 0.0


SHORT = Size(acknowledged=5_000, faults=24, clients=24, rate=400)
# As much as two cores carry, clients included: it takes ten minutes.
LONG = Size(acknowledged=100_000, faults=216, clients=32, rate=1500)


@dataclass(frozen=True)
class Options:
    """What a run is asked for."""

    seed: int
    size: Size
    workers: int
    only: tuple[str, ...]
    keep: Path | None


def parse_options(arguments: Sequence[str] | None, kinds: Sequence[str]) -> Options:
    """Read the command line; exits on what it does not know."""
    parser = argparse.ArgumentParser(
        prog="scripts/chaos.py",
        description="Hurts the real server and its PostgreSQL while clients book, then checks that "
        "nothing acknowledged was lost, nothing doubled and no seat sold twice. "
        "Exit code: 0 passed, 1 violated, 2 void (too little happened to tell).",
    )
    size = parser.add_mutually_exclusive_group()
    size.add_argument(
        "--short",
        action="store_const",
        dest="size",
        const=SHORT,
        default=SHORT,
        help=_describe(SHORT) + " (the default)",
    )
    size.add_argument("--long", action="store_const", dest="size", const=LONG, help=_describe(LONG))
    parser.add_argument("--acknowledged", type=_positive, metavar="N", help="bookings to be had")
    parser.add_argument("--faults", type=_positive, metavar="N", help="faults to inject")
    parser.add_argument(
        "--seconds", type=float, metavar="S", default=0.0, help="go on booking for at least so long"
    )
    parser.add_argument("--seed", type=int, default=1, help="of the schedule and the clients (1)")
    parser.add_argument("--workers", type=_positive, default=3, help="of the server (3)")
    parser.add_argument(
        "--clients",
        type=_positive,
        help=f"at a time ({SHORT.clients}; {LONG.clients} with --long)",
    )
    parser.add_argument(
        "--rate",
        type=float,
        metavar="R",
        help="requests a second that the clients begin at most "
        f"({SHORT.rate:g}; {LONG.rate:g} with --long)",
    )
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        choices=kinds,
        metavar="KIND",
        help="inject this kind of fault only; may be repeated: " + ", ".join(kinds),
    )
    parser.add_argument("--keep", type=Path, metavar="DIR", help="where to leave the history")
    found = parser.parse_args(arguments)
    return Options(
        seed=found.seed,
        size=Size(
            acknowledged=found.acknowledged or found.size.acknowledged,
            faults=found.faults or found.size.faults,
            clients=found.clients or found.size.clients,
            rate=found.rate or found.size.rate,
            seconds=found.seconds,
        ),
        workers=found.workers,
        only=tuple(found.only),
        keep=found.keep,
    )


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def _describe(size: Size) -> str:
    return f"{size.acknowledged:,} acknowledged bookings and {size.faults} faults"
