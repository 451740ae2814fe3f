"""The benchmark's parts: what it reads, how it judges, and what it writes."""

from __future__ import annotations

import os
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from scripts.benchmark.cli import main
from scripts.benchmark.document import NAME, replace_section, write_section
from scripts.benchmark.marks import load_marks, ratio
from scripts.benchmark.measuring import compare_counts, measured, status_faults
from scripts.benchmark.options import parse
from scripts.benchmark.pgbench import bare_statement, booking_script, own_statement, parse_pgbench
from scripts.benchmark.plot import draw, nice_step
from scripts.benchmark.records import Load, Mark, NotRun, Run, Section
from scripts.benchmark.report import load_table, mark_rows
from scripts.benchmark.scenarios import ALL, BY_NAME, HOT_CLIENTS
from scripts.benchmark.wrk import parse_wrk

ROOT = Path(__file__).resolve().parents[2]
SUMMARY = (
    '{"microseconds":2000000,"requests":50,"refused":5,"connect":0,"read":0,"write":0,'
    '"timeout":0,"p50_us":1500,"p99_us":25000,"statuses":{"200":40,"409":5}}'
)
LOAD = Load(seconds=2, answered=50, refused=5, p50_ms=1.5, p99_ms=25, statuses={200: 40, 409: 5})
REPORT = """\
number of clients: 64
number of transactions actually processed: 3000
number of failed transactions: 0 (0.000%)
latency average = 32.1 ms
tps = 1500.5 (without initial connection time)
"""


def run(scenario: str, round_: int = 1, per_second: float = 100, **fields: object) -> Run:
    made = Run(
        scenario=scenario,
        label=f"{scenario}.{round_}",
        answered=500,
        per_second=per_second,
        p50_ms=per_second / 10,
        p99_ms=per_second / 5,
        acknowledged=0,
        unanswered=0,
        foreign_cpu=0.0,
        faults=(),
    )
    return replace(made, **fields)  # type: ignore[arg-type]


def section(**fields: object) -> Section:
    made = Section("loads", (), ("scenario",), (("hot",),), ("A machine.",), ())
    return replace(made, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--rounds", "0"],
        ["--seconds", "0.5"],
        ["--seconds", "601"],
        ["--only", "hottest"],
        ["--only"],
        ["--seed", "-1"],
        ["--memory", "19999"],
        ["surplus"],
    ],
)
def test_a_bad_option_is_one_line_and_exit_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        parse(arguments)

    printed = capsys.readouterr()
    assert stopped.value.code == 2
    assert printed.out == ""
    assert printed.err.startswith("bench.py: ")
    assert printed.err.count("\n") == 1


def test_only_a_whole_run_writes_into_docs() -> None:
    whole = parse(["--seed", "3"])
    assert (whole.scenarios, whole.docs, whole.seed) == (ALL, ROOT / "docs", 3)
    assert whole.memory_requests is None
    assert parse(["--quick"]).docs is None
    assert parse(["--quick"]).seconds < whole.seconds
    assert parse(["--quick", "--seconds", "9"]).seconds == 9

    some = parse(["--only", "mixed", "--only", "empty", "--only", "mixed"])
    assert [scenario.name for scenario in some.scenarios] == ["mixed", "empty"]
    assert some.docs is None
    assert parse(["--memory"]).memory_requests == 1_000_000


def test_without_wrk_it_says_in_one_line_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    assert main(["--quick"]) == 2

    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("bench.py: wrk, the load generator, is not installed: apt-get")
    assert printed.err.count("\n") == 1


def test_reads_what_wrk_says() -> None:
    assert parse_wrk(f"Running 2s test\n  50 requests\n{SUMMARY}\n") == LOAD

    broken = SUMMARY.replace('"read":0', '"read":3').replace('"timeout":0', '"timeout":1')
    assert parse_wrk(broken, "book.lua:7: attempt to index nil\n").faults == (
        "3 answers broke off",
        "1 answers took over 30 seconds",
        "wrk: book.lua:7: attempt to index nil",
    )
    with pytest.raises(NotRun, match="no summary"):
        parse_wrk("Running 2s test\n")


