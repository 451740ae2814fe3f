"""A Hypothesis state machine: any sequence of calls leaves one slot as its model says."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from tests.state_machine.beside import Beside, beside
from tests.state_machine.model import ModelSlot
from tests.support.apps import Answer, Api, running_app
from tests.support.factories import in_future, unique

EXAMPLES = 30
STEPS = 30

FINAL_CODES = {"FAILED": "BOOKING_EXPIRED", "CANCELLED": "BOOKING_CANCELLED"}
COUNT_UNSWEPT = """
SELECT count(*), coalesce(sum(num_seats), 0)
FROM bookings
WHERE status = 'PENDING' AND expires_at <= clock_timestamp() AND slot_id = %s
"""
LAPSE = """
UPDATE bookings SET expires_at = clock_timestamp() - interval '1 second' WHERE id = %s
"""
BEGIN = """
UPDATE slots
SET start_time = clock_timestamp() - interval '1 second', version = version + 1
WHERE id = %s
"""

seats = st.integers(1, 3)
capacities = st.integers(1, 9)
keys = st.sampled_from([None, None, "a", "b"])
holds = st.sampled_from([True, True, False])
one_of_them = st.sampled_from(["pending", "last", "first"])


class OneSlot(RuleBasedStateMachine):
    """Calls of the API on one slot, and what happens to it by time alone."""

    # Set by the test: Hypothesis makes the machine.
    api: Api
    beside: Beside

    @initialize(
        total_capacity=st.integers(4, 9),
        first=st.lists(st.tuples(seats, holds, keys), max_size=4),
    )
    def begin(self, total_capacity: int, first: list[tuple[int, bool, str | None]]) -> None:
        self.create(total_capacity)
        for num_seats, hold, key in first:
            self.book(num_seats, hold, key)

    def create(self, total_capacity: int) -> None:
        self.doctor_name = unique("Dr. Model")
        self.user_id = unique("user")
        self.slot_id = self.api.create_slot(
            doctor_name=self.doctor_name, total_capacity=total_capacity
        )
        self.model = ModelSlot(total_capacity)
        self.touched: list[str] = []
        self.version = 1
        self.must_rise = self.may_rise = False

    def teardown(self) -> None:
        self.beside.delete_everything()

    # What a step does to the version.

    def changes(self) -> None:
        self.must_rise = True

    def settles(self) -> None:
        """Take it that holds which lapsed and were not swept are settled by now."""
        self.may_rise = self.may_rise or self.count_unswept() != (0, 0)

    def count_unswept(self) -> tuple[int, int]:
        [(holds, seats_of_holds)] = self.beside.query(COUNT_UNSWEPT, self.slot_id)
        return int(holds), int(seats_of_holds)

    # Booking.

    def try_to_book(self, num_seats: int, *, hold: bool, key: str | None) -> None:
        refusals = self.model.refusals(num_seats)
        self.settles()
        answer = self.send_booking(num_seats, hold=hold, key=key)
        if refusals:
            assert answer.status == 409
            assert answer.code in refusals
            if answer.code == "SLOT_FULL":
                assert answer.body["remaining_capacity"] == self.model.remaining_capacity
            return
        assert (answer.status, answer.is_replay) == (201, False), answer.body
        self.changes()
        booking_id: str = answer.data["id"]
        self.model.book(booking_id, num_seats, hold=hold)
        self.touched.append(booking_id)
        self.assert_shown(answer.data)
        if key:
            self.model.keys[key] = booking_id

    def send_booking(self, num_seats: int, *, hold: bool, key: str | None) -> Answer:
        return self.api.book(
            self.slot_id, user_id=self.user_id, num_seats=num_seats, hold=hold, key=key
        )

    @rule(num_seats=seats, hold=holds, key=keys)
    def book(self, num_seats: int, hold: bool, key: str | None) -> None:
        if key is None or key not in self.model.keys:
            self.try_to_book(num_seats, hold=hold, key=key)
            return
        booking_id = self.model.keys[key]
        known = self.model.bookings[booking_id]
        self.settles()
        answer = self.send_booking(num_seats, hold=hold, key=key)
        if (known.num_seats, known.hold) == (num_seats, hold):
            assert (answer.status, answer.is_replay) == (201, True)
            assert answer.data["id"] == booking_id
            self.assert_shown(answer.data)
        else:
            assert (answer.status, answer.code) == (422, "IDEMPOTENCY_KEY_REUSED")

    # What becomes of a booking.

    def pick(self, which: str) -> str | None:
        """Return the booking that was touched last or first, pending ones before others, if any.

        What was just held is confirmed then, and what has just lapsed is cancelled: with any
        booking as likely as another such sequences hardly come up.
        """
        known = self.model.bookings
        pending = [one for one in self.touched if known[one].status == "PENDING"]
        candidates = pending if which == "pending" and pending else self.touched
        if not candidates:
            return None
        booking_id = candidates[0 if which == "first" else -1]
        self.touched.remove(booking_id)
        self.touched.append(booking_id)
        return booking_id

    @rule(which=one_of_them)
    def confirm(self, which: str) -> None:
        if (booking_id := self.pick(which)) is None:
            return
        known = self.model.bookings[booking_id]
        self.settles()
        answer = self.api.confirm(booking_id)
        if known.status in FINAL_CODES:
            assert (answer.status, answer.code) == (409, FINAL_CODES[known.status])
            return
        if known.status == "PENDING":
            known.move("CONFIRMED", "CONFIRMED")
        self.assert_shown(answer.data)

    @rule(which=one_of_them)
    def cancel(self, which: str) -> None:
        if (booking_id := self.pick(which)) is None:
            return
        known = self.model.bookings[booking_id]
        self.settles()
        answer = self.api.cancel(booking_id)
        if known.status == "FAILED":
            assert (answer.status, answer.code) == (409, "BOOKING_EXPIRED")
            return
        if known.status != "CANCELLED":
            known.move("CANCELLED", "CANCELLED")
            self.changes()
        self.assert_shown(answer.data)

    @rule()
    def let_lapse(self) -> None:
        booking_id = self.pick("pending")
        if booking_id is None or self.model.bookings[booking_id].status != "PENDING":
            # Nobody holds anything: let somebody, where there is room.
            self.book(1, hold=True, key=None)
            booking_id = self.pick("last")
        if booking_id and self.model.bookings[booking_id].status == "PENDING":
            self.beside.query(LAPSE, booking_id)
            self.model.bookings[booking_id].move("FAILED", "EXPIRED")

    @rule(which=one_of_them)
    def read_booking(self, which: str) -> None:
        if (booking_id := self.pick(which)) is None:
            return
        self.settles()
        events = self.api.send("GET", f"/api/bookings/{booking_id}/events", None, {}).data
        assert [event["type"] for event in events] == self.model.bookings[booking_id].history
        self.assert_shown(self.api.get_booking(booking_id).data)

    def assert_shown(self, data: dict[str, Any]) -> None:
        known = self.model.bookings[data["id"]]
        assert (data["slot_id"], data["user_id"]) == (self.slot_id, self.user_id)
        assert (data["num_seats"], data["status"]) == (known.num_seats, known.status)
        assert data["failure_reason"] == ("EXPIRED" if known.status == "FAILED" else None)
        assert (data["expires_at"] is not None) == known.hold

    # What becomes of the slot.

    @rule(
        total_capacity=st.none() | capacities,
        status=st.sampled_from([None, "OPEN", "OPEN", "CLOSED"]),
        days=st.sampled_from([None, 1, 2]),
        tag=st.sampled_from([None, None, "current", "stale"]),
    )
    def change(
        self, total_capacity: int | None, status: str | None, days: int | None, tag: str | None
    ) -> None:
        self.settles()
        fields: dict[str, Any] = {"total_capacity": total_capacity, "status": status}
        fields = {name: value for name, value in fields.items() if value is not None}
        if days is not None:
            fields["start_time"] = in_future(days=days)
        if_match = None
        if tag is not None:
            current: int = self.api.get_slot(self.slot_id).data["version"]
            if_match = f'"{current if tag == "current" else current - 1}"'
        answer = self.api.change_slot(self.slot_id, if_match=if_match, **fields)
        if tag == "stale":
            assert (answer.status, answer.code) == (412, "VERSION_MISMATCH")
        elif total_capacity is not None and total_capacity < self.model.taken:
            assert (answer.status, answer.code) == (409, "CAPACITY_BELOW_BOOKED")
            assert answer.body["booked"] == self.model.taken
        else:
            self.note_change(fields)
            self.assert_slot_shown(answer.data)

    def note_change(self, fields: dict[str, Any]) -> None:
        for name in ("total_capacity", "status"):
            if name in fields and fields[name] != getattr(self.model, name):
                setattr(self.model, name, fields[name])
                self.changes()
        if "start_time" in fields:
            self.model.has_begun = False
            self.changes()

    @rule(
        act=st.sampled_from(["read_slot", "find_slot", "list_failed", "sweep", "start", "delete"])
    )
    def tend_slot(self, act: str) -> None:
        getattr(self, act)()

    def read_slot(self) -> None:
        self.must_rise = self.count_unswept() != (0, 0)
        answer = self.api.get_slot(self.slot_id)
        self.assert_slot_shown(answer.data)
        assert answer.headers["ETag"] == f'"{answer.data["version"]}"'

    def find_slot(self) -> None:
        room = self.model.remaining_capacity
        is_bookable = self.model.status == "OPEN" and not self.model.has_begun and room > 0
        found = self.list("/api/slots", doctor_name=self.doctor_name, min_seats=max(room, 1))
        assert [slot["id"] for slot in found] == ([self.slot_id] if is_bookable else [])
        assert not self.list("/api/slots", doctor_name=self.doctor_name, min_seats=room + 1)

    def list_failed(self) -> None:
        listed = self.list("/api/admin/bookings", slot_id=self.slot_id, status="FAILED")
        assert {booking["id"] for booking in listed} == {
            booking_id for booking_id, one in self.model.bookings.items() if one.status == "FAILED"
        }

    def sweep(self) -> None:
        holds, seats_of_holds = self.count_unswept()
        self.must_rise = holds > 0
        answer = self.api.expire_pending()
        assert answer.data == {"expired": holds, "seats_restored": seats_of_holds}

    def start(self) -> None:
        if not self.model.has_begun:
            self.beside.query(BEGIN, self.slot_id)
            self.model.has_begun = True
            self.changes()

    def delete(self) -> None:
        answer = self.api.delete_slot(self.slot_id)
        if self.model.bookings:
            assert (answer.status, answer.code) == (409, "SLOT_HAS_BOOKINGS")
            return
        assert answer.status == 204
        assert self.api.get_slot(self.slot_id).code == "SLOT_NOT_FOUND"
        assert self.api.book(self.slot_id).code == "SLOT_NOT_FOUND"
        self.create(self.model.total_capacity)

    def assert_slot_shown(self, data: dict[str, Any]) -> None:
        assert data["id"] == self.slot_id
        assert data["total_capacity"] == self.model.total_capacity
        assert data["remaining_capacity"] == self.model.remaining_capacity
        assert data["status"] == self.model.status
        has_begun = datetime.fromisoformat(data["start_time"]) <= datetime.now(UTC)
        assert has_begun == self.model.has_begun

    # What holds after each step. Lists settle nothing: a lapsed hold stays for the next step.

    @invariant()
    def slot_is_listed_as_the_model_has_it(self) -> None:
        [listed] = self.list("/api/admin/slots", doctor_name=self.doctor_name)
        self.assert_slot_shown(listed)
        assert listed["version"] >= self.version + self.must_rise
        assert self.may_rise or self.must_rise or listed["version"] == self.version
        self.version = listed["version"]
        self.must_rise = self.may_rise = False

    @invariant()
    def bookings_are_listed_as_the_model_has_them(self) -> None:
        listed = self.list("/api/admin/bookings", slot_id=self.slot_id, limit=200)
        for booking in listed:
            self.assert_shown(booking)
        assert [booking["id"] for booking in reversed(listed)] == list(self.model.bookings)

    @invariant()
    def every_check_holds(self) -> None:
        assert self.beside.list_violations() == []

    def list(self, path: str, **filters: object) -> Any:
        query_string = "&".join(f"{name}={value}" for name, value in filters.items())
        return self.api.send("GET", f"{path}?{query_string}", None, {}).data


# To find the shortest sequence that fails takes Hypothesis up to five minutes; a pass, seconds.
@pytest.mark.timeout(600)
def test_one_slot_is_as_its_model_says(new_database: Callable[..., str]) -> None:
    url = new_database()
    with running_app(url) as running, beside(url) as connection:

        class Machine(OneSlot):
            api = running
            beside = connection

        run_state_machine_as_test(
            Machine,
            settings=settings(
                max_examples=EXAMPLES,
                stateful_step_count=STEPS,
                derandomize=True,
                database=None,
                deadline=None,
                report_multiple_bugs=False,
                suppress_health_check=[HealthCheck.too_slow],
            ),
        )
