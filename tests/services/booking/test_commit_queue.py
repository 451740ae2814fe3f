"""The invariants of group commit, on threads alone: a test lets each commit through."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import pytest

from booking.errors import Busy, LockTimeout, OutcomeUnknown, StatementRejected
from booking.services.booking.commit_queue import CommitQueue
from tests.support.threads import PATIENCE_SECONDS, at_once, background, result, results

SLOT = "one slot"


@dataclass
class Commits:
    """Commits a group when it is told to, and keeps what it was given."""

    fault: Callable[[Sequence[int]], Exception | None] = lambda _group: None
    groups: list[tuple[str, list[int]]] = field(default_factory=list)
    committed: list[int] = field(default_factory=list)
    gate: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def __call__(self, slot_id: str, group: Sequence[int]) -> Sequence[str]:
        self.groups.append((slot_id, list(group)))
        assert self.gate.acquire(timeout=PATIENCE_SECONDS)
        error = self.fault(group)
        if error:
            raise error
        self.committed += group
        return [f"booked {request}" for request in group]

    def wait_for_groups(self, count: int) -> None:
        _until(lambda: len(self.groups) >= count)

    def let_through(self, groups: int = 1) -> None:
        self.gate.release(groups)


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.001)


def make_commit_queue(commits: Commits, **settings: Any) -> CommitQueue[int, str]:
    return CommitQueue(
        commits,
        **{
            "max_group_size": 100,
            "queue_timeout": PATIENCE_SECONDS,
            "commit_timeout": PATIENCE_SECONDS,
            **settings,
        },
    )


@pytest.fixture
def start() -> Iterator[Callable[[Callable[[], Any]], Future[Any]]]:
    with background() as starting:
        yield starting


def _stand_in_line(
    groups: CommitQueue[int, str],
    start: Callable[[Callable[[], Any]], Future[Any]],
    requests: Sequence[int],
) -> list[Future[str]]:
    """Submit one after the other, each when the one before stands in the line."""
    futures = []
    line = groups._lines[SLOT]
    for request in requests:
        length = len(line)
        futures.append(start(lambda request=request: groups.submit(SLOT, request)))  # type: ignore[misc]
        _until(lambda length=length: len(line) == length + 1)  # type: ignore[misc]
    return futures


def _lead(
    groups: CommitQueue[int, str],
    commits: Commits,
    start: Callable[[Callable[[], Any]], Future[Any]],
) -> Future[str]:
    leader = start(lambda: groups.submit(SLOT, 0))
    commits.wait_for_groups(1)
    return leader


def test_idle_slot_is_committed_alone_and_keeps_nothing() -> None:
    commits = Commits()
    groups = make_commit_queue(commits)
    commits.let_through(2)
    assert groups.submit(SLOT, 1) == "booked 1"
    assert groups.submit("another slot", 2) == "booked 2"
    assert commits.groups == [(SLOT, [1]), ("another slot", [2])]
    assert groups._lines == {}


def test_who_comes_meanwhile_is_committed_together_in_order(
    start: Callable[[Callable[[], Any]], Future[Any]],
) -> None:
    commits = Commits()
    groups = make_commit_queue(commits)
    leader = _lead(groups, commits, start)
    line = _stand_in_line(groups, start, [1, 2, 3, 4])
    commits.let_through()
    assert result(leader) == "booked 0"
    commits.wait_for_groups(2)
    assert commits.groups == [(SLOT, [0]), (SLOT, [1, 2, 3, 4])]
    commits.let_through()
    assert results(line) == ["booked 1", "booked 2", "booked 3", "booked 4"]
    assert groups._lines == {}


def test_nobody_is_answered_before_the_commit(
    start: Callable[[Callable[[], Any]], Future[Any]],
) -> None:
    commits = Commits()
    groups = make_commit_queue(commits)
    leader = _lead(groups, commits, start)
    line = _stand_in_line(groups, start, [1, 2])
    assert not leader.done()
    commits.let_through()
    result(leader)
    commits.wait_for_groups(2)
    assert not any(future.done() for future in line)
    assert commits.committed == [0]
    commits.let_through()
    results(line)


def test_group_has_a_bound(start: Callable[[Callable[[], Any]], Future[Any]]) -> None:
    commits = Commits()
    groups = make_commit_queue(commits, max_group_size=2)
    leader = _lead(groups, commits, start)
    line = _stand_in_line(groups, start, [1, 2, 3, 4, 5])
    commits.let_through(4)
    results([leader, *line])
    assert [group for _, group in commits.groups] == [[0], [1, 2], [3, 4], [5]]


def test_other_slots_do_not_wait(start: Callable[[Callable[[], Any]], Future[Any]]) -> None:
    commits = Commits()
    groups = make_commit_queue(commits)
    leader = _lead(groups, commits, start)
    other = start(lambda: groups.submit("another slot", 7))
    commits.wait_for_groups(2)
    commits.let_through(2)
    assert results([leader, other]) == ["booked 0", "booked 7"]


def test_group_size_of_one_forms_no_line(
    start: Callable[[Callable[[], Any]], Future[Any]],
) -> None:
    commits = Commits()
    groups = make_commit_queue(commits, max_group_size=1)
    futures = [start(lambda request=request: groups.submit(SLOT, request)) for request in range(3)]  # type: ignore[misc]
    commits.wait_for_groups(3)
    commits.let_through(3)
    assert results(futures) == ["booked 0", "booked 1", "booked 2"]


def test_error_of_a_commit_is_told_to_each_of_the_group(
    start: Callable[[Callable[[], Any]], Future[Any]],
) -> None:
    commits = Commits(fault=lambda group: Busy("stuck") if 1 in group else None)
    groups = make_commit_queue(commits)
    leader = _lead(groups, commits, start)
    line = _stand_in_line(groups, start, [1, 2])
    commits.let_through(2)
    assert result(leader) == "booked 0"
    errors = [future.exception(PATIENCE_SECONDS) for future in line]
    assert [type(error) for error in errors] == [Busy, Busy]
    assert {getattr(error, "detail", "") for error in errors} == {"stuck"}
    assert errors[0] is not errors[1]
    # Sent once: a group of which some may be committed is not tried again.
    assert [group for _, group in commits.groups] == [[0], [1, 2]]
    assert groups._lines == {}


def test_fault_of_one_request_is_its_own(
    start: Callable[[Callable[[], Any]], Future[Any]],
) -> None:
    commits = Commits(fault=lambda group: StatementRejected("odd") if 2 in group else None)
    groups = make_commit_queue(commits)
    leader = _lead(groups, commits, start)
    line = _stand_in_line(groups, start, [1, 2, 3])
    commits.let_through(5)
    assert results([leader, line[0], line[2]]) == ["booked 0", "booked 1", "booked 3"]
    assert isinstance(line[1].exception(PATIENCE_SECONDS), StatementRejected)
    assert [group for _, group in commits.groups] == [[0], [1, 2, 3], [1], [2], [3]]
    assert commits.committed == [0, 1, 3]


def test_leader_that_dies_leaves_nobody_waiting(
    start: Callable[[Callable[[], Any]], Future[Any]],
) -> None:
    class Death(BaseException):
        pass

    def die(group: Sequence[int]) -> None:
        if 1 in group:
            raise Death

    commits = Commits(fault=die)
    groups = make_commit_queue(commits, max_group_size=2)
    leader = _lead(groups, commits, start)
    line = _stand_in_line(groups, start, [1, 2, 3])
    commits.let_through(3)
    assert result(leader) == "booked 0"
    assert isinstance(line[0].exception(PATIENCE_SECONDS), Death)
    assert isinstance(line[1].exception(PATIENCE_SECONDS), OutcomeUnknown)
    assert result(line[2]) == "booked 3"
    assert groups._lines == {}


def test_who_waits_too_long_in_the_line_leaves_it_undone(
    start: Callable[[Callable[[], Any]], Future[Any]],
) -> None:
    commits = Commits()
    groups = make_commit_queue(commits, queue_timeout=0.05)
    leader = _lead(groups, commits, start)
    with pytest.raises(LockTimeout):
        groups.submit(SLOT, 1)
    commits.let_through(2)
    assert result(leader) == "booked 0"
    assert groups.submit(SLOT, 2) == "booked 2"
    assert commits.committed == [0, 2]


def test_who_waits_too_long_for_a_commit_does_not_know_its_outcome(
    start: Callable[[Callable[[], Any]], Future[Any]],
) -> None:
    commits = Commits()
    groups = make_commit_queue(commits, queue_timeout=1, commit_timeout=0.05)
    leader = _lead(groups, commits, start)
    line = _stand_in_line(groups, start, [1, 2])
    commits.let_through()
    commits.wait_for_groups(2)
    assert isinstance(line[1].exception(PATIENCE_SECONDS), OutcomeUnknown)
    commits.let_through()
    assert results([leader, line[0]]) == ["booked 0", "booked 1"]
    assert commits.committed == [0, 1, 2]


@pytest.mark.parametrize("max_group_size", [2, 7, 100])
def test_each_of_a_crowd_is_committed_once(max_group_size: int) -> None:
    commits = Commits()
    commits.let_through(10_000)
    groups = make_commit_queue(commits, max_group_size=max_group_size)
    crowd = 64

    def rush(first: int) -> list[str]:
        return [groups.submit(SLOT, first + turn) for turn in range(20)]

    answers = at_once([lambda first=first: rush(first * 1000) for first in range(crowd)])  # type: ignore[misc]
    asked = [first * 1000 + turn for first in range(crowd) for turn in range(20)]
    assert [answer for each in answers for answer in each] == [f"booked {n}" for n in asked]
    assert sorted(commits.committed) == asked
    assert max(len(group) for _, group in commits.groups) <= max_group_size
    assert groups._lines == {}
