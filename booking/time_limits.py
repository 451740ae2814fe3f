"""The chain of time limits: each is longer than those it holds, so that the inner one speaks.

The whole chain stands in docs/SYSTEM_DESIGN.md, "Time limits". A chain out of order loses nothing
and tells nothing untrue, so it does not stop the start: answers come later or say less.
"""

from __future__ import annotations

from booking.config import Config


def queue_timeout(config: Config) -> float:
    """Return how long a booking waits in a line: its slot's stands for the slot's lock."""
    return config.db_lock_timeout_ms / 1000


def lane_seconds(config: Config) -> float:
    """Return how long a booking waits for its turn to share a commit with other slots: a part of
    what those wait who stand behind it in the line of its own slot.
    """
    return queue_timeout(config) / 4


def request_seconds(config: Config) -> float:
    """Return after what time nothing more is begun for a request: a connection and a statement."""
    return config.db_pool_timeout_seconds + config.db_statement_timeout_ms / 1000


def commit_timeout(config: Config) -> float:
    """Return how long a booking waits for its group's commit: all the time that one of the group
    may have left, and the statement that was begun last.
    """
    return request_seconds(config) + config.db_statement_timeout_ms / 1000


def longest_seconds(config: Config) -> float:
    """Return how long a request may take: it may join a group when its own time is nearly up."""
    return request_seconds(config) + commit_timeout(config)


def find_disorder(config: Config, *, graceful_seconds: float) -> list[str]:
    """Return, a line each, which settings are in the wrong order, and what comes of it.

    ``graceful_seconds`` is what a server that ends gives to requests in flight.
    """
    found = []
    if config.db_lock_timeout_ms >= config.db_statement_timeout_ms:
        found.append(
            "DB_LOCK_TIMEOUT_MS is not below DB_STATEMENT_TIMEOUT_MS: a key in progress is answered"
            " BUSY and not IDEMPOTENCY_IN_PROGRESS"
        )
    longest = longest_seconds(config)
    if longest >= graceful_seconds:
        found.append(
            f"twice DB_POOL_TIMEOUT_SECONDS and three times DB_STATEMENT_TIMEOUT_MS make"
            f" {longest:g} s, and a server that ends waits {graceful_seconds:g} s: bookings may be"
            " cut off then"
        )
    return found
