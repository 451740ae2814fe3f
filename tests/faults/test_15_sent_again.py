"""Retry 15: a cancel or confirm whose answer was lost on its way is sent again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
import requests

from tests.support.apps import Answer, Api, api_over_http
from tests.support.proxy import TcpProxy, tcp_proxy
from tests.support.rows import SlotRow, read_history, read_slot, read_statuses
from tests.support.servers import LiveServer


@dataclass(frozen=True)
class Case:
    """What is sent twice, and what it leaves behind."""

    hold: bool
    act: Callable[[Api, str], Answer]
    history: list[str]
    slot: SlotRow


@pytest.fixture
def proxy(server: LiveServer) -> Iterator[TcpProxy]:
    with tcp_proxy("127.0.0.1", server.port) as proxy:
        yield proxy


@pytest.fixture
def api(proxy: TcpProxy) -> Api:
    return api_over_http(f"http://127.0.0.1:{proxy.port}")


def lose_answer(proxy: TcpProxy, send: Callable[[], Answer]) -> None:
    """Send a request that is served and whose answer nobody gets."""
    proxy.lose_replies()
    with pytest.raises(requests.ConnectionError):
        send()
    proxy.lose_replies(lose=False)
    assert proxy.lost_bytes


@pytest.mark.parametrize(
    "case",
    [
        Case(True, Api.confirm, ["HELD", "CONFIRMED"], SlotRow(5, 3, version=2)),
        Case(True, Api.cancel, ["HELD", "CANCELLED"], SlotRow(5, 5, version=3)),
        Case(False, Api.cancel, ["BOOKED", "CANCELLED"], SlotRow(5, 5, version=3)),
    ],
    ids=["confirm", "cancel a hold", "cancel a booking"],
)
def test_sent_again(api: Api, proxy: TcpProxy, database_url: str, case: Case) -> None:
    slot_id = api.create_slot(total_capacity=5)
    booking_id = api.make_booking(slot_id, num_seats=2, hold=case.hold)

    lose_answer(proxy, lambda: case.act(api, booking_id))
    assert read_statuses(database_url, slot_id) == {booking_id: case.history[-1]}
    found = api.get_booking(booking_id)
    again = case.act(api, booking_id)

    assert (again.status, again.data) == (200, found.data)
    assert read_history(database_url, booking_id) == case.history
    assert read_slot(database_url, slot_id) == case.slot


def test_booking_sent_again(
    api: Api, proxy: TcpProxy, database_url: str, keyed: dict[str, str]
) -> None:
    slot_id = api.create_slot(total_capacity=2)

    lose_answer(proxy, lambda: api.book(slot_id, num_seats=2, **keyed))
    [(booking_id, status)] = read_statuses(database_url, slot_id).items()
    again = api.book(slot_id, num_seats=2, **keyed)

    assert (again.status, again.is_replay, again.data["id"]) == (201, True, booking_id)
    assert read_statuses(database_url, slot_id) == {booking_id: status}
    assert read_slot(database_url, slot_id) == SlotRow(total=2, remaining=0, version=2)
