"""The tables at the end of a run."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from statistics import median

from rich.console import Console
from rich.table import Table

from tests.faults.chaos.conductor import Injected
from tests.faults.chaos.stage import Recovery
from tests.faults.chaos.violation import Violation


def print_faults(console: Console, injected: Sequence[Injected]) -> None:
    """Show each kind of fault: how often, what was seen of it, and what the clients had of it."""
    table = Table(title="Faults", title_justify="left")
    table.add_column("kind")
    table.add_column("with effect", justify="right")
    table.add_column("seen, the last time")
    for name in ("acknowledged", "not done", "unknown"):
        table.add_column(name, justify="right")
    table.add_column("first booking after, s\nmedian / longest", justify="right")
    by_kind: dict[str, list[Injected]] = defaultdict(list)
    for each in injected:
        by_kind[each.planned.kind.name].append(each)
    for kind, of_kind in sorted(by_kind.items()):
        with_effect = [each for each in of_kind if each.effect]
        seen = [each.effect.seen for each in with_effect if each.effect]
        backs = [each.recoveries[-1].seconds for each in with_effect]
        times = [seconds for seconds in backs if seconds is not None]
        table.add_row(
            kind,
            f"{len(with_effect)} of {len(of_kind)}",
            seen[-1] if seen else of_kind[-1].fault,
            str(sum(each.after.acknowledged - each.before.acknowledged for each in of_kind)),
            str(_more(of_kind, "not_done")),
            str(_more(of_kind, "unknown")),
            f"{median(times):.2f} / {max(times):.2f}" if times else "never",
        )
    console.print(table)


def _more(injected: Iterable[Injected], outcome: str) -> int:
    return sum(
        each.after.outcomes.get(outcome, 0) - each.before.outcomes.get(outcome, 0)
        for each in injected
    )


def print_recoveries(console: Console, injected: Sequence[Injected]) -> None:
    """Show how long coming back took, against what is promised."""
    table = Table(title="Coming back", title_justify="left")
    for name in ("what", "times", "median, s", "longest, s", "limit, s", "late"):
        table.add_column(name, justify="left" if name == "what" else "right")
    found: dict[str, list[Recovery]] = defaultdict(list)
    for each in injected:
        for recovery in each.recoveries:
            found[recovery.what].append(recovery)
    for what, recoveries in sorted(found.items()):
        times = [each.seconds for each in recoveries if each.seconds is not None]
        table.add_row(
            what,
            str(len(recoveries)),
            f"{median(times):.2f}" if times else "-",
            f"{max(times):.2f}" if len(times) == len(recoveries) else "never",
            f"{recoveries[0].limit:.0f}",
            str(sum(not each.is_in_time for each in recoveries)),
        )
    console.print(table)


def print_checks(console: Console, checks: Sequence[str], violations: Sequence[Violation]) -> None:
    """Show each check and how often it was violated."""
    found = Counter(violation.check for violation in violations)
    table = Table(title="Checks", title_justify="left")
    table.add_column("check")
    table.add_column("violations", justify="right")
    for check in [*checks, *sorted(found.keys() - set(checks))]:
        table.add_row(check, f"[bold red]{found[check]}" if found[check] else "0")
    console.print(table)


def print_counts(console: Console, counts: Mapping[str, int], codes: Mapping[str, int]) -> None:
    """Show how much happened, and with which codes and failures requests ended."""
    table = Table(title="What happened", title_justify="left")
    table.add_column("what")
    table.add_column("how often", justify="right")
    for name, found in counts.items():
        table.add_row(name, f"{found:,}")
    table.add_section()
    for name, found in sorted(codes.items(), key=lambda item: -item[1]):
        table.add_row(name, f"{found:,}")
    console.print(table)
