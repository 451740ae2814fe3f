"""Runs the scenarios that the command line names, and turns what came of them into a status."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from contextlib import closing, nullcontext
from typing import TYPE_CHECKING

from rich.console import Console

from scripts.racing.observation import (
    DatabaseUnusable,
    connect,
    observe,
    observe_database,
)
from scripts.racing.options import Options, parse
from scripts.racing.race import Arena
from scripts.racing.records import Evidence, Expectation
from scripts.racing.report import (
    printable,
    show_calls,
    show_checks,
    show_heading,
    show_verdict,
)
from scripts.racing.scenarios import SCENARIOS, CannotRun, Run, settle, start
from scripts.racing.transport import Unreachable
from scripts.racing.verification import verify

if TYPE_CHECKING:
    import psycopg2.extensions

HELD, VIOLATED, NOT_RUN, INTERRUPTED = 0, 1, 2, 130


def main(arguments: Sequence[str]) -> int:
    """Run the test and return the exit status: 0, 1 violation, 2 not run, 130 interrupted."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    options = parse(arguments)
    # Progress goes to stderr, so that a report sent to a file leaves it on the terminal.
    out = Console(markup=False, highlight=False, emoji=False)
    screen = Console(markup=False, highlight=False, emoji=False, stderr=True)
    try:
        with nullcontext() if options.dsn is None else closing(connect(options.dsn)) as database:
            return _run_all(options, out, screen, database)
    except KeyboardInterrupt:
        _say(screen, "interrupted: nothing more is sent, and this scenario was not verified")
        return INTERRUPTED
    except (Unreachable, DatabaseUnusable) as error:
        _say(screen, str(error))
        return NOT_RUN


def _run_all(
    options: Options, out: Console, screen: Console, database: psycopg2.extensions.connection | None
) -> int:
    with closing(Arena(options.connection, screen).client()) as client:
        client.check_reachable()
    status = HELD
    for scenario in options.scenarios:
        try:
            holds = _run(scenario, options, out, screen, database)
        except (Unreachable, DatabaseUnusable) as error:
            raise type(error)(f"{scenario} was not verified: {error}") from error
        except CannotRun as reason:
            _say(screen, f"{scenario}: {reason}")
            status = status or NOT_RUN
        else:
            status = status if holds else VIOLATED
    return status


def _run(
    scenario: str,
    options: Options,
    out: Console,
    screen: Console,
    database: psycopg2.extensions.connection | None,
) -> bool:
    plan = options.plan
    arena = Arena(options.connection, screen)
    run = start(scenario, plan, arena, screen)
    if database is not None:
        observe_database(database, run.slot.id)
    show_heading(
        out,
        scenario,
        f"{plan.threads} threads, {plan.capacity} seats, {plan.seats} a booking, "
        f"seed {plan.seed}\nslot {printable(run.slot.id)}",
    )
    expectation = SCENARIOS[scenario](run)
    settle(run)
    show_calls(out, arena.journal.calls, arena.elapsed, arena.requests)
    evidence = _evidence(run, expectation, screen, database)
    checks = verify(evidence)
    show_checks(out, checks)
    show_verdict(out, scenario, checks)
    return all(check.holds for check in checks)


def _evidence(
    run: Run,
    expectation: Expectation,
    screen: Console,
    database: psycopg2.extensions.connection | None,
) -> Evidence:
    journal = run.arena.journal
    waiting = screen.status("Reading the bookings back") if screen.is_terminal else nullcontext()
    with waiting, closing(run.arena.client()) as client:
        api = observe(client, run.slot.id, journal.calls)
        rows = None if database is None else observe_database(database, run.slot.id)
    return Evidence(
        capacity=run.plan.capacity,
        intents=journal.intents,
        calls=journal.calls,
        expectation=expectation,
        api=api,
        database=rows,
    )


def _say(screen: Console, message: str) -> None:
    # Not wrapped: a message is one line, whatever the terminal's width.
    screen.print(f"concurrent_bookings.py: {printable(message)}", soft_wrap=True)
