"""The history of a run: each request with its answer, in the order of sending, and the faults."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from tests.faults.chaos.memory import without_cycle_collection
from tests.faults.chaos.records import (
    Answer,
    Fault,
    Operation,
    Outcome,
    Record,
    Request,
    parse_record,
)

_T = TypeVar("_T", Request, Answer)


@dataclass(frozen=True, slots=True)
class Call:
    """A request and its answer, where one came."""

    request: Request
    answer: Answer | None

    @property
    def operation(self) -> Operation:
        return self.request.operation

    @property
    def sent(self) -> float:
        return self.request.sent

    @property
    def answered(self) -> float:
        """When the answer came; never (infinity) where none did."""
        return math.inf if self.answer is None else self.answer.answered

    @property
    def outcome(self) -> Outcome:
        return Outcome.UNKNOWN if self.answer is None else self.answer.outcome

    @property
    def done_by(self) -> float:
        """When its effect was there for certain; never (infinity) where that is not known."""
        return self.answered if self.outcome == Outcome.ACKNOWLEDGED else math.inf

    @property
    def may_have_effect(self) -> bool:
        """Whether the request changed something, or may have."""
        return self.outcome in {Outcome.ACKNOWLEDGED, Outcome.UNKNOWN}


@dataclass(frozen=True)
class History:
    """What the clients know. ``calls`` are in the order in which they were sent."""

    calls: tuple[Call, ...]
    faults: tuple[Fault, ...] = ()

    @classmethod
    def of(cls, records: Iterable[Record]) -> History:
        """Join requests and answers. Raises ValueError where an id is used twice or by nobody."""
        requests: dict[str, Request] = {}
        answers: dict[str, Answer] = {}
        faults: dict[str, Fault] = {}
        for record in records:
            match record:
                case Request():
                    _add(requests, record.id, record)
                case Answer():
                    _add(answers, record.request_id, record)
                case Fault():
                    # The line of its end takes the place of that of its beginning.
                    faults[record.id] = record
        if strays := answers.keys() - requests.keys():
            raise ValueError(f"an answer to no request: {min(strays)}")
        calls = [Call(request, answers.get(request.id)) for request in requests.values()]
        return cls(
            tuple(sorted(calls, key=lambda call: call.sent)),
            tuple(sorted(faults.values(), key=lambda fault: fault.began)),
        )

    @cached_property
    def by_operation(self) -> dict[Operation, list[Call]]:
        """The calls of each operation, in the order of sending."""
        found: dict[Operation, list[Call]] = {operation: [] for operation in Operation}
        for call in self.calls:
            found[call.operation].append(call)
        return found


def _add(known: dict[str, _T], record_id: str, record: _T) -> None:
    if record_id in known:
        raise ValueError(f"recorded twice: {record}")
    known[record_id] = record


def read_history(paths: Iterable[Path]) -> History:
    """Read what recorders wrote. Raises ValueError, naming file and line, where a line is none."""
    with without_cycle_collection():
        return History.of(record for path in paths for record in _read_records(path))


def _read_records(path: Path) -> Iterable[Record]:
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                yield parse_record(line)
            except ValueError as error:
                raise ValueError(f"{path}:{number}: {error}") from error
