"""Real threads that begin together, or run beside the test while it steps the database."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")

# Far beyond what any test needs, and less than pytest's own limit: a failure, not a hanging run.
PATIENCE_SECONDS = 60


def at_once(works: Sequence[Callable[[], T]]) -> list[T]:
    """Run each work in a thread of its own, all let go by one barrier; return what they returned.

    Raises the first error that one of them raised.
    """
    barrier = threading.Barrier(len(works))

    def run(work: Callable[[], T]) -> T:
        barrier.wait(PATIENCE_SECONDS)
        return work()

    with ThreadPoolExecutor(len(works)) as executor:
        futures = [executor.submit(run, work) for work in works]
        return [future.result(PATIENCE_SECONDS) for future in futures]


@contextmanager
def background(threads: int = 64) -> Iterator[Callable[[Callable[[], T]], Future[T]]]:
    """Yield what starts a work in a thread of its own; the block ends after the last of them."""
    with ThreadPoolExecutor(threads) as executor:
        yield executor.submit


def result(future: Future[T]) -> T:
    """Return what a work returned, or raise what it raised."""
    return future.result(PATIENCE_SECONDS)


def results(futures: Sequence[Future[Any]]) -> list[Any]:
    """Return what works returned, in the order in which they were started."""
    return [result(future) for future in futures]
