"""Group commit: requests for one slot that come while another is committed are committed together.

A row that everybody wants gets slower with each connection that waits for it: every waiter wakes,
loses and sleeps again. Here the requests of one process for one slot stand in a line instead. The
first leads: it commits alone. Whoever arrived meanwhile is committed by the next leader, the first
in the line, in one transaction: one lock, one write to disk, many bookings (DeWitt et al.,
"Implementation Techniques for Main Memory Database Systems", SIGMOD 1984, section 5.2). A slot that
nobody else wants pays nothing; a hot one has one connection of the process, whatever its crowd.

What holds at all times:

1. A line exists while, and only while, one leader of it is at work.
2. Requests leave a line at its front, and a group keeps their order.
3. A request is answered after the commit of its group returned, and not before.
4. Each request that left the line is answered, whatever became of its leader: with its outcome,
   with the error of its group, or with OutcomeUnknown where that is the truth.
5. A request that waited too long leaves a line that it still stands in: nothing was done for it.
6. What the database rejected as a whole is committed again one by one, so that one request's fault
   is its own.
7. A group's work goes by the latest deadline of its requests: nothing is begun when none of them
   has time left.
"""

from __future__ import annotations

import copy
import threading
from collections import deque
from collections.abc import Callable, Sequence
from enum import Enum, auto
from typing import Generic, NoReturn, TypeVar

from booking import deadlines
from booking.errors import OutcomeUnknown, StatementRejected, TurnMissed

Request = TypeVar("Request")
Outcome = TypeVar("Outcome")


class _Stage(Enum):
    IN_LINE = auto()
    LEADING = auto()
    IN_GROUP = auto()


class _Entry(Generic[Request, Outcome]):
    """One request on its way. ``called`` is released once: to lead, or with the answer."""

    __slots__ = ("answer", "called", "deadline", "request", "stage")

    def __init__(self, request: Request) -> None:
        self.request = request
        self.deadline = deadlines.current()
        self.stage = _Stage.IN_LINE
        self.answer: Callable[[], Outcome] = _raising(OutcomeUnknown())
        self.called = threading.Lock()
        self.called.acquire()


class CommitQueue(Generic[Request, Outcome]):
    """Lines of requests by their names: a slot's id, or whatever its requests have in common.

    ``commit`` takes a line's name and a group of requests and returns as many outcomes; it raises
    only where it did nothing for any of them, or does not know. A line is waited in for
    ``queue_timeout`` at most, and a commit for ``commit_timeout``. A ``max_group_size`` of 1 forms
    no lines: every request commits by itself.
    """

    def __init__(
        self,
        commit: Callable[[str, Sequence[Request]], Sequence[Outcome]],
        *,
        max_group_size: int,
        queue_timeout: float,
        commit_timeout: float,
    ) -> None:
        self._commit = commit
        self._max_group_size = max_group_size
        self._line_seconds = queue_timeout
        self._commit_seconds = commit_timeout
        self._lock = threading.Lock()
        self._lines: dict[str, deque[_Entry[Request, Outcome]]] = {}

    def has_line(self, name: str) -> bool:
        """Tell whether somebody is at work in a line."""
        return name in self._lines

    def submit(self, name: str, request: Request) -> Outcome:
        """Have the request committed, alone or with others, and return its outcome.

        Raises TurnMissed where its turn did not come, and OutcomeUnknown where its commit was not
        answered in time; and what ``commit`` raises.
        """
        if self._max_group_size == 1:
            return self._commit(name, [request])[0]
        entry: _Entry[Request, Outcome] = _Entry(request)
        with self._lock:
            line = self._lines.get(name)
            if line is None:
                self._lines[name] = deque()
                entry.stage = _Stage.LEADING
            else:
                line.append(entry)
        if entry.stage is not _Stage.LEADING:
            self._wait(name, entry)
        if entry.stage is _Stage.LEADING:
            self._lead(name, entry)
        return entry.answer()

    def _wait(self, name: str, entry: _Entry[Request, Outcome]) -> None:
        if entry.called.acquire(timeout=deadlines.at_most(self._line_seconds)):
            return
        with self._lock:
            if entry.stage is _Stage.IN_LINE:
                self._lines[name].remove(entry)
                raise TurnMissed
        entry.called.acquire(timeout=self._commit_seconds)

    def _lead(self, name: str, leader: _Entry[Request, Outcome]) -> None:
        group = [leader]
        with self._lock:
            line = self._lines[name]
            while line and len(group) < self._max_group_size:
                entry = line.popleft()
                entry.stage = _Stage.IN_GROUP
                group.append(entry)
        try:
            self._commit_group(name, group)
        finally:
            # The next leader first: the database works while the answers are written.
            self._hand_over(name)
            for entry in group[1:]:
                entry.called.release()

    def _commit_group(self, name: str, group: Sequence[_Entry[Request, Outcome]]) -> None:
        try:
            with deadlines.until(max(entry.deadline for entry in group)):
                outcomes = self._commit(name, [entry.request for entry in group])
        except StatementRejected as error:
            if len(group) == 1:
                group[0].answer = _raising(error)
                return
            for entry in group:
                self._commit_group(name, [entry])
        except Exception as error:  # noqa: BLE001 (each of the group raises it)
            for entry in group:
                entry.answer = _raising(error)
        else:
            for entry, outcome in zip(group, outcomes, strict=True):
                entry.answer = _returning(outcome)

    def _hand_over(self, name: str) -> None:
        with self._lock:
            line = self._lines[name]
            if not line:
                del self._lines[name]
                return
            leader = line.popleft()
            leader.stage = _Stage.LEADING
        leader.called.release()


def _returning(outcome: Outcome) -> Callable[[], Outcome]:
    return lambda: outcome


def _raising(error: Exception) -> Callable[[], NoReturn]:
    def answer() -> NoReturn:
        # A copy: each thread that raises an error writes its own trace into it.
        raise copy.copy(error) from error

    return answer
