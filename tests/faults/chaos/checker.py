"""All checks of a run's history and its final tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.faults.chaos.checks import (
    answers,
    events,
    expiry,
    keys,
    refusals,
    replay,
    seats,
    statuses,
    storage,
    versions,
)
from tests.faults.chaos.evidence import Evidence
from tests.faults.chaos.history import History
from tests.faults.chaos.memory import without_cycle_collection
from tests.faults.chaos.records import Tables
from tests.faults.chaos.violation import Finding, Violation

Check = Callable[[Evidence], Iterator[Finding]]

CHECKS: tuple[Check, ...] = (
    storage.acknowledged_bookings_are_stored,
    storage.acknowledged_slots_are_stored,
    storage.bookings_were_asked_for,
    storage.slots_were_asked_for,
    keys.keys_book_once,
    keys.bookings_have_one_key,
    keys.replays_repeat_a_request,
    keys.acknowledged_keys_are_replayed,
    statuses.bookings_end_in_a_legal_status,
    statuses.statuses_were_asked_for,
    statuses.bookings_never_go_back,
    seats.seats_add_up,
    seats.certain_seats_fit,
    seats.full_slots_were_full,
    seats.shown_seats_were_possible,
    events.events_lead_to_status,
    events.seats_move_once,
    replay.events_replay_to_slots,
    replay.shown_slots_match_their_version,
    versions.slots_never_go_back,
    versions.versions_show_one_state,
    expiry.holds_are_shown_until_they_lapse,
    expiry.lapsed_holds_stay_lapsed,
    expiry.events_keep_to_the_expiry,
    answers.answers_keep_to_the_contract,
    answers.answers_fit_their_requests,
    refusals.refusals_have_a_reason,
    refusals.closed_slots_take_no_bookings,
)


def check_name(check: Check) -> str:
    """Return the name under which a check's findings are told."""
    return check.__name__


def find_violations(history: History, tables: Tables) -> list[Violation]:
    """Return what every check finds; nothing where the run kept all promises."""
    evidence = Evidence(history, tables)
    with without_cycle_collection():
        return [
            Violation(check_name(check), finding.what, finding.ids)
            for check in CHECKS
            for finding in check(evidence)
        ]
