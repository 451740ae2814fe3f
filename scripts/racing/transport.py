"""HTTP for one thread: requests with a bounded number of retries, each measured."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

import requests

from scripts.racing.records import Exchange

MAX_ATTEMPTS = 10
"""Requests for one operation. At a Retry-After of 1 s that outlasts a restart of the server."""
MAX_RETRY_AFTER_SECONDS = 30.0
"""A server that asks for more than this is not coming back within the test."""
FIRST_BACKOFF_SECONDS = 0.1
MAX_BACKOFF_SECONDS = 2.0

# These 503 say that nothing was done; any other 5xx may stand for work that was.
NOTHING_DONE = frozenset({"OVERLOADED", "BUSY", "DATABASE_UNAVAILABLE", "NOT_READY"})


class Unreachable(Exception):
    """The server gave no answer, or none that this test can go on with."""


class Stopped(Exception):
    """The test was interrupted while this thread was at work."""


@dataclass(frozen=True, slots=True)
class Connection:
    """Where the server is and how to speak to it. `timeout` is in seconds, for each request."""

    base_url: str
    token: str | None
    timeout: float


@dataclass(frozen=True, slots=True)
class Answer:
    """The last answer to an operation, and all the requests that it took.

    `ambiguous`: one of the requests may have taken effect although no answer said so.
    """

    exchanges: tuple[Exchange, ...]
    body: Any
    replayed: bool
    retryable: bool
    ambiguous: bool

    @property
    def status(self) -> int | None:
        """The last answer's status; None where none came."""
        return self.exchanges[-1].status

    @property
    def code(self) -> str | None:
        """The last answer's error code, or the name of the fault."""
        return self.exchanges[-1].code


@dataclass(frozen=True, slots=True)
class _Reply:
    """What one request came to. `retry_after` is in seconds."""

    exchange: Exchange
    body: Any = None
    replayed: bool = False
    retryable: bool = True
    retry_after: float | None = None


class Transport:
    """One session with the server. Its requests end early once `stop` is set."""

    def __init__(self, connection: Connection, stop: threading.Event) -> None:
        self._connection = connection
        self._stop = stop
        self._session = requests.Session()
        # An auth of our own also keeps requests from putting a .netrc entry in its place.
        self._session.auth = self._authorize
        self._session.headers["Accept"] = "application/json, application/problem+json"

    def close(self) -> None:
        """Close the session's connections."""
        self._session.close()

    def check_reachable(self) -> None:
        """Ask /health once. Raises Unreachable, with the reason in one line."""
        base_url = self._connection.base_url
        try:
            response = self._session.get(f"{base_url}/health", timeout=self._connection.timeout)
        except requests.RequestException as error:
            raise Unreachable(f"no server answers at {base_url} ({_reason(error)})") from error
        if response.status_code != HTTPStatus.OK or not _is_health(response):
            raise Unreachable(
                f"{base_url}/health answered {response.status_code}, not as the booking API does"
            )

    def send(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
        parameters: Mapping[str, str | int] | None = None,
    ) -> Answer:
        """Send until there is an answer to go by. Raises Stopped when the test is interrupted."""
        exchanges: list[Exchange] = []
        ambiguous = False
        while not self._stop.is_set():
            reply = self._exchange(method, path, body, headers, parameters)
            exchanges.append(reply.exchange)
            ambiguous = ambiguous or _may_have_worked(reply.exchange)
            retry_after = reply.retry_after or 0.0
            if (
                not reply.retryable
                or retry_after > MAX_RETRY_AFTER_SECONDS
                or len(exchanges) == MAX_ATTEMPTS
            ):
                return Answer(
                    tuple(exchanges), reply.body, reply.replayed, reply.retryable, ambiguous
                )
            # Never before the time that was asked for, and not all in the same instant.
            self._stop.wait(retry_after + self._backoff(len(exchanges)))
        raise Stopped

    def _exchange(
        self,
        method: str,
        path: str,
        body: Mapping[str, object] | None,
        headers: Mapping[str, str] | None,
        parameters: Mapping[str, str | int] | None,
    ) -> _Reply:
        started = time.perf_counter()
        try:
            response = self._session.request(
                method,
                f"{self._connection.base_url}{path}",
                json=body,
                headers=headers,
                params=parameters,
                timeout=self._connection.timeout,
                allow_redirects=False,
            )
        except requests.RequestException as error:
            return _Reply(Exchange(time.perf_counter() - started, None, _reason(error)))
        seconds = time.perf_counter() - started
        content = _json(response)
        return _Reply(
            Exchange(seconds, response.status_code, _code(response, content)),
            body=content,
            replayed=response.headers.get("Idempotency-Replayed") == "true",
            retryable=isinstance(content, dict) and content.get("retryable") is True,
            retry_after=_retry_after(response.headers.get("Retry-After")),
        )

    @staticmethod
    def _backoff(attempts: int) -> float:
        ceiling: float = min(FIRST_BACKOFF_SECONDS * 2 ** (attempts - 1), MAX_BACKOFF_SECONDS)
        return random.uniform(ceiling / 2, ceiling)

    def _authorize(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._connection.token is not None:
            request.headers["Authorization"] = f"Bearer {self._connection.token}"
        return request


def _may_have_worked(exchange: Exchange) -> bool:
    if exchange.status is None:
        return True
    # IDEMPOTENCY_IN_PROGRESS: an earlier request with the key is still under way.
    return exchange.code == "IDEMPOTENCY_IN_PROGRESS" or (
        exchange.status >= HTTPStatus.INTERNAL_SERVER_ERROR and exchange.code not in NOTHING_DONE
    )


def _json(response: requests.Response) -> Any:
    try:
        return response.json()
    except requests.exceptions.JSONDecodeError:
        return None


def _code(response: requests.Response, content: Any) -> str | None:
    if response.status_code < HTTPStatus.MULTIPLE_CHOICES:
        return None
    if isinstance(content, dict) and isinstance(content.get("code"), str):
        return str(content["code"])
    return f"HTTP {response.status_code}"


def _is_health(response: requests.Response) -> bool:
    content = _json(response)
    return isinstance(content, dict) and content.get("data") == {"status": "ok"}


def _retry_after(value: str | None) -> float | None:
    """Seconds to wait by a Retry-After header (RFC 9110, 10.2.3): a number or an HTTP date."""
    if value is None:
        return None
    if value.strip().isdigit():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


def _reason(error: requests.RequestException) -> str:
    if isinstance(error, requests.Timeout):
        return "timed out"
    if isinstance(error, requests.ConnectionError):
        text = str(error)
        for sign, reason in (
            ("Connection refused", "connection refused"),
            ("Name or service not known", "unknown host"),
            ("Failed to resolve", "unknown host"),
            ("CERTIFICATE_VERIFY_FAILED", "certificate not trusted"),
        ):
            if sign in text:
                return reason
        return "connection broken"
    return type(error).__name__
