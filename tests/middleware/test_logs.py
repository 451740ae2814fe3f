"""Lines of the text log: what a client sent cannot begin one, not even within a trace."""

from __future__ import annotations

import logging
import sys

import pytest

from booking.middleware.logs import OneLineFormatter
from booking.middleware.request_id import RequestIdFilter, current_request_id

FORMAT = "%(levelname)s %(name)s [%(request_id)s] %(message)s"
LINE_ENDS = ["\n", "\r", "\r\n", "\v", "\f", "\x1c", "\x85", "\u2028", "\u2029"]


def _record(message: str, *args: object, trace: bool = False) -> logging.LogRecord:
    record = logging.LogRecord(
        "booking.test", logging.INFO, __file__, 1, message, args, sys.exc_info() if trace else None
    )
    assert RequestIdFilter().filter(record)
    return record


@pytest.mark.parametrize("end", LINE_ENDS)
def test_message_stays_in_its_line(end: str) -> None:
    told = OneLineFormatter(FORMAT).format(_record("sent: %s", f"a{end}FORGED"))
    assert len(told.splitlines()) == 1
    assert told.startswith("INFO booking.test [-] sent: a\\")


@pytest.mark.parametrize("end", LINE_ENDS)
def test_trace_is_told_apart_from_lines_of_the_log(end: str) -> None:
    try:
        int(f"a{end}FORGED INFO booking.access [-] GET")
    except ValueError as error:
        error.add_note(f"Failing row contains (a{end}FORGED)")
        told = OneLineFormatter(FORMAT).format(_record("a defect", trace=True))
    first, *rest = told.splitlines()
    assert first == "INFO booking.test [-] a defect"
    assert len(rest) > 2
    assert [line for line in rest if not line.startswith(" ")] == []


def test_there_is_no_request_id_outside_of_a_request() -> None:
    assert current_request_id() == "-"


def test_letters_of_any_script_are_told_as_they_are() -> None:
    assert OneLineFormatter("%(message)s").format(_record("Dr. Łukasz 陳 😀")) == "Dr. Łukasz 陳 😀"
