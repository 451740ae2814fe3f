"""Draws what more clients do to a hot slot, with grouping and without, as SVG."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import drawsvg

from scripts.benchmark.records import Run
from scripts.benchmark.scenarios import HOT_CLIENTS, hot_name

NAME = "performance-hot-slot.svg"
MARKDOWN = f"![Bookings a second and p99 latency on one slot, grouped and ungrouped]({NAME})"
WIDTH, HEIGHT = 860, 330
PANEL_WIDTH, TOP, BOTTOM, LEFT, RIGHT = WIDTH / 2, 62, 50, 62, 18
TICKS = 5
WORDS = {"on": "grouped", "off": "ungrouped"}
# Colours of contrast enough on white and on black, told apart by who sees no red or green.
_CSS = """
text { font: 13px system-ui, sans-serif; fill: #59636e; }
.title { font-size: 15px; }
.axis, .grid { stroke: #d1d9e0; }
.on, .off { stroke-width: 2.5; fill: none; }
.on { stroke: #1a8a9a; }
.off { stroke: #d9730d; stroke-dasharray: 7 4; }
circle { stroke: none !important; }
circle.on { fill: #1a8a9a; }
circle.off { fill: #d9730d; }
@media (prefers-color-scheme: dark) {
  text { fill: #9198a1; }
  .axis, .grid { stroke: #3d444d; }
}
"""


@dataclass(frozen=True)
class _Panel:
    """A place on the drawing: clients to the right on a logarithmic scale, values upwards."""

    left: float
    step: float

    def x(self, clients: int) -> float:
        width = PANEL_WIDTH - LEFT - RIGHT
        return self.left + LEFT + width * math.log(clients) / math.log(max(HOT_CLIENTS))

    def y(self, value: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * value / (self.step * TICKS)


def draw(runs: Mapping[str, Sequence[Run]], directory: Path) -> None:
    """Write the plot of medians over the rounds. The same figures make the same file."""
    drawing = drawsvg.Drawing(WIDTH, HEIGHT)
    drawing.append_css(_CSS)
    _draw_legend(drawing)
    _draw_panel(drawing, 0, "bookings a second", _medians(runs, lambda run: run.per_second))
    _draw_panel(drawing, PANEL_WIDTH, "p99 latency, ms", _medians(runs, lambda run: run.p99_ms))
    (directory / NAME).write_text(drawing.as_svg() + "\n", "utf-8")


def nice_step(greatest: float) -> float:
    """Return the least 1, 2, 2.5 or 5 times a power of ten of which TICKS reach the value."""
    least = max(greatest, 1e-9) / TICKS
    power = 10.0 ** math.floor(math.log10(least))
    return next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= least)


def _medians(
    runs: Mapping[str, Sequence[Run]], value: Callable[[Run], float]
) -> dict[str, list[float]]:
    return {
        switch: [
            median(value(run) for run in runs[hot_name(clients, is_grouping=switch == "on")])
            for clients in HOT_CLIENTS
        ]
        for switch in ("off", "on")
    }


def _draw_legend(drawing: drawsvg.Drawing) -> None:
    for switch, x in (("on", WIDTH / 2 - 150), ("off", WIDTH / 2 + 20)):
        drawing.append(drawsvg.Line(x, 16, x + 34, 16, class_=switch))
        drawing.append(drawsvg.Text(WORDS[switch], 13, x + 42, 20))


def _draw_panel(
    drawing: drawsvg.Drawing, left: float, title: str, lines: Mapping[str, Sequence[float]]
) -> None:
    panel = _Panel(left, nice_step(max(max(values) for values in lines.values())))
    ends = (left + LEFT, left + PANEL_WIDTH - RIGHT)
    drawing.append(drawsvg.Text(title, 15, ends[0], TOP - 16, class_="title"))
    for tick in range(TICKS + 1):
        y = panel.y(panel.step * tick)
        drawing.append(drawsvg.Line(ends[0], y, ends[1], y, class_="grid"))
        label = f"{panel.step * tick:,.4g}" if panel.step < 1 else f"{panel.step * tick:,.0f}"
        drawing.append(drawsvg.Text(label, 13, ends[0] - 8, y + 4, text_anchor="end"))
    for clients in HOT_CLIENTS:
        x = panel.x(clients)
        drawing.append(drawsvg.Line(x, panel.y(0), x, panel.y(0) + 5, class_="axis"))
        drawing.append(
            drawsvg.Text(str(clients), 13, x, HEIGHT - BOTTOM + 20, text_anchor="middle")
        )
    middle = sum(ends) / 2
    drawing.append(drawsvg.Text("clients", 13, middle, HEIGHT - 10, text_anchor="middle"))
    for switch, values in lines.items():
        points = [
            (round(panel.x(clients), 1), round(panel.y(value), 1))
            for clients, value in zip(HOT_CLIENTS, values, strict=True)
        ]
        flat = [number for point in points for number in point]
        drawing.append(drawsvg.Lines(*flat, close=False, class_=switch))
        for (x, y), clients, value in zip(points, HOT_CLIENTS, values, strict=True):
            dot = drawsvg.Circle(x, y, 4.5, class_=switch)
            dot.append_title(f"{clients} clients, {WORDS[switch]}: {value:,.0f} {title}")
            drawing.append(dot)
