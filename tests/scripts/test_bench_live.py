"""The benchmark as people run it, and on a server and a database that break their promises."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from booking.db.connection import connect
from scripts.benchmark import growth_database, sweep
from scripts.benchmark.database import fill, insert_slots, server_version
from scripts.benchmark.growth_database import SMALL, Size, unkept_promises
from scripts.benchmark.growth_rounds import ask_in_rounds, opened_place
from scripts.benchmark.measuring import faults_of, run_scenario
from scripts.benchmark.records import Run
from scripts.benchmark.scenarios import BY_NAME, Plan
from scripts.benchmark.servers import running_server
from scripts.benchmark.stage import Stage
from scripts.benchmark.sweep import Shape, Sweeps

# A booking that there is not.
UNKNOWN_ID = "00000000-0000-7000-8000-000000000000"
ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(
    shutil.which("wrk") is None, reason="wrk is not installed (Debian package wrk)"
)


@contextmanager
def staged(url: str, directory: Path, **settings: str) -> Iterator[Stage]:
    with (
        closing(connect(url, application_name="benchmark")) as conn,
        running_server(url, directory / "server.log", settings) as server,
    ):
        fill(conn)
        yield Stage(conn, url, server_version(conn), {True: server})


def run_briefly(stage: Stage, name: str, *, clients: int, round_: int = 1) -> Run:
    scenario = replace(BY_NAME[name], clients=clients)
    return run_scenario(scenario, stage, Plan(f"{name}.{round_}", seconds=1, seed=round_))


def run_mixed_days(stage: Stage) -> list[Run]:
    """Run mixed days until each kind of change was made; a slow machine needs more of them."""
    runs = []
    for round_ in range(1, 21):
        runs.append(run_briefly(stage, "mixed", clients=4, round_=round_))
        with stage.conn.cursor() as cursor:
            cursor.execute(
                """
                SELECT DISTINCT e.type FROM booking_events AS e
                JOIN bookings AS b ON b.id = e.booking_id WHERE b.user_id LIKE 'mixed%'
                """
            )
            if {kind for (kind,) in cursor} >= {"BOOKED", "HELD", "CONFIRMED", "CANCELLED"}:
                return runs
    pytest.fail("the mixed days did not make every kind of change")


def test_measures_on_a_database_of_its_own() -> None:
    done = subprocess.run(
        [
            *(sys.executable, str(ROOT / "scripts" / "bench.py"), "--only", "idle-1-on"),
            *("--rounds", "1", "--seconds", "1", "--seed", "5"),
        ],
        env={**os.environ, "WEB_CONCURRENCY": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "idle slot, grouped" in done.stdout
    assert "1 rounds of 1 seconds each, seed 5." in done.stdout
    assert "were not left alone: WEB_CONCURRENCY=1." in done.stdout
    assert "Nothing was oversold or lost, and every answer was expected." in done.stdout
    assert "idle-1-on.1 " in done.stderr


def test_books_beside_a_flood_of_searches() -> None:
    done = subprocess.run(
        [
            *(sys.executable, str(ROOT / "scripts" / "bench.py"), "--searches", "--quick"),
            *("--rounds", "1", "--seconds", "1", "--seed", "5"),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "10,000 slots; 40 bookings a second" in done.stdout
    assert "during a flood of searches" in done.stdout
    assert "Nothing was oversold or lost, and every answer was expected." in done.stdout


def test_tells_what_is_lost_oversold_and_unexpected(
    new_database: Callable[..., str], tmp_path: Path
) -> None:
    with staged(new_database(), tmp_path, WEB_CONCURRENCY="1", WEB_THREADS="10") as stage:
        sound = [
            *run_mixed_days(stage),
            run_briefly(stage, "sold-out", clients=2),
            run_briefly(stage, "empty", clients=2),
            run_briefly(stage, "mistakes", clients=2),
            run_briefly(stage, "pgbench-random", clients=2),
            run_briefly(stage, "pgbench-hot-own", clients=2),
            run_briefly(stage, "hot-16-on", clients=2),
        ]
        booked = sound[-1]
        # More clients than the server admits: some are turned away.
        overloaded = run_briefly(stage, "read-slots", clients=40)
        faults_before = faults_of(stage, sound)
        with stage.conn.cursor() as cursor:
            cursor.execute(
                "UPDATE bookings SET user_id = 'gone' || user_id WHERE user_id LIKE 'hot-16-on.1/%'"
            )
            cursor.execute(
                """
                UPDATE slots SET remaining_capacity = remaining_capacity + 1
                WHERE id = (SELECT slot_id FROM bookings WHERE user_id LIKE 'gone%' LIMIT 1)
                """
            )
        told = "\n".join(faults_of(stage, [*sound, overloaded]))

    assert faults_before == ()
    assert all(run.answered for run in sound)
    assert booked.acknowledged
    assert f"hot-16-on.1: {booked.acknowledged} acknowledged bookings are lost" in told
    assert "bookings stand that no run made: gonehot-16-on.1" in told
    assert "seats_add_up: 1 violations" in told
    assert "read-slots.1: status 503 was answered" in told


def test_asks_two_databases_the_same_and_tells_what_is_wrong(
    new_database: Callable[..., str], tmp_path: Path
) -> None:
    larger = Size(slots=2_000, bookings=20_000, providers=200)
    urls = [new_database(), new_database()]
    for url, size in zip(urls, (SMALL, larger), strict=True):
        with closing(connect(url, application_name="benchmark")) as conn:
            growth_database.fill(conn, size)
    with (
        opened_place(urls[0], tmp_path / "small.log", 1) as small,
        opened_place(urls[1], tmp_path / "larger.log", 1) as large,
    ):
        pairs = ask_in_rounds(
            small.visitor, large.visitor, rounds=2, requests=2, seed=1, tell=lambda _: None
        )
        acknowledged = large.visitor.acknowledged
        sound = [*small.faults(), *large.faults()]
        with large.conn.cursor() as cursor:
            cursor.execute(
                "UPDATE slots SET remaining_capacity = remaining_capacity - 1 WHERE id = %s",
                [large.visitor.facts.slot_of_many],
            )
        unsound = unkept_promises(large.conn, [*acknowledged[1:], UNKNOWN_ID], large.stood_before)

    assert sound == []
    assert {len(pair.small.latencies) for pair in pairs} == {4}
    assert {len(pair.large.rounds) for pair in pairs} == {2}
    # Four kinds of three requests each time around: one books, one is of many, one holds, and a
    # confirmation makes its own hold.
    assert len(acknowledged) == 4 * 3 * 2
    assert unsound[:2] == [
        "1 acknowledged bookings are lost",
        "1 bookings stand that nobody was told of",
    ]
    assert unsound[2].startswith("seats_add_up: 1 violations")


def test_the_servers_own_sweeper_is_measured(
    new_database: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "LAPSE_SECONDS", 3)
    url, shape = new_database(), Shape("on ten slots", range(400_000_000_000, 400_000_000_010))
    with closing(connect(url, application_name="benchmark")) as conn:
        insert_slots(conn, shape.slots)
        with running_server(url, tmp_path / "server.log", sweep.SETTINGS) as server:
            sweeps = Sweeps(conn, server.base_url, holds=2_000, seed=1)
            latencies, seconds = sweeps.swept(shape)
            calm = sweeps.calm(shape, 0.5)
            server.stop()
        faults = sweeps.faults()
        with conn.cursor() as cursor:
            cursor.execute("SELECT failure_reason, count(*) FROM bookings GROUP BY 1 ORDER BY 1")
            counted = dict(cursor.fetchall())

    assert faults == []
    assert counted["EXPIRED"] == 2_000
    assert counted[None] >= len(latencies) + len(calm) > 0
    assert calm
    assert 0 < seconds < 60
