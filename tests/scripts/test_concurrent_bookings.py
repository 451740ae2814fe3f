"""The concurrency test as a command: its options, its exit statuses, and what it prints."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.racing.options import parse
from scripts.racing.report import histogram, percentile, printable

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "concurrent_bookings.py"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPT), *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["--threads", "0"],
        ["--threads", "1001"],
        ["--threads", "1.5"],
        ["--threads", "٣"],
        ["--capacity", "-1"],
        ["--capacity", "5", "--seats", "6"],
        ["--capacity", "5001", "--scenario", "cancel"],
        ["--scenario", "undersell"],
        ["--scenario"],
        ["--base-url", "127.0.0.1:3000"],
        ["--base-url", "ftp://127.0.0.1"],
        ["--base-url", "http://"],
        ["--base-url", "http://127.0.0.1:99999"],
        ["--base-url", "http://user:pw@127.0.0.1"],
        ["--timeout", "0"],
        ["--timeout", "nan"],
        ["--max-wait", "soon"],
        ["--token", "two words"],
        ["--seed", "x"],
        ["--thread", "5"],
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
    assert printed.err.startswith("concurrent_bookings.py: ")
    assert printed.err.count("\n") == 1


def test_the_defaults_and_the_names_of_scenarios() -> None:
    default = parse([])
    assert default.scenarios == ("oversell",)
    assert (default.plan.threads, default.connection.base_url) == (50, "http://127.0.0.1:3000")
    assert default.dsn is None

    several = parse(["--scenario", "cancel", "mixed", "--scenario", "cancel"])
    assert several.scenarios == ("cancel", "mixed")

    every = parse(["--scenario", "all", "--base-url", "http://host/prefix/", "--seats", "3"])
    assert sorted(every.scenarios) == ["cancel", "expiry", "mixed", "oversell"]
    assert every.connection.base_url == "http://host/prefix"
    assert every.plan.room == 6


def test_no_server_is_one_line_and_exit_2() -> None:
    # Bound and not listening: nobody else can take the port, and nobody answers on it.
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{held.getsockname()[1]}"

        done = run("--base-url", url)

    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == (
        f"concurrent_bookings.py: no server answers at {url} (connection refused)\n"
    )


@pytest.mark.parametrize("dsn", ["nonsense=secret-pw", "postgresql://u:secret-pw@127.0.0.1:1/x"])
def test_a_bad_dsn_is_one_line_without_its_password(dsn: str) -> None:
    done = run("--dsn", dsn)

    assert done.returncode == 2
    assert done.stderr.startswith("concurrent_bookings.py: --dsn: ")
    assert done.stderr.count("\n") == 1
    assert "secret-pw" not in done.stderr


def test_an_interrupt_is_one_line_and_exit_130() -> None:
    # A server that takes the connection and never answers.
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        running = subprocess.Popen(
            [sys.executable, str(SCRIPT), "--base-url", url],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        connection, _ = server.accept()
        with connection:
            connection.recv(1)
            running.send_signal(signal.SIGINT)
            out, err = running.communicate(timeout=30)

    assert running.returncode == 130
    assert out == ""
    assert err.startswith("concurrent_bookings.py: interrupted")
    assert err.count("\n") == 1


def test_percentiles_are_by_nearest_rank() -> None:
    ordered = [float(value) for value in range(1, 11)]

    assert [percentile(ordered, share) for share in (0.5, 0.9, 0.99, 1.0)] == [5, 9, 10, 10]
    assert percentile([7.0], 0.5) == 7.0
    assert percentile([], 0.5) == 0.0


def test_the_histogram_has_every_value_once_and_no_gap() -> None:
    values = [0.0, 0.4, 1.0, 1.5, 3.0, 9.99, 10.0, 250.0, 99999.0]

    bins = histogram(values)

    assert sum(count for _, _, count in bins) == len(values)
    for low, high, count in bins[1:]:
        assert count == sum(low <= value < high for value in values)
    assert [high for _, high, _ in bins[:-1]] == [low for low, _, _ in bins[1:]]
    assert bins[-1][1] > max(values)
    assert min(bins[0][2], bins[-1][2]) > 0


def test_what_a_server_says_cannot_steer_the_terminal() -> None:
    assert printable("a\x1b[2Jb\r\nc\u202e") == "a?[2Jb??c?"
