"""A good client: it records before it sends, and sends again what has no certain outcome."""

from __future__ import annotations

import itertools
import random
import threading
import time

from tests.faults.chaos.intent import Intent
from tests.faults.chaos.recorder import Recorder
from tests.faults.chaos.records import (
    Answer,
    Operation,
    Outcome,
    Request,
    read_answer,
)
from tests.faults.chaos.tally import Tally
from tests.faults.chaos.transport import NoAnswer, Transport

FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 2.0
RETRYABLE_REFUSALS = frozenset({"IDEMPOTENCY_IN_PROGRESS", "HOLD_LIMIT"})

# Sent again they would do it twice, or ask what is of no interest any more.
_SENT_ONCE = frozenset({Operation.CREATE_SLOT, Operation.READ_SLOT, Operation.READ_BOOKING})


class Client:
    """Of one thread. Times are in seconds."""

    def __init__(
        self,
        name: str,
        port: int,
        recorder: Recorder,
        tally: Tally,
        rng: random.Random,
        stop: threading.Event,
        *,
        timeout: float,
    ) -> None:
        self.name = name
        self.rng = rng
        self._stop = stop
        self._transport = Transport(port, timeout)
        self._recorder = recorder
        self._tally = tally
        self._numbers = itertools.count()

    def perform(self, intent: Intent, patience: float) -> tuple[Answer, bool]:
        """Send, and send again until the outcome is certain or patience ends.

        Returns the last answer, and whether the intent's effect is still not known: some request
        may have had one, and no later answer told of it.
        """
        give_up = time.monotonic() + patience
        is_open = False
        attempt = 0
        while True:
            attempt += 1
            answer, retry_after = self._send_once(intent)
            is_open = answer.outcome == Outcome.UNKNOWN or (
                is_open and answer.outcome != Outcome.ACKNOWLEDGED
            )
            is_certain = (
                answer.outcome in {Outcome.ACKNOWLEDGED, Outcome.REFUSED}
                and answer.code not in RETRYABLE_REFUSALS
            )
            if is_certain or intent.operation in _SENT_ONCE:
                break
            pause = max(retry_after, self._backoff(attempt))
            if time.monotonic() + pause > give_up or self._stop.wait(pause):
                break
        return answer, is_open

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()

    def _send_once(self, intent: Intent) -> tuple[Answer, float]:
        request = Request(
            id=f"{self.name}-{next(self._numbers)}",
            client=self.name,
            operation=intent.operation,
            sent=time.monotonic(),
            user_id=intent.user_id,
            idempotency_key=intent.idempotency_key,
            slot_id=intent.slot_id,
            booking_id=intent.booking_id,
            num_seats=intent.num_seats,
            total_capacity=intent.total_capacity,
            slot_status=intent.slot_status,
        )
        headers = {"X-Request-ID": request.id}
        if intent.idempotency_key is not None:
            headers["Idempotency-Key"] = intent.idempotency_key
        self._recorder.write(request)
        retry_after = 0.0
        try:
            status, answered_headers, body = self._transport.send(
                intent.method, intent.path, intent.body, headers
            )
        except NoAnswer as error:
            answer = Answer(request_id=request.id, answered=time.monotonic(), failure=error.failure)
        else:
            answer = read_answer(request, time.monotonic(), status, answered_headers, body)
            retry_after = float(answered_headers.get("Retry-After", 0))
        self._recorder.write(answer)
        self._tally.count(intent, request.sent, answer)
        return answer, retry_after

    def _backoff(self, attempt: int) -> float:
        longest = min(FIRST_PAUSE_SECONDS * 2 ** (attempt - 1), LONGEST_PAUSE_SECONDS)
        return self.rng.uniform(longest / 2, longest)
