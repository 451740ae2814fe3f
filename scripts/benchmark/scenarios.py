"""The scenarios: what is asked of the server or of the database, and what it must answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

from scripts.benchmark.application import EMPTY_ENDPOINT
from scripts.benchmark.database import RANDOM_SLOTS, SOLD_OUT_SLOT
from scripts.benchmark.pgbench import (
    bare_statement,
    booking_script,
    own_statement,
    run_pgbench,
)
from scripts.benchmark.records import Load
from scripts.benchmark.stage import Stage
from scripts.benchmark.wrk import run_wrk

BOOKINGS = "/api/bookings"
CLIENTS = 64
# From one client a run differs from the next by more than what is asked: they are compared often.
IDLE_TURNS = 4


@dataclass(frozen=True)
class Plan:
    """One run of a scenario."""

    label: str
    seconds: int
    seed: int


LoadMaker = Callable[["Scenario", Stage, Plan], Load]


@dataclass(frozen=True)
class Scenario:
    """A load, and the statuses that the server may answer; none where there is no server."""

    name: str
    title: str
    make_load: LoadMaker
    statuses: frozenset[int]
    clients: int = CLIENTS
    is_grouping: bool = True
    books: bool = False
    """Whether a 201 is a booking."""
    turns: int = 1
    """How often it runs in a round."""

    @property
    def place(self) -> str:
        """Its name without what is compared there: grouped and ungrouped."""
        return self.name.removesuffix("-on").removesuffix("-off")

    @property
    def is_refused(self) -> bool:
        """Whether all that it asks for is refused, as it should be."""
        return bool(self.statuses) and min(self.statuses) >= HTTPStatus.BAD_REQUEST


def _book_hot(scenario: Scenario, stage: Stage, plan: Plan) -> Load:
    return _book(scenario, stage, plan, stage.new_hot_slot())


def _book_random(scenario: Scenario, stage: Stage, plan: Plan) -> Load:
    return _book(scenario, stage, plan, RANDOM_SLOTS)


def _book_sold_out(scenario: Scenario, stage: Stage, plan: Plan) -> Load:
    return _book(scenario, stage, plan, SOLD_OUT_SLOT)


def _book_nothing(scenario: Scenario, stage: Stage, plan: Plan) -> Load:
    return _book(scenario, stage, plan, RANDOM_SLOTS, path=EMPTY_ENDPOINT)


def _book(
    scenario: Scenario, stage: Stage, plan: Plan, slots: range, *, path: str = BOOKINGS
) -> Load:
    arguments = [path, str(slots[0]), str(len(slots)), plan.label, str(plan.seed)]
    return _wrk(scenario, stage, plan, "book.lua", arguments)


def _read_slots(scenario: Scenario, stage: Stage, plan: Plan) -> Load:
    return _wrk(scenario, stage, plan, "read.lua", ["/api/slots"])


def _read_booking(scenario: Scenario, stage: Stage, plan: Plan) -> Load:
    arguments = [BOOKINGS, str(RANDOM_SLOTS[0]), str(len(RANDOM_SLOTS)), str(plan.seed)]
    return _wrk(scenario, stage, plan, "read.lua", arguments)


def _err(scenario: Scenario, stage: Stage, plan: Plan) -> Load:
    return _wrk(scenario, stage, plan, "mistakes.lua", [plan.label, str(plan.seed)])


def _mixed_day(scenario: Scenario, stage: Stage, plan: Plan) -> Load:
    arguments = [str(RANDOM_SLOTS[0]), str(len(RANDOM_SLOTS)), plan.label, str(plan.seed)]
    return _wrk(scenario, stage, plan, "mixed.lua", arguments)


def _wrk(scenario: Scenario, stage: Stage, plan: Plan, script: str, arguments: list[str]) -> Load:
    base_url = stage.servers[scenario.is_grouping].base_url
    return run_wrk(base_url, script, arguments, clients=scenario.clients, seconds=plan.seconds)


def _pgbench_hot(scenario: Scenario, stage: Stage, plan: Plan) -> Load:
    return _pgbench(scenario, stage, plan, stage.new_hot_slot(), bare_statement())


def _pgbench_hot_own(scenario: Scenario, stage: Stage, plan: Plan) -> Load:
    return _pgbench(scenario, stage, plan, stage.new_hot_slot(), own_statement())


def _pgbench_random(scenario: Scenario, stage: Stage, plan: Plan) -> Load:
    return _pgbench(scenario, stage, plan, RANDOM_SLOTS, bare_statement())


def _pgbench(scenario: Scenario, stage: Stage, plan: Plan, slots: range, statement: str) -> Load:
    return run_pgbench(
        stage.dsn,
        booking_script(statement, int(stage.postgres_version.partition(".")[0])),
        slots=slots,
        label=plan.label,
        clients=scenario.clients,
        seconds=plan.seconds,
        seed=plan.seed,
    )


_NO_SERVER: frozenset[int] = frozenset()
_BOOKED = frozenset({201})
# Of a crowd that waits for the row itself some wait longer than the time limits allow.
_BOOKED_OR_BUSY = frozenset({201, 503})
_READ = frozenset({200})
_MISTAKEN = frozenset({400, 404, 405, 415, 422})


def hot_name(clients: int, *, is_grouping: bool) -> str:
    """Return the name of a hot slot's scenario; from one client it is an idle one."""
    place = "idle" if clients == 1 else "hot"
    return f"{place}-{clients}-{'on' if is_grouping else 'off'}"


def _hot(clients: int, *, is_grouping: bool) -> Scenario:
    name = hot_name(clients, is_grouping=is_grouping)
    place = name.partition("-")[0]
    return Scenario(
        name,
        f"{place} slot, {'grouped' if is_grouping else 'ungrouped'}",
        _book_hot,
        _BOOKED if is_grouping else _BOOKED_OR_BUSY,
        clients=clients,
        is_grouping=is_grouping,
        books=True,
        turns=IDLE_TURNS if clients == 1 else 1,
    )


HOT_CLIENTS = (1, 16, 64, 256)
ALL: tuple[Scenario, ...] = (
    *(_hot(clients, is_grouping=on) for clients in HOT_CLIENTS for on in (True, False)),
    Scenario("random", "10,000 slots, random", _book_random, _BOOKED, books=True),
    Scenario("sold-out", "sold-out slot", _book_sold_out, frozenset({409})),
    Scenario("read-slots", "reading slots", _read_slots, _READ),
    Scenario("read-booking", "reading a booking", _read_booking, _READ),
    Scenario("mixed", "mixed day", _mixed_day, _READ | _BOOKED),
    Scenario("mistakes", "mistaken requests", _err, _MISTAKEN),
    Scenario("empty", "empty endpoint", _book_nothing, _BOOKED),
    Scenario("pgbench-hot", "pgbench, one row", _pgbench_hot, _NO_SERVER, books=True),
    Scenario("pgbench-hot-own", "pgbench, own query", _pgbench_hot_own, _NO_SERVER, books=True),
    Scenario("pgbench-random", "pgbench, 10,000 rows", _pgbench_random, _NO_SERVER, books=True),
)
BY_NAME = {scenario.name: scenario for scenario in ALL}
