"""How many are let in, by a clock of the test's own: a server that serves one after the other."""

from __future__ import annotations

from collections import deque

from booking.overload.in_flight import (
    FORGET_SECONDS,
    PATIENCE_SECONDS,
    TARGET_SECONDS,
    Entry,
    InFlight,
)

MOST, LEAST = 256, 16
LOCK_SECONDS = 2.0


class Server:
    """Serves requests in the order in which they came."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.in_flight = InFlight(most=MOST, least=LEAST, clock=lambda: self.now)
        self.refused = 0
        self.waits: list[float] = []
        self._line: deque[Entry] = deque()

    def offer(self, requests: int) -> None:
        for _ in range(requests):
            entry = self.in_flight.enter()
            if entry is None:
                self.refused += 1
            else:
                self._line.append(entry)

    def run(self, seconds: float, *, per_second: float, offered: float = 0) -> None:
        """Serve so many a second while ``offered`` times as many come."""
        self.waits = []
        due = 0.0
        for _ in range(round(seconds * per_second)):
            self.now += 1 / per_second
            due += offered
            self.offer(int(due))
            due -= int(due)
            if self._line:
                entry = self._line.popleft()
                self.waits.append(self.now - entry.at)
                self.in_flight.leave(entry)


def test_under_overload_waits_stay_about_the_target() -> None:
    for per_second in (100, 300, 500):
        server = Server()
        server.run(10, per_second=per_second, offered=3)
        server.run(1, per_second=per_second, offered=3)
        assert 0.7 * TARGET_SECONDS < max(server.waits) < 1.3 * TARGET_SECONDS


def test_what_is_served_fast_enough_is_bounded_by_the_number_alone() -> None:
    server = Server()
    server.run(5, per_second=2 * MOST / TARGET_SECONDS, offered=3)
    assert server.in_flight.limit == MOST


def test_as_many_as_the_least_are_let_in_however_slow_they_are() -> None:
    server = Server()
    server.run(200, per_second=5, offered=3)
    assert server.in_flight.limit == LEAST


def test_rush_is_let_in_whole() -> None:
    server = Server()
    server.offer(MOST)
    # Each comes again when it was answered, and waits for longer than the target.
    server.run(0.9 * PATIENCE_SECONDS, per_second=MOST / (2 * TARGET_SECONDS), offered=1)
    # The one that comes in the moment before another is answered.
    assert server.refused <= len(server.waits)
    assert server.in_flight.limit == MOST


def test_limit_comes_back_with_the_overload_over() -> None:
    server = Server()
    server.run(5, per_second=200, offered=3)
    assert server.in_flight.limit < MOST / 2
    server.run(2, per_second=200, offered=0.5)
    assert server.in_flight.limit == MOST


def test_limit_follows_what_can_be_served() -> None:
    server = Server()
    server.run(5, per_second=200, offered=3)
    lower = server.in_flight.limit
    server.run(2, per_second=500, offered=3)
    assert server.in_flight.limit > 1.5 * lower


def test_rush_after_a_quiet_time_finds_all_places() -> None:
    server = Server()
    server.run(5, per_second=200, offered=3)
    server.run(0.9 * TARGET_SECONDS, per_second=1000)
    assert server.in_flight.limit < MOST
    server.now += 2 * FORGET_SECONDS
    server.refused = 0
    server.offer(MOST)
    assert server.refused == 0


def test_long_wait_of_another_time_is_no_overload() -> None:
    server = Server()
    for _ in range(4):
        server.offer(MOST)
        server.now += 2 * TARGET_SECONDS
        server.run(0.001, per_second=MOST / 0.001)
        assert server.in_flight.limit == MOST
        server.now += 60


def _waves(server: Server, *, requests: int, seconds: float, slow: int = 0) -> None:
    """Let ``requests`` come at once, again and again; all but ``slow`` ones take ``seconds``,
    and those the timeout of a lock.
    """
    in_flight = server.in_flight
    held: deque[tuple[float, Entry]] = deque()
    for _ in range(round(5 / seconds)):
        entries = [in_flight.enter() for _ in range(requests)]
        assert None not in entries
        held += [(server.now + LOCK_SECONDS, entry) for entry in entries[:slow] if entry]
        server.now += seconds
        for entry in entries[slow:]:
            if entry:
                in_flight.leave(entry)
        while held and held[0][0] <= server.now:
            in_flight.leave(held.popleft()[1])


def test_some_that_wait_for_a_lock_are_no_overload() -> None:
    server = Server()
    _waves(server, requests=150, seconds=0.35, slow=15)
    assert server.in_flight.limit == MOST


def test_few_that_all_wait_are_no_overload() -> None:
    server = Server()
    _waves(server, requests=100, seconds=2)
    assert server.in_flight.limit == MOST


class GroupServer(Server):
    """Serves all that have come, or so many of them, together; a group takes as long as one."""

    GROUP_SIZE = 200

    def run_groups(self, seconds: float, *, group_seconds: float, per_second: float) -> None:
        """Serve group after group while so many requests come a second."""
        self.waits = []
        due = 0.0
        for _ in range(round(seconds / group_seconds)):
            group = [self._line.popleft() for _ in range(min(len(self._line), self.GROUP_SIZE))]
            self.now += group_seconds / 2
            due += group_seconds * per_second
            self.offer(int(due))
            due -= int(due)
            self.now += group_seconds / 2
            for entry in group:
                self.waits.append(self.now - entry.at)
                self.in_flight.leave(entry)


def test_those_who_wait_for_a_slow_commit_are_not_fewer_for_being_refused() -> None:
    server = GroupServer()
    server.run_groups(10, group_seconds=0.5, per_second=250)
    server.refused = 0
    server.run_groups(20, group_seconds=0.5, per_second=250)
    assert len(server.waits) > 0.97 * 20 * 250
    assert server.refused == 0
    assert server.in_flight.limit == MOST


def test_crowd_before_a_locked_slot_does_not_keep_the_others_out() -> None:
    """But for the seconds in which it is tried whether fewer in flight would help."""
    server = Server()
    stuck: deque[Entry] = deque()
    refused_at: list[float] = []
    began = server.now
    while server.now < began + 25:
        server.now += 1 / 40
        stuck += [entry for _ in range(3) if (entry := server.in_flight.enter())]
        other = server.in_flight.enter()
        if other:
            server.in_flight.leave(other)
        else:
            refused_at.append(server.now - began)
        while stuck and stuck[0].at + LOCK_SECONDS <= server.now:
            server.in_flight.leave(stuck.popleft())
    assert len(refused_at) < 40 * 25 / 4
    assert max(refused_at) - min(refused_at) < 8 * PATIENCE_SECONDS
    assert server.in_flight.limit == MOST


def test_rush_after_a_time_of_few_requests_finds_all_places() -> None:
    server = Server()
    server.run(5, per_second=200, offered=3)
    server.run(0.9 * TARGET_SECONDS, per_second=1000)
    assert server.in_flight.limit < MOST
    server.run(1.5 * FORGET_SECONDS, per_second=8, offered=0.9)
    server.refused = 0
    server.offer(MOST - 1)
    assert server.refused == 0
