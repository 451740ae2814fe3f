"""What the terminal shows once a scenario is over."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from scripts.racing.records import Call, Check, Operation, Result

LABELS = {Operation.SETTLE: "settle unknown", Operation.REPLAY: "send again"}
STYLES = {
    Result.ACCEPTED: "green",
    Result.REPLAYED: "cyan",
    Result.REFUSED: "yellow",
    Result.ERROR: "red",
    Result.UNKNOWN: "magenta",
}
MAX_OFFENDERS = 5
MAX_BAR = 60
BAR_PARTS = " ▏▎▍▌▋▊▉█"
STEPS_OF_A_DECADE = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0)


def show_heading(console: Console, scenario: str, facts: str) -> None:
    """Open a scenario's part of the report."""
    console.print()
    rule = "-" if console.options.ascii_only else "─"
    console.rule(Text(scenario, style="bold"), characters=rule, align="left")
    console.print(Text(facts, style="dim"))


def show_calls(console: Console, calls: Sequence[Call], elapsed: float, requests: int) -> None:
    """Print the answers, the latencies with their histogram, and the throughput."""
    console.print(_answers(calls))
    console.print(_latencies(calls))
    accepted = len({call.booking.id for call in calls if call.booking is not None})
    if elapsed > 0:
        console.print(
            f"{requests} requests in {elapsed:.2f} s: {requests / elapsed:.0f} a second. "
            f"{accepted} bookings made."
        )
    if resent := _resent(calls):
        console.print(f"Sent again: {resent}.")
    console.print()
    console.print(Text("Latency of all requests", style="bold"))
    _show_histogram(console, [e.seconds * 1000 for call in calls for e in call.exchanges])


def show_checks(console: Console, checks: Sequence[Check]) -> None:
    """Print each check with its mark and numbers, and below it what breaks it."""
    tick, cross = ("ok", "FAIL") if console.options.ascii_only else ("✓", "✗")
    console.print()
    console.print(Text("Verification", style="bold"))
    table = Table.grid(padding=(0, 1))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column()
    for check in checks:
        style = "green" if check.holds else "bold red"
        table.add_row(
            Text(tick if check.holds else cross, style=style),
            Text(check.name, style="" if check.holds else style),
            Text(printable(check.detail), style="dim" if check.holds else style),
        )
    console.print(table)
    for check in checks:
        if not check.holds and check.offenders:
            console.print(Text(f"{check.name}:", style="bold red"))
            for offender in check.offenders[:MAX_OFFENDERS]:
                console.print(Text(f"  {printable(offender)}", style="red"), soft_wrap=True)
            if len(check.offenders) > MAX_OFFENDERS:
                console.print(Text(f"  and {len(check.offenders) - MAX_OFFENDERS} more"))


def show_verdict(console: Console, scenario: str, checks: Sequence[Check]) -> None:
    """Print the scenario's verdict in one line."""
    broken = sum(not check.holds for check in checks)
    if broken:
        text = f"{scenario}: {broken} of {len(checks)} checks do not hold"
        console.print(Text(text, style="bold red"))
    else:
        console.print(Text(f"{scenario}: all {len(checks)} checks hold", style="bold green"))


def printable(text: str) -> str:
    """`text` on one line, without control characters that a server could send to a terminal."""
    return "".join(char if char.isprintable() else "?" for char in text)


def percentile(ordered: Sequence[float], share: float) -> float:
    """Find the value at `share` of an ascending list by the nearest-rank method; 0.0 of none."""
    if not ordered:
        return 0.0
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def histogram(values: Sequence[float]) -> list[tuple[float, float, int]]:
    """Count values, at least one, into (from, to, count) of a logarithmic scale, with no gap."""
    floor = _decade(min(values))
    ceiling = _decade(max(values)) + 1
    edges = [10.0**decade * step for decade in range(floor, ceiling) for step in STEPS_OF_A_DECADE]
    edges.append(10.0**ceiling)
    counts = Counter(min(max(bisect_right(edges, v) - 1, 0), len(edges) - 2) for v in values)
    return [
        (edges[bin_], edges[bin_ + 1], counts[bin_]) for bin_ in range(min(counts), max(counts) + 1)
    ]


def _decade(value: float) -> int:
    return math.floor(math.log10(max(value, 1e-3)))


def _answers(calls: Sequence[Call]) -> Table:
    count: Counter[tuple[Operation, Result, str]] = Counter()
    requests: Counter[tuple[Operation, Result, str]] = Counter()
    for call in calls:
        kind = (call.operation, call.result, call.code or "")
        count[kind] += 1
        requests[kind] += len(call.exchanges)
    table = _table("operation", "answer", "calls", "requests")
    order = (list(Operation), list(Result))
    last: Operation | None = None
    for kind in sorted(count, key=lambda k: (order[0].index(k[0]), order[1].index(k[1]), k[2])):
        operation, result, code = kind
        word = "given up" if result is Result.ERROR else str(result)
        table.add_row(
            "" if operation is last else LABELS.get(operation, str(operation)),
            Text(printable(f"{word} {code}".rstrip()), style=STYLES[result]),
            str(count[kind]),
            str(requests[kind]),
        )
        last = operation
    return table


def _resent(calls: Sequence[Call]) -> str:
    """Say for which answers, or lack of one, requests were sent again."""
    reasons = Counter(
        f"{exchange.status or ''} {exchange.code}".strip()
        for call in calls
        for exchange in call.exchanges[:-1]
    )
    return printable(", ".join(f"{count} for {why}" for why, count in reasons.most_common()))


def _latencies(calls: Sequence[Call]) -> Table:
    seconds: dict[Operation, list[float]] = defaultdict(list)
    for call in calls:
        seconds[call.operation] += [exchange.seconds for exchange in call.exchanges]
    table = _table("latency in ms", "p50", "p90", "p99", "max")
    for operation in Operation:
        if operation in seconds:
            table.add_row(
                LABELS.get(operation, str(operation)), *_summary(sorted(seconds[operation]))
            )
    if len(seconds) > 1:
        everything = sorted(s for some in seconds.values() for s in some)
        table.add_row("all", *_summary(everything), style="bold")
    return table


def _summary(ordered: Sequence[float]) -> list[str]:
    return [_milliseconds(percentile(ordered, share)) for share in (0.50, 0.90, 0.99, 1.0)]


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.1f}"


def _table(first: str, *others: str) -> Table:
    table = Table(header_style="bold", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column(first)
    for name in others:
        table.add_column(name, justify="left" if name == "answer" else "right")
    return table


def _show_histogram(console: Console, milliseconds: Sequence[float]) -> None:
    if not milliseconds:
        return
    bins = histogram(milliseconds)
    most = max(count for _, _, count in bins)
    width = max(10, min(MAX_BAR, console.width - 28))
    for low, high, count in bins:
        bar = _bar(count / most * width, ascii_only=console.options.ascii_only)
        label = f"{low:>7.4g} to {high:<7.4g}ms"
        line = Text(label, style="dim")
        if bar:
            line.append(f" {bar}", style="not dim blue")
        console.print(line.append(f" {count}", style="not dim"))


def _bar(length: float, *, ascii_only: bool) -> str:
    if ascii_only:
        return "#" * math.ceil(length)
    whole, part = divmod(math.ceil(length * 8), 8)
    return "█" * whole + (BAR_PARTS[part] if part else "")
