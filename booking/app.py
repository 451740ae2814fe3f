"""Wires the application: settings in, a WSGI application out, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from booking import time_limits
from booking.config import Config
from booking.controllers import (
    admin_bookings,
    admin_slots,
    bookings,
    documentation,
    health,
    parsing,
    problems,
    slots,
)
from booking.db.connection import pool_parameters
from booking.db.database import Database
from booking.db.pool import ConnectionPool
from booking.errors import Overloaded
from booking.jobs.sweeper import HoldSweeper
from booking.middleware import authentication, cors, logs, loopback, request_id, target
from booking.middleware.arrival import Arrival
from booking.middleware.headers import SecurityHeaders
from booking.middleware.request_deadline import RequestDeadline
from booking.openapi.document import write_document
from booking.overload.admission import Admission
from booking.overload.in_flight import InFlight
from booking.services.audit import AuditService
from booking.services.booking.commit_queue import CommitQueue
from booking.services.booking.cross_slot_commit import CrossSlotCommit
from booking.services.booking.expiry import ExpiryService
from booking.services.booking.service import BookingService
from booking.services.booking.slot_batch import SlotBatch
from booking.services.booking.slot_gate import SlotGate
from booking.services.pagination import CursorKey
from booking.services.public_lists import PublicLists
from booking.services.readiness import ReadinessService
from booking.services.slots import SlotService
from booking.synchronous import SynchronousFlask

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

PROBES = frozenset({"/health", "/ready"})
# Of the requests in flight so small a part may be lists that wait for their turn: fewer than half,
# or they would be taken for an overload (middleware/in_flight.py).
WAITING_LISTS_PART = 4


@dataclass(frozen=True)
class Services:
    """What works on the database without a request, for whoever starts and stops the process."""

    pool: ConnectionPool
    db: Database
    gate: SlotGate
    slots: SlotService
    bookings: BookingService
    expiry: ExpiryService
    audit: AuditService
    sweeper: HoldSweeper


def create_services(config: Config) -> Services:
    """Return what the routes and the commands are made of. Connects to nothing yet."""
    pool = ConnectionPool(
        config.database_url or "",
        size=config.db_pool_size,
        timeout_seconds=config.db_pool_timeout_seconds,
        parameters=pool_parameters(
            statement_timeout_ms=config.db_statement_timeout_ms,
            lock_timeout_ms=config.db_lock_timeout_ms,
        ),
    )
    db = Database(pool)
    gate = SlotGate(lock_seconds=config.db_lock_timeout_ms / 1000)
    expiry = ExpiryService(db, gate)
    public_lists = PublicLists(
        db,
        pool_size=config.db_pool_size,
        wait_seconds=config.db_pool_timeout_seconds,
        statement_timeout_ms=config.db_statement_timeout_ms,
        most_waiting=max(1, config.web_threads // WAITING_LISTS_PART),
    )
    shared = CrossSlotCommit(
        db,
        max_group_size=config.group_commit_size,
        queue_timeout=time_limits.lane_seconds(config),
        commit_timeout=time_limits.commit_timeout(config),
    )
    slot_batch = SlotBatch(
        db,
        expiry,
        gate,
        shared if config.group_commit_size > 1 else None,
        hold_ttl_seconds=config.hold_ttl_seconds,
        max_active_holds_per_user=config.max_active_holds_per_user,
    )
    groups = CommitQueue(
        slot_batch.book_batch,
        max_group_size=config.group_commit_size,
        queue_timeout=time_limits.queue_timeout(config),
        commit_timeout=time_limits.commit_timeout(config),
    )
    return Services(
        pool=pool,
        db=db,
        gate=gate,
        slots=SlotService(db, expiry, gate, public_lists),
        bookings=BookingService(
            db,
            expiry,
            gate,
            groups,
            max_active_holds_per_user=config.max_active_holds_per_user,
        ),
        expiry=expiry,
        audit=AuditService(db),
        sweeper=HoldSweeper(expiry, interval_seconds=config.expiry_interval_seconds),
    )


def _is_exempt(environ: WSGIEnvironment, cors_origins: frozenset[str]) -> bool:
    """Tell whether a request is never turned away for load."""
    if environ["PATH_INFO"] in PROBES and not environ.get("QUERY_STRING"):
        # With a query it asks for more than a probe does.
        return True
    # Of a refused preflight a page is told nothing; its request is refused so that it can read it.
    return cors.is_preflight(environ, cors_origins)


def _behind_proxies(application: WSGIApplication, config: Config) -> WSGIApplication:
    if not config.trusted_proxies:
        return application
    proxies = config.trusted_proxies
    return ProxyFix(
        application,
        x_for=proxies,
        x_proto=proxies,
        x_host=proxies,
        x_port=proxies,
        x_prefix=proxies,
    )


def create_app(config: Config) -> Flask:
    """Return the application. It starts with the database down, and says so until it is up."""
    app = SynchronousFlask(__name__, static_folder=None)
    # Two slashes are another path, not a spelling of one: unknown, rather than redirected.
    app.url_map.merge_slashes = False

    def refusal(problem: problems.Problem, detail: str) -> WSGIApplication:
        refuse = problems.refusal(problem, detail, cors_origins=config.cors_origins)
        return _behind_proxies(refuse, config)

    admission = Admission(
        SecurityHeaders(RequestDeadline(app.wsgi_app, seconds=time_limits.request_seconds(config))),
        in_flight=InFlight(most=config.web_threads, least=2 * config.db_pool_size),
        is_exempt=lambda environ: _is_exempt(environ, config.cors_origins),
        refuse=refusal(problems.PROBLEMS[Overloaded], Overloaded.detail),
    )
    # The worker asks for both before it makes a WSGI request of what would be refused, or is none.
    app.extensions["admission"] = admission
    app.extensions["refusal"] = refusal
    arrival = Arrival(admission, max_bytes=parsing.MAX_BODY_BYTES)
    app.wsgi_app = _behind_proxies(arrival, config)  # type: ignore[assignment,method-assign] # as Flask documents it
    parts = create_services(config)
    app.extensions["booking"] = parts
    cursor_key = CursorKey(parts.db)

    request_id.init_app(app)
    logs.init_app(app)
    loopback.init_app(app, config)
    target.init_app(app)
    authentication.init_app(app, config.auth)
    parsing.init_app(app)
    cors.init_app(app, config.cors_origins)
    problems.init_app(app)

    for blueprint in (
        health.create_blueprint(
            ReadinessService(parts.db, statement_timeout_ms=config.db_statement_timeout_ms)
        ),
        admin_slots.create_blueprint(parts.slots, cursor_key),
        admin_bookings.create_blueprint(parts.bookings, parts.expiry, parts.audit, cursor_key),
        slots.create_blueprint(parts.slots, cursor_key),
        bookings.create_blueprint(parts.bookings, cursor_key),
        documentation.create_blueprint(lambda: write_document(app)),
    ):
        app.register_blueprint(blueprint)
    return app
