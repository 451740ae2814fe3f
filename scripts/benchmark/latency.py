"""One HTTP client that keeps its connection, and how long each answer took."""

from __future__ import annotations

import time
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import urlsplit

import orjson

from scripts.benchmark.records import NotRun

# Longer than the server lets any request wait.
TIMEOUT_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked; ``body`` is sent as JSON, under an idempotency key where there is one."""

    method: str
    path: str
    body: dict[str, Any] | None = None
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, and how many milliseconds after the request had begun to be sent."""

    status: int
    content: Any
    milliseconds: float


class Client:
    """One client with one connection, which the server keeps open between its requests."""

    def __init__(self, base_url: str) -> None:
        self._connection = HTTPConnection(urlsplit(base_url).netloc, timeout=TIMEOUT_SECONDS)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def send(self, request: Request) -> Answer:
        """Send a request and wait for its answer. Raises NotRun where none comes."""
        headers = {"Idempotency-Key": request.key} if request.key else {}
        body = None
        if request.body is not None:
            body = orjson.dumps(request.body)
            headers["Content-Type"] = "application/json"
        started = time.perf_counter()
        try:
            self._connection.request(request.method, request.path, body, headers)
            response = self._connection.getresponse()
            content = response.read()
        except (OSError, HTTPException) as error:
            raise NotRun(f"{request.method} {request.path} was not answered: {error!r}") from error
        milliseconds = (time.perf_counter() - started) * 1000
        return Answer(response.status, orjson.loads(content), milliseconds)
