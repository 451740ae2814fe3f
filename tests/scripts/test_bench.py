"""The benchmark's parts: what it reads, how it judges, and what it writes."""

from __future__ import annotations

import os
import random
import re
import threading
import time
from collections import Counter
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from scripts.benchmark.cli import main
from scripts.benchmark.document import NAME, render, replace_section, write_section
from scripts.benchmark.growth_database import compare_acknowledged
from scripts.benchmark.growth_rounds import (
    Asked,
    Pair,
    check_alike,
    growth_marks,
    growth_table,
    told_excess,
)
from scripts.benchmark.marks import load_marks, ratio
from scripts.benchmark.measuring import compare_counts, drawn_turns, measured, status_faults
from scripts.benchmark.memory import LOADS
from scripts.benchmark.options import Part, parse
from scripts.benchmark.pacing import Load as PacedLoad
from scripts.benchmark.pacing import Paced, steady_bookings
from scripts.benchmark.percentiles import percentile
from scripts.benchmark.pgbench import bare_statement, booking_script, own_statement, parse_pgbench
from scripts.benchmark.plot import draw, nice_step
from scripts.benchmark.questions import ALL as QUESTIONS
from scripts.benchmark.records import Load, Mark, NotRun, Run, Section
from scripts.benchmark.report import load_table, mark_rows
from scripts.benchmark.scenarios import ALL, BY_NAME, HOT_CLIENTS
from scripts.benchmark.searches import Round, Span, searches_mark, searches_table, unexpected
from scripts.benchmark.sweep import SHAPES, Compared, sweep_marks, sweep_table
from scripts.benchmark.workers import CHOSEN, workers_table
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
        refused=0,
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
        ["--growth", "--memory"],
        ["--workers", "--only", "empty"],
        ["--overload", "--searches"],
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
    assert whole.part is Part.LOADS
    assert parse(["--quick"]).docs is None
    assert parse(["--quick"]).seconds < whole.seconds
    assert parse(["--quick", "--seconds", "9"]).seconds == 9

    some = parse(["--only", "mixed", "--only", "empty", "--only", "mixed"])
    assert [scenario.name for scenario in some.scenarios] == ["mixed", "empty"]
    assert some.docs is None


def test_what_is_compared_from_one_client_takes_turns() -> None:
    drawn = [
        [(scenario.name, turn) for scenario, turn in drawn_turns(ALL, random.Random(seed))]
        for seed in range(20)
    ]
    expected = {(scenario.name, turn) for scenario in ALL for turn in range(scenario.turns)}
    assert all(set(order) == expected and len(order) == len(expected) for order in drawn)
    assert len({tuple(order) for order in drawn}) == len(drawn)
    for order in drawn:
        idle = [index for index, (name, _) in enumerate(order) if name.startswith("idle-1")]
        assert idle == list(range(idle[0], idle[0] + 8))
        assert [turn for _, turn in order[idle[0] : idle[0] + 8]] == [0, 0, 1, 1, 2, 2, 3, 3]


def test_one_run_measures_one_part() -> None:
    memory = parse(["--memory"])
    assert (memory.part, memory.memory_requests) == (Part.MEMORY, 1_000_000)
    assert parse(["--memory", "30000"]).memory_requests == 30_000
    for part in (Part.GROWTH, Part.SEARCHES, Part.WORKERS):
        assert parse([f"--{part}"]).part is part
        assert parse([f"--{part}"]).docs == ROOT / "docs"
        assert parse([f"--{part}", "--quick"]).docs is None


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
    assert status_faults(reading, replace(load, refused=2), Counter({200: 48, 503: 2})) == [
        "status 503 was answered 2 times"
    ]
    assert status_faults(reading, load, Counter({200: 49})) == [
        "50 answers arrived, 49 are in the log"
    ]
    assert status_faults(reading, load, Counter({200: in_flight + 1})) == [
        f"50 answers arrived, {in_flight + 1} are in the log"
    ]


def test_refusals_that_are_not_in_the_log_were_turned_away() -> None:
    sold_out = BY_NAME["sold-out"]

    assert status_faults(sold_out, replace(LOAD, refused=50), Counter({409: 60})) == []
    few = replace(LOAD, answered=20, refused=20)
    assert status_faults(sold_out, few, Counter({409: 100})) == [
        "20 refusals arrived, 100 are in the log"
    ]
    assert status_faults(sold_out, replace(LOAD, refused=50), Counter({409: 47})) == [
        "status 503 was answered 3 times"
    ]
    turning_away = replace(sold_out, statuses=frozenset({409, 503}))
    assert status_faults(turning_away, replace(LOAD, refused=50), Counter({409: 47})) == []


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


