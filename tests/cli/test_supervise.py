"""A child program, its signals, and what is left when either side dies."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.embedded.processes import eventually, has_ended, kill_all
from tests.support.servers import ROOT

SUPERVISOR = """
import os, sys
from booking.cli.supervise import run_supervised, signals_unwind
with signals_unwind():
    code = run_supervised(sys.argv[1:], os.environ)
sys.exit(code)
"""

# Says which signals it gets, and has a child that never ends by itself; like a server's worker.
CHILD = """
import os, signal, sys, time
if os.fork() == 0:
    signal.signal(signal.SIGTERM, signal.SIG_IGN) if "stubborn" in sys.argv else None
    time.sleep(60)
def got(number, frame):
    print("got", signal.Signals(number).name, flush=True)
    if "stubborn" not in sys.argv and number == signal.SIGTERM:
        sys.exit(7)
    if number == signal.SIGQUIT and "very" not in sys.argv:
        sys.exit(8)
for name in ("SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGUSR1"):
    signal.signal(getattr(signal, name), got)
print("pid", os.getpid(), flush=True)
while True:
    # In short naps: a signal that comes just before a long one is seen only after it.
    time.sleep(0.1)
"""

Supervise = Callable[..., "Supervised"]


class Supervised:
    """A supervisor in a process group of its own, and its child."""

    def __init__(self, *words: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", SUPERVISOR, sys.executable, "-c", CHILD, *words],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.child = psutil.Process(int(self.line().removeprefix("pid ")))
        eventually(lambda: len(self.child.children()) == 1, "the child has a child")
        self.family = [self.child, *self.child.children()]

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def group(self, signal_number: int) -> None:
        os.killpg(self.process.pid, signal_number)

    def code(self) -> int:
        self.process.communicate(timeout=20)
        return self.process.returncode

    def nothing_is_left(self) -> bool:
        return all(map(has_ended, self.family))


@pytest.fixture
def supervise() -> Iterator[Supervise]:
    """Return what starts supervisors; what a failed test leaves is ended."""
    started: list[Supervised] = []

    def start(*words: str) -> Supervised:
        started.append(Supervised(*words))
        return started[-1]

    yield start
    for each in started:
        each.process.kill()
        kill_all(each.family)
        each.process.communicate(timeout=20)


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_is_passed_on_once_and_gently(
    supervise: Supervise, signal_number: signal.Signals
) -> None:
    supervised = supervise()
    supervised.group(signal_number)
    # SIGTERM, and nothing of the SIGINT that the terminal sends to everybody in the foreground.
    assert supervised.line() == "got SIGTERM"
    assert supervised.code() == 7
    assert supervised.nothing_is_left()


def test_a_second_stop_is_less_gentle_and_a_third_certain(supervise: Supervise) -> None:
    supervised = supervise("stubborn")
    supervised.group(signal.SIGINT)
    assert supervised.line() == "got SIGTERM"
    supervised.group(signal.SIGINT)
    assert supervised.line() == "got SIGQUIT"
    supervised.group(signal.SIGTERM)
    # Exit code 8 of the second; or killed by the third, where that was quicker.
    assert supervised.code() in {8, 128 + signal.SIGKILL}
    assert supervised.nothing_is_left()


def test_a_third_stop_ends_a_child_that_heeds_none(supervise: Supervise) -> None:
    supervised = supervise("stubborn", "very")
    for expected in ("got SIGTERM", "got SIGQUIT"):
        supervised.group(signal.SIGTERM)
        assert supervised.line() == expected
    supervised.group(signal.SIGTERM)
    assert supervised.code() == 128 + signal.SIGKILL
    assert supervised.nothing_is_left()


def test_reload_and_reopen_are_passed_on(supervise: Supervise) -> None:
    supervised = supervise()
    for signal_number in (signal.SIGHUP, signal.SIGUSR1):
        supervised.group(signal_number)
        assert supervised.line() == f"got {signal_number.name}"
    assert supervised.process.poll() is None


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's parent death signal")
def test_a_killed_supervisor_takes_the_child_along(supervise: Supervise) -> None:
    supervised = supervise()
    supervised.process.kill()
    assert supervised.line() == "got SIGTERM"
    eventually(lambda: has_ended(supervised.child), "the child has ended")


def test_what_a_killed_child_leaves_is_ended(supervise: Supervise) -> None:
    supervised = supervise()
    supervised.child.kill()
    assert supervised.code() == 128 + signal.SIGKILL
    assert supervised.nothing_is_left()


def test_a_closed_terminal_stops_it() -> None:
    pid, terminal = pty.fork()
    if pid == 0:  # pragma: no cover - another process
        os.chdir(ROOT)
        os.execv(  # noqa: S606
            sys.executable,
            [sys.executable, "-c", SUPERVISOR, sys.executable, "-c", CHILD],
        )
    said = b""
    while b"\n" not in said:
        said += os.read(terminal, 1000)
    child = psutil.Process(int(said.split()[1]))
    os.close(terminal)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) in {7, 1}
    assert has_ended(child)


def test_the_exit_code_is_the_childs(tmp_path: Path) -> None:
    for code, expected in (("raise SystemExit(5)", 5), ("import os; os.abort()", 128 + 6)):
        done = subprocess.run(
            [sys.executable, "-c", SUPERVISOR, sys.executable, "-c", code],
            cwd=ROOT,
            capture_output=True,
            check=False,
        )
        assert done.returncode == expected


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_unwinds_and_a_second_does_not_disturb(signal_number: signal.Signals) -> None:
    program = """
import sys, time
from booking.cli.supervise import signals_unwind
with signals_unwind():
    try:
        print("in", flush=True)
        while True:
            time.sleep(0.1)
    finally:
        print("cleaning up", flush=True)
        time.sleep(0.5)
        print("clean", flush=True)
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "in\n"
        process.send_signal(signal_number)
        assert process.stdout.readline() == "cleaning up\n"
        process.send_signal(signal_number)
        time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        assert process.stdout.read() == "clean\n"
    assert process.returncode == 128 + signal_number
