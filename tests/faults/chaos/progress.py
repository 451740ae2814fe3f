"""Shows a run while it goes on: bars of bookings and faults, and a line for each fault."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tests.faults.chaos.conductor import Injected
from tests.faults.chaos.options import Size
from tests.faults.chaos.schedule import Planned
from tests.faults.chaos.tally import Counts
from tests.faults.chaos.traffic import Traffic

REFRESH_SECONDS = 0.5


class RunProgress:
    """Two bars, and lines above them."""

    def __init__(self, console: Console, bars: Progress, size: Size) -> None:
        self._console = console
        self._bars = bars
        self._bookings = bars.add_task("acknowledged", total=size.acknowledged, note="")
        self._faults = bars.add_task("faults", total=size.faults, note="")

    def show_counts(self, counts: Counts) -> None:
        """Move the bar of bookings."""
        note = ", ".join(f"{found} {name}" for name, found in sorted(counts.outcomes.items()))
        self._bars.update(self._bookings, completed=counts.acknowledged, note=note)

    def show_fault(self, planned: Planned, injected: Injected | None) -> None:
        """Name the fault that begins, or tell what came of it."""
        if injected is None:
            self._bars.update(self._faults, note=planned.kind.name)
            return
        self._bars.update(self._faults, advance=1, note="")
        seen = injected.effect.seen if injected.effect else f"NO EFFECT: {injected.fault}"
        back = injected.recoveries[-1].seconds if injected.recoveries else None
        after = f"first booking after {back:.2f} s" if back is not None else "no booking after it"
        late = [each.what for each in injected.recoveries if not each.is_in_time]
        self._console.print(
            f"{planned.number:4}  {planned.kind.name}: {seen}; {after}"
            + (f"; LATE: {', '.join(late)}" if late else ""),
            highlight=False,
        )

    def say(self, line: str) -> None:
        """Write a line above the bars."""
        self._console.print(line, highlight=False)


@contextmanager
def run_progress(console: Console, size: Size, traffic: Traffic) -> Iterator[RunProgress]:
    """Show the bars for the length of the block."""
    columns = (
        TextColumn("{task.description:12}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}"),
    )
    stop = threading.Event()
    with Progress(*columns, console=console) as bars:
        shown = RunProgress(console, bars, size)

        def refresh() -> None:
            while not stop.wait(REFRESH_SECONDS):
                try:
                    shown.show_counts(traffic.counts())
                except (EOFError, OSError):
                    return

        thread = threading.Thread(target=refresh, daemon=True)
        thread.start()
        try:
            yield shown
        finally:
            stop.set()
            thread.join()