def test_turns_are_compared_with_what_ran_once_in_their_round() -> None:
    runs = {
        "idle-1-on": [run("idle-1-on", 1, rate) for rate in (10, 20, 30, 40)],
        "empty": [run("empty", 1, rate) for rate in (100, 200)],
    }

    # Two turns in each round: 0.1 and 0.2, then 0.15 and 0.2.
    assert ratio(runs, "idle-1-on", "empty") == pytest.approx(0.175)
    assert ratio(runs, "empty", "idle-1-on") == pytest.approx((5 + 1 / 0.15) / 2)


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

    for name in ("loads", "workers", "growth", "sweep", "overload", "searches", "memory"):
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


def pair(title: str, small: list[list[float]], large: list[list[float]], rows: int = 5) -> Pair:
    question = next(each for each in QUESTIONS if each.title == title)
    return Pair(question, Asked(small, {rows}), Asked(large, {rows}))


def test_a_percentile_is_by_nearest_rank() -> None:
    values = [float(value) for value in range(100, 0, -1)]

    assert [percentile(values, share) for share in (0.5, 0.99, 1.0)] == [50, 99, 100]
    assert percentile([7.0], 0.99) == 7


def test_growth_is_the_median_of_the_rounds_ratios() -> None:
    grown = pair("a slot", [[1, 2, 3], [4, 4, 4], [1, 1, 9]], [[4, 4, 4], [4, 4, 4], [9, 3, 1]])

    # 2, 1 and 3; of all latencies together it would be 4 / 3.
    assert grown.ratios == [2, 1, 3]
    assert grown.ratio == 2
    assert growth_table([grown]) == (
        ("a slot", "5", "3.0", "9.0", "4.0", "9.0", "2.00", "1.00-3.00"),
    )


def test_the_worst_read_and_the_worst_booking_are_judged() -> None:
    pairs = [
        pair("a slot", [[10]], [[13]]),
        pair("a booking", [[10]], [[9]]),
        pair("holding", [[10]], [[13.1]]),
        pair("cancelling", [[10]], [[10]]),
    ]
    read, booking = growth_marks(pairs)

    assert (read.value, read.verdict) == (1.3, "reached")
    assert read.what == "any read, large over small, p50 (the most: a slot)"
    assert (booking.value, booking.verdict) == (1.31, "NOT reached")
    assert "holding" in booking.what
    assert told_excess(pairs) == ["Over 1.3: holding (1.31)."]
    assert told_excess(pairs[:2]) == []
    assert [mark.verdict for mark in growth_marks([])] == ["not measured"] * 2


def test_answers_of_different_length_are_not_compared() -> None:
    uneven = pair("slots, first page", [[1]], [[1]])
    check_alike(uneven)
    uneven.large.rows = {50}

    with pytest.raises(NotRun, match=r"small database answers with \[5\] rows .* \[50\]"):
        check_alike(uneven)
    events = pair("events of a booking", [[1]], [[1]])
    events.large.rows = {1, 2}
    check_alike(events)


def test_what_was_acknowledged_stands_and_nothing_else_came() -> None:
    assert compare_acknowledged(acknowledged=7, found=7, came=7) == []
    assert compare_acknowledged(acknowledged=7, found=5, came=5) == [
        "2 acknowledged bookings are lost"
    ]
    assert compare_acknowledged(acknowledged=7, found=7, came=8) == [
        "1 bookings stand that nobody was told of"
    ]
    assert len(compare_acknowledged(acknowledged=7, found=6, came=7)) == 2


def test_bookings_during_a_sweep_are_held_against_those_without() -> None:
    found = Compared(SHAPES[1], [[10, 40], [20], [50]], [[10, 20], [20], [10]], [8.0, 9.0, 30.0])

    assert found.ratios() == [2, 1, 5]
    assert [(mark.value, mark.verdict) for mark in sweep_marks([found])] == [(2, "reached")]
    assert sweep_table([found]) == (
        ("on one slot", "9.0", "10.0", "20.0", "20.0", "40.0", "2.00", "1.00-5.00"),
    )
    found.with_sweep[0] = [41]
    assert [mark.verdict for mark in sweep_marks([found])] == ["NOT reached"]


