"""Plants what the command line asks for, shows what was seen, and turns it into a status."""

from __future__ import annotations

import io
import itertools
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from booking.cli.supervise import signals_unwind
from scripts.planted.bugs import ROOT, BadBug, Bug, read_bugs
from scripts.planted.document import NAME, BadDocument, write_rows
from scripts.planted.options import PROGRAM, Options, parse
from scripts.planted.planting import Trial, count_steps, try_bug, try_honest

CAUGHT, SURVIVED, NOT_RUN = 0, 1, 2
# Where there is no terminal, wide enough for the tables.
WIDTH = 150


def main(arguments: Sequence[str]) -> int:
    """Plant the bugs and return the exit status: 0 all are caught, 1 not, 2 not run.

    A signal ends it with SystemExit, 128 + its number, once all that was started has ended.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    # Progress goes to stderr, so that a table sent to a file leaves it on the terminal.
    out, screen = _console(), _console(stderr=True)
    try:
        bugs = read_bugs()
        options = parse(arguments, bugs)
        if options.lists:
            out.print(_list(options.bugs))
            return CAUGHT
        with signals_unwind():
            trials = _plant(options, bugs, screen)
        out.print(_table(trials))
    except (BadBug, BadDocument, OSError) as error:
        screen.print(f"{PROGRAM}: {error}", soft_wrap=True)
        return NOT_RUN
    return CAUGHT if all(trial.is_as_wanted for trial in trials) else SURVIVED


def _console(*, stderr: bool = False) -> Console:
    console = Console(markup=False, highlight=False, emoji=False, stderr=stderr)
    return (
        console
        if console.is_terminal
        else Console(markup=False, highlight=False, emoji=False, stderr=stderr, width=WIDTH)
    )


def _plant(options: Options, bugs: Sequence[Bug], screen: Console) -> list[Trial]:
    """Try the code without a bug first: where it fails, what the bugs do tells nothing.

    What was seen of a bug is written at once, as far as it is to be written.
    """
    columns = (
        TextColumn("{task.description}", table_column=None),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    trials: list[Trial] = []
    with Progress(*columns, console=screen) as progress:
        task = progress.add_task("", total=count_steps(options))
        steps = itertools.count()

        def tell(step: str) -> None:
            progress.update(task, description=step, completed=next(steps))

        def take(trial: Trial) -> None:
            trials.append(trial)
            screen.print(f"{_mark(trial)} {trial.name}: {trial.seen}", soft_wrap=True)
            if trial.failure:
                screen.print(trial.failure, soft_wrap=True)

        take(try_honest(ROOT, options, tell))
        if trials[0].is_as_wanted:
            for bug in options.bugs:
                trial = try_bug(ROOT, options, bug, tell)
                take(trial)
                if options.writes and trial.is_as_wanted:
                    write_rows(ROOT / "docs" / NAME, bugs, {trial.name: trial.seen})
    return trials


def _mark(trial: Trial) -> str:
    return "✓" if trial.is_as_wanted else "✗"


def _table(trials: Sequence[Trial]) -> Table:
    table = Table(title="Planted bugs", title_justify="left")
    for name in ("", "bug", "seen"):
        table.add_column(name)
    for trial in trials:
        table.add_row(_mark(trial), trial.name, trial.seen)
    return table


def _list(bugs: Sequence[Bug]) -> Table:
    table = Table(title="Planted bugs", title_justify="left", show_lines=True)
    for name in ("bug", "what the code does then", "caught by"):
        table.add_column(name, overflow="fold")
    for bug in bugs:
        chaos = [f"short run: {', '.join(bug.checks)}"] if bug.checks else []
        table.add_row(bug.name, bug.breaks, "\n".join([*chaos, *bug.tests]))
    return table
