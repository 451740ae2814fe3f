"""A slot's events, in order of version, replay its seats: those stored and those shown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from tests.faults.chaos.evidence import Evidence
from tests.faults.chaos.history import Call
from tests.faults.chaos.ledger import Ledger, ledgers
from tests.faults.chaos.records import ShownSlot, SlotRow
from tests.faults.chaos.violation import Finding


def events_replay_to_slots(evidence: Evidence) -> Iterator[Finding]:
    """From the capacity that it was created with, every version's moves fit, and lead to the row.

    A version moves the seats of one booking or of several (a group commit, a sweep), or is an
    admin's change.
    """
    for slot_id, ledger in ledgers(evidence):
        row = evidence.slot_rows.get(slot_id)
        if row is None:
            yield Finding("events of no slot", (slot_id,))
            continue
        what = _bad_versions(ledger, row) or _unexplained_gaps(evidence, ledger, row)
        what = what or _misfit(evidence, ledger, row)
        if what:
            yield Finding(what, (slot_id,))


def _bad_versions(ledger: Ledger, row: SlotRow) -> str | None:
    bad = [version for version in ledger.versions if not 2 <= version <= row.version]
    return f"events at version {bad[0]} of a slot at version {row.version}" if bad else None


def _unexplained_gaps(evidence: Evidence, ledger: Ledger, row: SlotRow) -> str | None:
    changes = evidence.changes.get(row.id, [])
    shown = _capacities(changes).keys()
    unknown = sum(_shown(call) is None for call in changes)
    # More than can be explained need not be counted.
    gaps = islice((version for version in _gaps(ledger, row) if version not in shown), unknown + 1)
    unexplained = list(gaps)
    if len(unexplained) <= unknown:
        return None
    return (
        f"nothing happened at version {unexplained[-1]};"
        f" {unknown} changes of unknown outcome explain so many such versions"
    )


def _gaps(ledger: Ledger, row: SlotRow) -> Iterator[int]:
    expected = 2
    for version in [*ledger.versions, row.version + 1]:
        yield from range(expected, version)
        expected = version + 1


def _misfit(evidence: Evidence, ledger: Ledger, row: SlotRow) -> str | None:
    known = _capacities(evidence.slot_answers.get(row.id, []))
    changes = evidence.changes.get(row.id, [])
    changed = _capacities(changes)
    unknown = {
        call.request.total_capacity
        for call in changes
        if _shown(call) is None and call.request.total_capacity is not None
    }
    moved = set(ledger.versions)
    possible = {known.pop(1, row.total_capacity)}
    for version in sorted({*moved, *known, *_gaps(ledger, row)}):
        if version not in moved:
            possible |= unknown
            possible |= {changed[version]} if version in changed else set()
        if version in known:
            if known[version] not in possible:
                return f"{known[version]} seats in all from version {version}, by no admin's change"
            possible = {known[version]}
        taken = ledger.taken_at(version)
        if not 0 <= taken <= max(possible):
            return f"{taken} of {max(possible)} seats taken at version {version}"
    if row.total_capacity not in possible:
        return f"{row.total_capacity} seats in all, by no admin's change"
    left = row.total_capacity - ledger.taken_at(row.version)
    if row.remaining_capacity != left:
        return f"{row.remaining_capacity} seats remaining, and its events leave {left}"
    return None


def _capacities(calls: Iterable[Call]) -> dict[int, int]:
    return {shown.version: shown.total_capacity for shown in map(_shown, calls) if shown}


def _shown(call: Call) -> ShownSlot | None:
    return call.answer.slot if call.answer else None


def shown_slots_match_their_version(evidence: Evidence) -> Iterator[Finding]:
    """An answer shows the seats that its version left, and beyond them only those of lapsed holds.

    Which is so whenever a hold was pending at that version, and is never confirmed or cancelled.
    """
    for slot_id, ledger in ledgers(evidence):
        for call in evidence.slot_answers.get(slot_id, []):
            slot = _shown(call)
            if slot is None:
                continue
            left = slot.total_capacity - ledger.taken_at(slot.version)
            most = left + ledger.lapsing_at(slot.version)
            if not left <= slot.remaining_capacity <= most:
                yield Finding(
                    f"{slot.remaining_capacity} seats shown at version {slot.version},"
                    f" which left {left} to {most}",
                    (slot_id, call.request.id),
                )
