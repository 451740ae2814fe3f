"""What schemathesis cannot know from the document: loaded by it, in its own process.

JSON Schema cannot say that a time lies in the future, that a cursor is one that this API made,
that an If-Match is the slot's version, or that a whole number is written without a fraction (to it
2.0 is an integer). Positive data, which the document says must be accepted, are mended in these
places; negative data are sent as they are. Nor can it say that a key was used before: that refusal
of positive data is right.

Every other positive request outside of scenarios is about a slot or booking that was made before,
so that more is answered than "no such booking".
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import threading
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import schemathesis
from schemathesis import Case, GenerationMode, HookContext, Response
from schemathesis.core.failures import Failure
from schemathesis.generation.meta import TestPhase
from schemathesis.openapi.checks import RejectedPositiveData

REQUESTS_VARIABLE = "CONTRACT_TESTS_REQUESTS"
FUTURE = "2199-12-31T23:59:59Z"
# A request this near to now could be in the past when it arrives.
MARGIN_SECONDS = 3600

# The ids that were made and still stand, by the name of the parameter or field that takes them.
_made: Mapping[str, deque[str]] = {"slot_id": deque(maxlen=8), "booking_id": deque(maxlen=8)}
_MAKERS = {"adminCreateSlot": "slot_id", "bookSeats": "booking_id"}
# What ends a thing takes the oldest, and leaves the newest to all the others.
_ENDS = {"cancelBooking": "booking_id", "adminDeleteSlot": "slot_id"}
_turns = itertools.count()
_lock = threading.Lock()


@schemathesis.hook
def before_call(context: HookContext, case: Case[Any], kwargs: dict[str, Any]) -> None:
    if case.meta is None or case.meta.generation.mode is not GenerationMode.POSITIVE:
        return
    case.query.pop("cursor", None)
    if "If-Match" in case.headers:
        case.headers["If-Match"] = "*"
    if isinstance(case.body, dict):
        _mend(case.body)
    if case.meta.phase.name is not TestPhase.STATEFUL and next(_turns) % 2:
        for container in (case.path_parameters, case.body):
            if isinstance(container, dict):
                _use_what_was_made(container, is_end=_id_of(case) in _ENDS)


@schemathesis.hook
def after_call(context: HookContext, case: Case[Any], response: Response) -> None:
    operation = _id_of(case)
    line = json.dumps([operation, case.method, response.status_code])
    with _lock, open(os.environ[REQUESTS_VARIABLE], "a") as file:  # noqa: PTH123 - one line at a time
        file.write(line + "\n")
    if response.status_code == HTTPStatus.CREATED and operation in _MAKERS:
        _made[_MAKERS[operation]].append(response.json()["data"]["id"])
    if response.status_code < HTTPStatus.BAD_REQUEST and operation in _ENDS:
        name = _ENDS[operation]
        with contextlib.suppress(ValueError):
            _made[name].remove(case.path_parameters.get(name, ""))


@schemathesis.hook
def filter_failure(
    context: HookContext, failure: Failure, case: Case[Any], response: Response
) -> bool:
    is_refused_key = response.status_code == HTTPStatus.UNPROCESSABLE_ENTITY and (
        response.json().get("code") == "IDEMPOTENCY_KEY_REUSED"
    )
    return not (isinstance(failure, RejectedPositiveData) and is_refused_key)


def _mend(body: dict[str, Any]) -> None:
    if _is_past(body.get("start_time")):
        body["start_time"] = FUTURE
    for name, value in body.items():
        if isinstance(value, float) and value.is_integer():
            body[name] = int(value)


def _use_what_was_made(container: dict[str, Any], *, is_end: bool) -> None:
    for name, ids in _made.items():
        if name in container and len(ids) > is_end:
            container[name] = ids[0] if is_end else ids[-1]


def _id_of(case: Case[Any]) -> str:
    operation: str = case.operation.definition.raw["operationId"]
    return operation


def _is_past(sent: Any) -> bool:
    try:
        moment = datetime.fromisoformat(sent)
        return (moment - datetime.now(UTC)).total_seconds() < MARGIN_SECONDS
    except (TypeError, ValueError):
        return False
