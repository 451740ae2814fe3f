"""The API as a client calls it, of an application in this process or of a server elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import requests
from flask import Flask

from booking.app import create_app
from tests.support.factories import booking_body, make_config, slot_body

HTTP_TIMEOUT_SECONDS = 30


@dataclass(frozen=True)
class Answer:
    """What came back; ``code`` is the problem's, None for a success."""

    status: int
    body: Any
    headers: Mapping[str, str]

    @property
    def data(self) -> Any:
        assert self.status < 300, self.body
        return self.body["data"]

    @property
    def code(self) -> str | None:
        return self.body["code"] if self.status >= 400 else None

    @property
    def is_replay(self) -> bool:
        return self.headers.get("Idempotency-Replayed") == "true"


Send = Callable[[str, str, dict[str, Any] | None, dict[str, str]], Answer]


class Api:
    """The calls of the contract. Threads may share one."""

    def __init__(self, send: Send) -> None:
        self.send = send

    def create_slot(self, **fields: Any) -> str:
        """Open a slot and return its id."""
        slot_id: str = self.send("POST", "/api/admin/slots", slot_body(**fields), {}).data["id"]
        return slot_id

    def get_readiness(self) -> Answer:
        return self.send("GET", "/ready", None, {})

    def get_slot(self, slot_id: str) -> Answer:
        return self.send("GET", f"/api/slots/{slot_id}", None, {})

    def change_slot(self, slot_id: str, *, if_match: str | None = None, **fields: Any) -> Answer:
        headers = {"If-Match": if_match} if if_match else {}
        return self.send("PATCH", f"/api/admin/slots/{slot_id}", fields, headers)

    def delete_slot(self, slot_id: str) -> Answer:
        return self.send("DELETE", f"/api/admin/slots/{slot_id}", None, {})

    def book(self, slot_id: str, *, key: str | None = None, **fields: Any) -> Answer:
        headers = {"Idempotency-Key": key} if key else {}
        return self.send("POST", "/api/bookings", booking_body(slot_id, **fields), headers)

    def make_booking(self, slot_id: str, **fields: Any) -> str:
        """Book, or hold, where there is room, and return the booking's id."""
        booking_id: str = self.book(slot_id, **fields).data["id"]
        return booking_id

    def get_booking(self, booking_id: str) -> Answer:
        return self.send("GET", f"/api/bookings/{booking_id}", None, {})

    def confirm(self, booking_id: str) -> Answer:
        return self.send("POST", f"/api/bookings/{booking_id}/confirm", None, {})

    def cancel(self, booking_id: str) -> Answer:
        return self.send("POST", f"/api/bookings/{booking_id}/cancel", None, {})

    def expire_pending(self) -> Answer:
        return self.send("POST", "/api/admin/expire-pending", None, {})


@contextmanager
def running_app(database_url: str, *, most_waiting: int = 200, **settings: Any) -> Iterator[Api]:
    """Run the application in this process.

    Unless ``settings`` say otherwise nothing in it gives up before a test is done: time limits are
    long, and threads and connections enough for every request of a race; and each request races for
    itself, as if in a process of its own: ``most_waiting`` of them wait for one slot's lock.
    """
    patient: dict[str, Any] = {
        "db_pool_size": 16,
        "db_pool_timeout_seconds": 20,
        "db_lock_timeout_ms": 20_000,
        "db_statement_timeout_ms": 20_000,
        "group_commit_size": 1,
        "web_threads": 200,
    }
    app = create_app(make_config(database_url=database_url, **(patient | settings)))
    app.extensions["booking"].gate.most_waiting = most_waiting
    try:
        yield Api(_sender_to_app(app))
    finally:
        app.extensions["booking"].pool.close()


def api_over_http(base_url: str) -> Api:
    """Call a server; each request on a connection of its own."""

    def send(
        method: str, path: str, body: dict[str, Any] | None, headers: dict[str, str]
    ) -> Answer:
        response = requests.request(
            method, base_url + path, json=body, headers=headers, timeout=HTTP_TIMEOUT_SECONDS
        )
        return Answer(
            response.status_code, response.json() if response.content else None, response.headers
        )

    return Api(send)


def _sender_to_app(app: Flask) -> Send:
    def send(
        method: str, path: str, body: dict[str, Any] | None, headers: dict[str, str]
    ) -> Answer:
        # A client is not to be shared by threads; it costs nothing to make.
        response = app.test_client().open(path, method=method, json=body, headers=headers)
        return Answer(response.status_code, response.get_json(silent=True), dict(response.headers))

    return send
