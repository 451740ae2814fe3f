"""Makes what tests need: settings, slots and bookings, each with fitting defaults."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from booking.config import AppEnv, AuthConfig, AuthMode, Config

# A UUID that nothing bears.
UNKNOWN_ID = "00000000-0000-7000-8000-000000000000"

_DEFAULTS = Config(
    app_env=AppEnv.DEVELOPMENT,
    host="127.0.0.1",
    port=3000,
    database_url=None,
    # Longer than any run: no hold lapses but where a test says so.
    hold_ttl_seconds=3600,
    expiry_interval_seconds=0,
    max_active_holds_per_user=10,
    db_pool_size=8,
    db_pool_timeout_seconds=2,
    db_statement_timeout_ms=5000,
    db_lock_timeout_ms=2000,
    group_commit_size=100,
    web_concurrency=1,
    web_threads=256,
    auth=AuthConfig(AuthMode.OPEN),
    cors_origins=frozenset(),
    trusted_proxies=0,
    log_level="info",
    log_format="text",
)


def make_config(**settings: Any) -> Config:
    """Return the default settings, without sweeps, with ``settings`` in place of theirs."""
    return replace(_DEFAULTS, **settings)


def in_future(**offset: float) -> str:
    """Return the time so far from now, a day where nothing is said, as RFC 3339."""
    return (datetime.now(UTC) + timedelta(**(offset or {"days": 1}))).isoformat()


def unique(prefix: str) -> str:
    """Return a name that no other test uses."""
    return f"{prefix}-{uuid.uuid4().hex[:12]}"


def slot_body(**fields: Any) -> dict[str, Any]:
    """Return a body for POST /api/admin/slots."""
    return {
        "doctor_name": "Dr. Asha Rao",
        "start_time": in_future(),
        "total_capacity": 10,
        **fields,
    }


def booking_body(slot_id: str, **fields: Any) -> dict[str, Any]:
    """Return a body for POST /api/bookings."""
    return {"slot_id": slot_id, "user_id": unique("user"), "num_seats": 1, **fields}