def test_reads_what_pgbench_says() -> None:
    load = parse_pgbench(REPORT, [4000, 1000, 3000, 2000])

    assert load.answered == 3000
    assert load.answered / load.seconds == pytest.approx(1500.5)
    assert (load.p50_ms, load.p99_ms, load.faults) == (2, 4, ())
    failed = parse_pgbench(REPORT.replace("failed transactions: 0", "failed transactions: 7"), [1])
    assert failed.faults == ("7 transactions failed",)
    assert parse_pgbench("nothing of note", []).answered == 0


@pytest.mark.parametrize("statement", [bare_statement(), own_statement()])
def test_pgbench_books_as_the_application_does(statement: str) -> None:
    script = booking_script(statement, 18)

    assert "INSERT INTO booking_events" in script
    assert "uuidv7()" in script
    assert "uuidv7()" not in booking_script(statement, 17)
    assert set(re.findall(r"(?<!:):([a-z_]+)", script.partition("WITH")[2])) == {
        *("slot_number", "label", "user_number", "key_number")
    }
    assert script.count(";") == 1
    assert script.endswith(";\n")


def test_a_parameter_that_the_benchmark_does_not_know_is_told() -> None:
    with pytest.raises(NotRun, match="unknown parameter: colour"):
        booking_script("SELECT :colour::text", 18)


def test_an_unexpected_status_is_a_fault() -> None:
    reading = BY_NAME["read-slots"]
    load = replace(LOAD, refused=0, answered=50)
    in_flight = 50 + reading.clients

    assert status_faults(reading, load, Counter({200: 50})) == []
    assert status_faults(reading, load, Counter({200: in_flight})) == []
    assert status_faults(reading, load, Counter({200: 48, 503: 2})) == [
        "status 503 was answered 2 times"
    ]
    assert status_faults(reading, load, Counter({200: 49})) == [
        "50 answers arrived, 49 are in the log"
    ]
    assert status_faults(reading, load, Counter({200: in_flight + 1})) == [
        f"50 answers arrived, {in_flight + 1} are in the log"
    ]


def test_refusals_that_arrive_are_those_of_the_log() -> None:
    sold_out = BY_NAME["sold-out"]

    assert status_faults(sold_out, replace(LOAD, refused=50), Counter({409: 60})) == []
    assert status_faults(sold_out, replace(LOAD, refused=20), Counter({409: 100})) == [
        "20 refusals arrived, 100 are in the log"
    ]


def test_acknowledged_bookings_must_stand_and_others_must_not() -> None:
    runs = [run("random", acknowledged=10, unanswered=2), run("sold-out")]

    assert compare_counts(runs, {"random.1": 10, "seeded": 99}) == []
    assert compare_counts(runs, {"random.1": 12}) == []
    assert compare_counts(runs, {"random.1": 9}) == ["random.1: 1 acknowledged bookings are lost"]
    assert len(compare_counts(runs, {"random.1": 13})) == 1
    assert compare_counts(runs, {"random.1": 10, "sold-out.1": 1}) == [
        "sold-out.1: 1 bookings stand, 0 were acknowledged and at most 0 in flight"
    ]
    assert compare_counts(runs, {"random.1": 10, "stray": 1}) == [
        "bookings stand that no run made: stray"
    ]


def test_a_ratio_is_the_median_of_those_within_a_round() -> None:
    runs = measured(
        [
            *(run("hot-64-on", round_, rate) for round_, rate in enumerate((9, 100, 40, 90))),
            *(run("empty", round_, rate) for round_, rate in enumerate((1, 200, 50, 300))),
        ]
    )

    # 0.5, 0.8 and 0.3; round 0 is the warm-up. The ratio of the medians would be 0.45.
    assert ratio(runs, "hot-64-on", "empty") == pytest.approx(0.5)
    assert ratio(runs, "hot-64-on", "sold-out") is None
    marks = {mark.what: mark for mark in load_marks(runs)}
    assert marks["hot slot, 64 clients, over empty endpoint"].verdict == "reached"
    assert marks["sold-out slot, over empty endpoint"].verdict == "not measured"
    (row, empty) = load_table(runs)
    assert row == (*("hot slot, grouped", "64", "90", "40-100", "9.0", "18.0", "0.50"),)
    assert empty[-1] == "1.00"