def test_only_what_was_due_within_the_sweep_counts() -> None:
    load = PacedLoad([Paced(due, due * 10, 201, "id") for due in (1.0, 2.0, 3.0, 4.0)])

    assert load.latencies(2.0, 3.5) == [20, 30]


def span(bookings: list[float], searches: list[tuple[int, float]] | None = None) -> Span:
    """Two seconds; a request before them counts for nothing but its status."""
    booked = [Paced(9.0, 99, 201, "early"), *(Paced(10.5, each, 201, "id") for each in bookings)]
    asked = [Paced(11.5, each, status, None) for status, each in searches or []]
    return Span(PacedLoad(booked), PacedLoad(asked), since=10.0, until=12.0)


def test_bookings_beside_searches_are_held_against_those_without() -> None:
    searches = [(200, 500.0), (200, 700.0), (200, 900.0), (503, 2000.0)]
    rounds = [
        Round(span([10, 10, 40]), span([20, 20, 90], searches)),
        Round(span([10]), span([90], searches)),
        Round(span([10]), span([10], searches)),
    ]

    assert (searches_mark(rounds).value, searches_mark(rounds).verdict) == (2, "reached")
    assert searches_mark(rounds[1:2]).verdict == "NOT reached"
    assert searches_table(rounds[:1]) == (
        ("1", "10.0", "20.0", "40.0", "90.0", "2.00", "1.5", "700", "0.5"),
    )
    with pytest.raises(NotRun, match="more seconds"):
        searches_mark([Round(span([]), span([10]))])


def test_a_booking_that_is_turned_away_beside_searches_is_a_fault() -> None:
    sound, broken = span([10], [(200, 1), (503, 1)]), span([10], [(500, 1)])
    broken.bookings.answered.append(Paced(11.0, 1, 503, None))

    assert unexpected([sound]) == []
    assert unexpected([sound, broken]) == [
        "bookings: status 503 was answered 1 times",
        "searches: status 500 was answered 1 times",
    ]


class _Slow(BaseHTTPRequestHandler):
    """Answers every booking after a fifth of a second."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        time.sleep(0.2)
        body = b'{"data":{"id":"x"}}'
        self.send_response(201)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        pass


def test_a_late_answer_is_the_next_ones_wait_too() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Slow) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            url = f"http://127.0.0.1:{server.server_port}"
            with steady_bookings(url, ["slot"], per_second=20, clients=1, seed=1) as load:
                while len(load.answered) < 3:
                    time.sleep(0.01)
        finally:
            server.shutdown()
            thread.join()

    # Each is due 50 ms after the one before it and takes 200 ms.
    waits = [each.milliseconds for each in load.answered[:3]]
    assert waits[0] >= 200
    assert waits[2] > waits[1] + 100 > waits[0] + 200
    assert [each.booking_id for each in load.answered[:3]] == ["x"] * 3


def _book_until_a_fault(url: str) -> None:
    with steady_bookings(url, ["slot"], per_second=100, clients=1, seed=1) as load:
        while not load.faults:
            time.sleep(0.01)


def test_a_booking_that_is_not_answered_ends_the_run() -> None:
    with pytest.raises(NotRun, match="was not answered"):
        _book_until_a_fault("http://127.0.0.1:9")


def test_choices_of_workers_are_compared_by_medians() -> None:
    some = [
        run(name, round_, per_second=rate, answered=500, refused=refused)
        for name in CHOSEN
        for round_, rate, refused in ((1, 100, 0), (2, 300, 250), (3, 200, 50))
    ]

    (row,) = workers_table({(2, 64): some})
    assert row == ("2 x 64", *("200, 40.0, 10%",) * len(CHOSEN))


def test_refusals_count_where_nothing_else_is_asked_for() -> None:
    assert {scenario.name for scenario in ALL if scenario.is_refused} == {"sold-out", "mistakes"}
    # Groups, refusals, errors, holds and reads.
    assert {"hot-64-on", "hot-256-on", "sold-out", "mistakes", "mixed", "read-slots"} <= set(LOADS)
    assert set(LOADS) <= set(BY_NAME)


def test_a_section_without_marks_has_no_table_of_them() -> None:
    assert render(section()) == "A machine.\n\n| scenario |\n| --- |\n| hot |\n"
    assert "bound" in render(section(marks=(Mark("m", 1, at_most=2),)))
