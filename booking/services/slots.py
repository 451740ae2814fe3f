"""What an admin does with slots, and how they are found."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TypedDict, cast

from booking.db.connection import Connection
from booking.db.database import Database
from booking.db.transaction import Isolation
from booking.errors import (
    CapacityBelowBooked,
    InvalidInput,
    SlotNotFound,
    Unavailable,
    VersionMismatch,
)
from booking.models import Slot, SlotFilter, SlotPosition, SlotStatus
from booking.repositories import holds, slots
from booking.services.booking.expiry import MAX_HOLDS_PER_BATCH, ExpiryService
from booking.services.booking.slot_gate import SlotGate
from booking.services.pagination import Page, page_of
from booking.services.public_lists import PublicLists
from booking.uuid7 import uuid7

logger = logging.getLogger(__name__)

IN_THE_FUTURE = "Must be in the future."

VersionCondition = Callable[[int], bool]
SlotPage = Page[Slot, SlotPosition]


class SlotChanges(TypedDict, total=False):
    """What an admin may set; what is left out stays."""

    doctor_name: str
    specialization: str | None
    start_time: datetime
    duration_minutes: int | None
    total_capacity: int
    max_seats_per_user: int | None
    status: SlotStatus


class SlotService:
    """The use cases of slots."""

    def __init__(
        self, db: Database, expiry: ExpiryService, gate: SlotGate, public_lists: PublicLists
    ) -> None:
        self._db = db
        self._expiry = expiry
        self._gate = gate
        self._public_lists = public_lists

    def create_slot(
        self,
        *,
        doctor_name: str,
        start_time: datetime,
        total_capacity: int,
        specialization: str | None = None,
        duration_minutes: int | None = None,
        max_seats_per_user: int | None = None,
    ) -> Slot:
        """Open a slot with all of its seats free.

        Raises InvalidInput when its start is not in the future by the database's clock.
        """
        slot_id = uuid7()
        slot = self._db.write(
            lambda conn: slots.insert_slot(
                conn,
                slot_id=slot_id,
                doctor_name=doctor_name,
                specialization=specialization,
                start_time=start_time,
                duration_minutes=duration_minutes,
                total_capacity=total_capacity,
                max_seats_per_user=max_seats_per_user,
            )
        )
        if slot is None:
            raise InvalidInput.of("start_time", IN_THE_FUTURE)
        return slot

    def get_slot(self, slot_id: str) -> Slot:
        """Return one slot, past and closed ones too. Raises SlotNotFound.

        Seats of lapsed holds are given back first, so that the version tells of them, unless
        somebody is at work on the slot or nothing can be written; they count as free all the same.
        """
        slot, unswept_seats = self._db.read(lambda conn: slots.get_slot(conn, slot_id))
        if not unswept_seats:
            return slot
        try:
            self._expiry.expire_unlocked_holds([slot_id])
        except Unavailable as error:
            logger.info("lapsed holds of a slot stay unswept: %s", error.detail)
            return slot
        slot, _ = self._db.read(lambda conn: slots.get_slot(conn, slot_id))
        return slot

    def change_slot(
        self, slot_id: str, changes: SlotChanges, is_expected: VersionCondition | None
    ) -> Slot:
        """Change what ``changes`` names, where ``is_expected`` agrees with the version.

        Locks the slot. A change of nothing raises no version, and a start that has passed may be
        sent as it is: a form sends all of its fields. Raises SlotNotFound, VersionMismatch,
        InvalidInput for another start that is not in the future, and CapacityBelowBooked.
        """

        def work(conn: Connection) -> Slot:
            slot = slots.lock_slot(conn, slot_id)
            if is_expected and not is_expected(slot.version):
                raise VersionMismatch
            start_time = changes.get("start_time", slot.start_time)
            if start_time != slot.start_time and not slots.is_future(conn, start_time):
                raise InvalidInput.of("start_time", IN_THE_FUTURE)
            while holds.lock_lapsed_holds(conn, slot_id, MAX_HOLDS_PER_BATCH):
                holds.expire_holds(conn, [slot_id], MAX_HOLDS_PER_BATCH)
            slot = slots.lock_slot(conn, slot_id)
            booked = slot.total_capacity - slot.remaining_capacity
            if changes.get("total_capacity", booked) < booked:
                raise CapacityBelowBooked(booked)
            changed = replace(slot, **cast(dict[str, object], changes))  # type: ignore[arg-type] # checked by SlotChanges
            return slot if changed == slot else slots.update_slot(conn, changed)

        with self._gate.waiting_for(slot_id):
            return self._db.transact(work)

    def delete_slot(self, slot_id: str, is_expected: VersionCondition | None) -> None:
        """Delete a slot that no booking ever named, where ``is_expected`` agrees with the version.

        Locks the slot. Raises SlotNotFound, VersionMismatch and SlotHasBookings.
        """
        with self._gate.waiting_for(slot_id):
            if is_expected is None:
                is_deleted = self._db.write(lambda conn: slots.delete_slot(conn, slot_id))
            else:
                is_deleted = self._db.transact(
                    lambda conn: self._delete_expected(conn, slot_id, is_expected)
                )
        if not is_deleted:
            raise SlotNotFound

    @staticmethod
    def _delete_expected(conn: Connection, slot_id: str, is_expected: VersionCondition) -> bool:
        if not is_expected(slots.lock_slot(conn, slot_id).version):
            raise VersionMismatch
        return slots.delete_slot(conn, slot_id)

    def list_slots(
        self,
        wanted: SlotFilter,
        *,
        status: SlotStatus | None,
        after: SlotPosition | None,
        limit: int,
    ) -> SlotPage:
        """Return a page of all slots, by start and id."""

        def work(conn: Connection) -> Sequence[Slot]:
            return slots.list_slots(
                conn, wanted, status=status, min_seats=None, after=after, max_rows=limit + 1
            )

        rows = (
            self._db.transact(work, Isolation.SNAPSHOT) if wanted.is_search else self._db.read(work)
        )
        return page_of(rows, limit, _position)

    def list_bookable_slots(
        self, wanted: SlotFilter, *, min_seats: int, after: SlotPosition | None, limit: int
    ) -> SlotPage:
        """Return a page of open slots of the future with ``min_seats`` left, by start and id.

        Raises Overloaded and Busy where it would keep bookings from the database (PublicLists).
        """
        rows = self._public_lists.read(
            lambda conn: slots.list_slots(
                conn,
                wanted,
                status=SlotStatus.OPEN,
                min_seats=min_seats,
                after=after,
                max_rows=limit + 1,
            ),
            is_search=wanted.is_search,
        )
        return page_of(rows, limit, _position)


def _position(slot: Slot) -> SlotPosition:
    return SlotPosition(slot.start_time, slot.id)
