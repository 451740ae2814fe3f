"""Runs the web server as a child that never outlives this process, and passes signals on to it.

Run as a script, this file is the child's first moment: it ties itself to its parent, then becomes
the program. That is not done between fork and exec, where a parent with threads may deadlock.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

_Handler = Callable[[int, FrameType | None], Any] | int | None

_STOP = (signal.SIGINT, signal.SIGTERM)
# Gunicorn's documentation, "Signal Handling": TERM finishes the requests in flight, QUIT does not.
_EVER_LESS_GENTLY = (signal.SIGTERM, signal.SIGQUIT, signal.SIGKILL)
_PASSED_ON = (signal.SIGHUP, signal.SIGUSR1)
_STRAGGLER_SECONDS = 5.0
_POLL_SECONDS = 0.02
_WAIT_SECONDS = 0.1
_PR_SET_PDEATHSIG = 1


@contextmanager
def signals_unwind() -> Iterator[None]:
    """Turn SIGINT, SIGTERM and SIGHUP into a ``SystemExit`` (128 + number) in the main thread.

    So that ``with`` blocks are left in order wherever a signal finds the program. Further signals
    do nothing: what is left to do is cleaning up, and takes a bounded time. To be entered in the
    main thread, around everything that has something to clean up, ``run_supervised`` included.
    """

    def unwind(signal_number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        for each in taken:
            signal.signal(each, _ignore)
        sys.exit(128 + signal_number)

    taken = _not_ignored((*_STOP, signal.SIGHUP))
    previous = {each: signal.signal(each, unwind) for each in taken}
    try:
        yield
    finally:
        _restore(previous)


def run_supervised(argv: Sequence[str], env: Mapping[str, str]) -> int:
    """Run a program to its end and return its exit code; 128 + number where a signal ended it.

    It gets a session of its own, so that a Ctrl-C in the terminal reaches it through here alone.
    The first SIGINT or SIGTERM is passed on as SIGTERM, a second as SIGQUIT, a third as SIGKILL to
    all of its session; SIGHUP (reload) and SIGUSR1 (reopen logs) as they are, except that the
    SIGHUP of a terminal that was closed stops it. Where this process dies, it is sent SIGTERM
    (Linux). Processes of its session that are left when it has ended are stopped too.

    Once it was told to stop, later signals do nothing, after the return either. To be called in the
    main thread.
    """
    child = _Child()
    had_terminal = _has_terminal()

    def stop(signal_number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        child.stop()

    def pass_on(signal_number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        if signal_number == signal.SIGHUP and had_terminal and not _has_terminal():
            child.stop()
        else:
            child.send(signal_number)

    handlers = dict.fromkeys(_STOP, stop) | dict.fromkeys(_PASSED_ON, pass_on)
    taken = _not_ignored(handlers)
    previous = {each: signal.signal(each, handlers[each]) for each in taken}
    try:
        return child.run(argv, env)
    finally:
        if child.stopping:
            for each in taken:
                signal.signal(each, _ignore)
        else:
            _restore(previous)


class _Child:
    """The program; signals that come before it is there wait for it."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._stops = 0
        self._waiting: list[int] = []

    @property
    def stopping(self) -> bool:
        """Whether it was told to stop."""
        return self._stops > 0

    def stop(self) -> None:
        """Tell it to stop, less gently than the time before."""
        signal_number = _EVER_LESS_GENTLY[min(self._stops, len(_EVER_LESS_GENTLY) - 1)]
        # Counted first: the next signal may interrupt the sending of this one.
        self._stops += 1
        self.send(signal_number)

    def send(self, signal_number: int) -> None:
        """Send it a signal."""
        if self._process is None:
            self._waiting.append(signal_number)
        elif signal_number == signal.SIGKILL:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal_number)
        else:
            self._process.send_signal(signal_number)

    def run(self, argv: Sequence[str], env: Mapping[str, str]) -> int:
        """Start it and wait for its end; nothing of it is left on any way out."""
        tie = [sys.executable, "-I", "-S", str(Path(__file__).resolve()), str(os.getpid())]
        process = subprocess.Popen(  # noqa: S603 - the caller's program
            [*tie, *argv], env=dict(env), start_new_session=True
        )
        try:
            self._process = process
            for signal_number in self._waiting:
                self.send(signal_number)
            # Not a blocking wait: a signal that comes just before it would be seen only after it.
            while (code := process.poll()) is None:
                time.sleep(_WAIT_SECONDS)
        finally:
            _end_session(process)
        return code if code >= 0 else 128 - code


def _end_session(process: subprocess.Popen[bytes]) -> None:
    """Stop what still runs in the session of a program, which is also its process group."""
    deadline = time.monotonic() + _STRAGGLER_SECONDS
    with suppress(ProcessLookupError, PermissionError):
        # macOS answers EPERM for a group of which only ended processes are left.
        os.killpg(process.pid, signal.SIGTERM)
        while time.monotonic() < deadline:
            process.poll()
            os.killpg(process.pid, 0)
            time.sleep(_POLL_SECONDS)
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _not_ignored(signals: Iterable[signal.Signals]) -> list[signal.Signals]:
    """Return the signals less those that whoever started this wants ignored, as nohup does SIGHUP.

    SIGINT is taken even so: a shell ignores it for what a script starts with ``&``, and means the
    terminal's, not one that is sent to this process.
    """
    return [each for each in signals if each in _STOP or signal.getsignal(each) != signal.SIG_IGN]


def _restore(previous: Mapping[signal.Signals, _Handler]) -> None:
    for each, handler in previous.items():
        # None: it was installed by something other than Python, and cannot be put back.
        signal.signal(each, signal.SIG_DFL if handler is None else handler)


def _ignore(signal_number: int, frame: FrameType | None) -> None:
    """Do nothing. Unlike SIG_IGN, it is not inherited by the programs that are started."""


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def _become_tied(parent: int, argv: Sequence[str]) -> None:
    """Become a program that is sent SIGTERM when its parent dies, where the system can do that."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(128 + signal.SIGTERM)
    os.execvp(argv[0], list(argv))  # noqa: S606 - what it is for


if __name__ == "__main__":
    _become_tied(int(sys.argv[1]), sys.argv[2:])
