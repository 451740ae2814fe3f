"""The command: options, progress, the tables and the exit code."""

from __future__ import annotations

import traceback
from collections.abc import Sequence

from rich.console import Console

from booking.cli.supervise import signals_unwind
from tests.faults.chaos.kinds import KINDS
from tests.faults.chaos.options import parse_options
from tests.faults.chaos.run import run
from tests.faults.chaos.stage import Unhealed
from tests.faults.chaos.verdict import Result

EXIT_CODES = {Result.PASSED: 0, Result.VIOLATED: 1, Result.VOID: 2}
# Where there is no terminal, wide enough for the tables.
WIDTH = 150


def main(arguments: Sequence[str] | None = None) -> int:
    """Run and return the exit code: 0 passed, 1 violated, 2 void; a run that fails is void."""
    options = parse_options(arguments, [kind.name for kind in KINDS])
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH)
    with signals_unwind():
        try:
            return EXIT_CODES[run(options, console)]
        except Unhealed as error:
            console.print(f"violated: {error}", markup=False, highlight=False)
            return EXIT_CODES[Result.VIOLATED]
        except FileExistsError as error:
            console.print(f"chaos.py: {error}", markup=False, highlight=False)
            return EXIT_CODES[Result.VOID]
        except Exception:  # noqa: BLE001 - the kit's own failure must not pass for a violation
            console.print(traceback.format_exc(), markup=False, highlight=False)
            console.print("void: the run itself failed", style="bold red")
            return EXIT_CODES[Result.VOID]
