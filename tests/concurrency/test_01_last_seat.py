"""Race 1: many buyers for the last seat. One 201, the others 409."""

from __future__ import annotations

import random
import time
from collections import Counter
from functools import partial

import pytest

from tests.concurrency.races import queue_for_slot
from tests.support.apps import Answer, Api, api_over_http
from tests.support.rows import SlotRow, count_events, read_slot, read_statuses
from tests.support.servers import LiveServer
from tests.support.threads import at_once

BUYERS = 50


def test_fifty_buyers_for_the_last_seat(api: Api, database_url: str) -> None:
    slot_id = api.create_slot(total_capacity=1)

    answers = at_once([lambda: api.book(slot_id)] * BUYERS)

    assert_one_sold(answers, database_url, slot_id)


def test_buyers_who_all_found_the_seat_free(api: Api, database_url: str) -> None:
    slot_id = api.create_slot(total_capacity=1)

    answers = queue_for_slot(database_url, slot_id, [lambda: api.book(slot_id)] * 12)

    assert_one_sold(answers, database_url, slot_id)


def assert_one_sold(answers: list[Answer], url: str, slot_id: str) -> None:
    assert Counter(answer.status for answer in answers) == {201: 1, 409: len(answers) - 1}
    refusals = [answer for answer in answers if answer.status == 409]
    assert {answer.code for answer in refusals} == {"SLOT_FULL"}
    assert {answer.body["remaining_capacity"] for answer in refusals} == {0}
    [sold] = [answer for answer in answers if answer.status == 201]
    assert read_slot(url, slot_id) == SlotRow(total=1, remaining=0, version=2)
    assert read_statuses(url, slot_id) == {sold.data["id"]: "CONFIRMED"}
    assert count_events(url, slot_id) == {"BOOKED": 1}


def test_buyers_of_several_seats_leave_fewer_than_any_of_the_refused_wanted(
    api: Api, database_url: str
) -> None:
    slot_id = api.create_slot(total_capacity=40)
    wanted = [1, 2, 3, 5] * 8
    random.Random(1).shuffle(wanted)

    answers = at_once([partial(api.book, slot_id, num_seats=seats) for seats in wanted])

    sold = [answer.data["num_seats"] for answer in answers if answer.status == 201]
    slot = read_slot(database_url, slot_id)
    assert slot.remaining == 40 - sum(sold)
    assert slot.version == 1 + len(sold)
    refused = [
        seats for seats, answer in zip(wanted, answers, strict=True) if answer.code == "SLOT_FULL"
    ]
    assert len(sold) + len(refused) == len(wanted)
    # Seats only leave here: who was refused would be refused still.
    assert slot.remaining < min(refused)


@pytest.mark.parametrize("hold", [False, True])
def test_last_seats_between_two_processes(
    server: LiveServer, database_url: str, hold: bool
) -> None:
    api = api_over_http(server.base_url)
    slot_id = api.create_slot(total_capacity=5)

    answers = at_once([lambda: book_when_admitted(api, slot_id, hold)] * 24)

    assert Counter(answer.status for answer in answers) == {201: 5, 409: 19}
    assert {answer.code for answer in answers} == {None, "SLOT_FULL"}
    assert read_slot(database_url, slot_id) == SlotRow(total=5, remaining=0, version=6)
    acknowledged = {answer.data["id"] for answer in answers if answer.status == 201}
    status = "PENDING" if hold else "CONFIRMED"
    assert read_statuses(database_url, slot_id) == dict.fromkeys(acknowledged, status)


def book_when_admitted(api: Api, slot_id: str, hold: bool) -> Answer:
    """Book, and ask again as long as the server is overloaded: it books nothing then."""
    while (answer := api.book(slot_id, hold=hold)).code == "OVERLOADED":
        time.sleep(0.02)
    return answer
