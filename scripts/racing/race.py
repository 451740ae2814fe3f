"""Threads that start together on a barrier, and a progress bar while they run."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
)

from scripts.racing.client import ApiClient
from scripts.racing.records import Journal
from scripts.racing.transport import Connection, Stopped

REFRESH_SECONDS = 0.1

Worker = Callable[[ApiClient], None]
Step = Callable[[ApiClient], object]


class Arena:
    """Where the races are run: one server, one journal, one way to stop.

    `elapsed` is the wall time of all races so far, in seconds, from barrier to last answer.
    `requests` counts the HTTP requests that they sent.
    """

    def __init__(self, connection: Connection, screen: Console) -> None:
        self.journal = Journal()
        self.elapsed = 0.0
        self.requests = 0
        self._connection = connection
        self._screen = screen
        self._stop = threading.Event()

    def client(self) -> ApiClient:
        """Make a client for the calling thread, writing into the arena's journal."""
        return ApiClient(self._connection, self.journal, self._stop)

    def run(self, label: str, workers: Sequence[Worker], expected_calls: int) -> None:
        """Run each worker in a thread of its own, all from one barrier, until all are done.

        Raises KeyboardInterrupt once the threads were told to stop, and whatever a worker
        raised: a fault of this test must not pass for a quiet server.
        """
        if not workers:
            return
        faults: list[BaseException] = []
        barrier = threading.Barrier(len(workers) + 1)
        done = len(self.journal.calls)

        def work(worker: Worker) -> None:
            client = self.client()
            try:
                barrier.wait()
                worker(client)
            except (Stopped, threading.BrokenBarrierError):
                return
            except BaseException as fault:  # noqa: BLE001 - run() raises it
                faults.append(fault)
            finally:
                client.close()

        # Daemons: after Ctrl-C nobody waits for a request that hangs until its timeout.
        threads = [threading.Thread(target=work, args=(w,), daemon=True) for w in workers]
        try:
            for thread in threads:
                thread.start()
            barrier.wait()
            started = time.perf_counter()
            with self._progress() as progress:
                bar = progress.add_task(label, total=expected_calls)
                while any(thread.is_alive() for thread in threads):
                    progress.update(bar, completed=len(self.journal.calls) - done)
                    _join_some(threads)
                completed = len(self.journal.calls) - done
                progress.update(bar, completed=completed, total=max(completed, 1))
        except BaseException:
            self._stop.set()
            barrier.abort()
            raise
        if faults:
            raise faults[0]
        calls = self.journal.calls[done:]
        self.elapsed += max((call.ended for call in calls), default=started) - started
        self.requests += sum(len(call.exchanges) for call in calls)

    def wait(self, label: str, seconds: float) -> None:
        """Let `seconds` pass, with a progress bar."""
        until = time.perf_counter() + seconds
        with self._progress(counted=False) as progress:
            bar = progress.add_task(label, total=seconds)
            while (left := until - time.perf_counter()) > 0:
                progress.update(bar, completed=seconds - left)
                time.sleep(min(left, REFRESH_SECONDS))
            progress.update(bar, completed=seconds)

    def _progress(self, *, counted: bool = True) -> Progress:
        columns = [TextColumn("{task.description:<28}"), BarColumn()]
        return Progress(
            *columns,
            MofNCompleteColumn() if counted else TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            console=self._screen,
            transient=True,
            disable=not self._screen.is_terminal,
        )


def shared_out(steps: Sequence[Step], threads: int) -> list[Worker]:
    """Deal steps to at most `threads` workers in turn, so that neighbours run side by side."""

    def worker(own: Sequence[Step]) -> Worker:
        def work(client: ApiClient) -> None:
            for step in own:
                step(client)

        return work

    count = min(threads, len(steps))
    return [worker(steps[number::count]) for number in range(count)]


def _join_some(threads: Sequence[threading.Thread]) -> None:
    """Wait for threads to end, for one refresh at most."""
    until = time.perf_counter() + REFRESH_SECONDS
    for thread in threads:
        left = until - time.perf_counter()
        if left <= 0:
            return
        thread.join(left)