def test_every_mark_names_scenarios_that_there_are() -> None:
    runs = {name: [run(name)] for name in BY_NAME}

    assert [mark.value for mark in load_marks(runs)] == [1.0] * 6


@pytest.mark.parametrize(
    ("mark", "verdict", "bound"),
    [
        (Mark("m", 2.5, at_least=2.5), "reached", "≥ 2.5"),
        (Mark("m", 2.49, at_least=2.5), "NOT reached", "≥ 2.5"),
        (Mark("m", 1.1, at_most=1.1), "reached", "≤ 1.1"),
        (Mark("m", 1.11, at_most=1.1), "NOT reached", "≤ 1.1"),
        (Mark("m", None, at_most=1.1), "not measured", "≤ 1.1"),
    ],
)
def test_a_mark_is_reached_or_not(mark: Mark, verdict: str, bound: str) -> None:
    assert (mark.verdict, mark.bound) == (verdict, bound)
    assert mark_rows([mark])[0][1::2] == (bound, verdict)


def test_only_its_own_part_of_the_document_is_replaced(tmp_path: Path) -> None:
    begin, end = "<!-- bench loads begins -->", "<!-- bench loads ends -->"
    text = (
        f"# Title\n\n{begin}\nold | figures\n{end}\n\nProse — kept.\n<!-- bench memory begins -->\n"
    )
    (tmp_path / NAME).write_text(text, "utf-8")

    write_section(tmp_path, section(marks=(Mark("hot over empty", 0.61, at_least=0.5),)))

    written = (tmp_path / NAME).read_text("utf-8")
    assert written == (
        f"# Title\n\n{begin}\n\nA machine.\n\n"
        "| mark | bound | measured |  |\n| --- | ---: | ---: | ---: |\n"
        "| hot over empty | ≥ 0.5 | 0.61 | reached |\n\n"
        "| scenario |\n| --- |\n| hot |\n\n"
        f"{end}\n\nProse — kept.\n<!-- bench memory begins -->\n"
    )
    write_section(tmp_path, section(table=(("cold",),)))
    assert "hot" not in (tmp_path / NAME).read_text("utf-8")
    assert os.listdir(tmp_path) == [NAME]  # noqa: PTH208 - hidden ones, too


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<!-- bench loads begins -->",
        "<!-- bench loads ends --><!-- bench loads begins -->",
        "<!-- bench loads begins --><!-- bench loads begins --><!-- bench loads ends -->",
    ],
)
def test_a_document_without_its_markers_is_left_alone(text: str) -> None:
    with pytest.raises(NotRun, match="markers"):
        replace_section(text, section())


def test_the_document_of_the_project_has_the_markers() -> None:
    text = (ROOT / "docs" / NAME).read_text("utf-8")

    for name in ("loads", "memory"):
        assert "A machine." in replace_section(text, section(name=name))


def test_the_same_figures_draw_the_same_plot(tmp_path: Path) -> None:
    names = [name for name in BY_NAME if name.startswith(("hot", "idle"))]
    assert len(names) == 2 * len(HOT_CLIENTS)
    runs = {name: [run(name, per_second=100 * place)] for place, name in enumerate(names, 1)}
    drawn = []
    for directory in (tmp_path / "once", tmp_path / "again"):
        directory.mkdir()
        draw(runs, directory)
        drawn.append((directory / "performance-hot-slot.svg").read_text("utf-8"))

    assert drawn[0] == drawn[1]
    assert len(drawn[0]) < 10_000
    assert "prefers-color-scheme: dark" in drawn[0]
    assert "<title>256 clients, grouped: 700 bookings a second</title>" in drawn[0]
    assert "<title>1 clients, ungrouped: 40 p99 latency, ms</title>" in drawn[0]
    assert all(f">{clients}</text>" in drawn[0] for clients in HOT_CLIENTS)
    assert [nice_step(value) for value in (0, 4, 5, 6, 1001, 2600)] == [
        *(pytest.approx(2e-10), 1, 1, 2, 250, 1000)
    ]
