"""Runs pgbench with the booking statement: what the database does by itself, without a server."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from pathlib import Path

from psycopg2.extensions import parse_dsn

from booking.db.queries import load_queries
from booking.embedded import binary
from scripts.benchmark.percentiles import percentile
from scripts.benchmark.records import Load, NotRun

GRACE_SECONDS = 60
FIRST_WITH_UUIDV7 = 18
BARE = Path(__file__).with_name("bare_booking.sql")
# pgbench makes numbers, and takes text from its command line: the statement makes ids of them.
SLOT_ID = "('00000000-0000-7000-8000-' || :slot_number::text)"
USER_ID = "(:label::text || '/' || :user_number::text)"
KEY = ":key_number::text"


def bare_statement() -> str:
    """Return the least that a booking is to the database, with ``:parameters``."""
    return BARE.read_text("utf-8")


def own_statement() -> str:
    """Return the application's statement, with ``:parameters``."""
    statement: str = load_queries("bookings").insert_bookings.sql
    return re.sub(r"%\((\w+)\)s", r":\1", statement)


def booking_script(statement: str, major: int) -> str:
    """Return pgbench's script: one seat of a random one of the slots, for a user of its own.

    Raises NotRun where the statement has a parameter that is not known here.
    """
    make_id = "uuidv7()" if major >= FIRST_WITH_UUIDV7 else "gen_random_uuid()"
    values = {
        "slot_id": SLOT_ID,
        "booking_id": make_id,
        "user_id": USER_ID,
        "idempotency_key": KEY,
        "slot_ids": f"ARRAY[{SLOT_ID}]",
        "booking_ids": f"ARRAY[{make_id}::text]",
        "user_ids": f"ARRAY[{USER_ID}]",
        "num_seats": "ARRAY[1]",
        "hold_ttl_seconds": "ARRAY[NULL]",
        "hold_places": "ARRAY[NULL]",
        "idempotency_keys": f"ARRAY[{KEY}]",
        "waits": "true",
        "is_seat_limit_checked": "false",
    }

    def value(parameter: re.Match[str]) -> str:
        if parameter[1] not in values:
            raise NotRun(f"the booking statement has an unknown parameter: {parameter[1]}")
        return values[parameter[1]]

    return (
        "\\set slot_number random(:first_slot, :last_slot)\n"
        "\\set user_number random(1, 1000000000000000)\n"
        "\\set key_number random(1, 1000000000000000000)\n"
        + re.sub(r"(?<!:):([a-z_]+)", value, statement.strip().removesuffix(";"))
        + ";\n"
    )


def run_pgbench(
    dsn: str, script: str, *, slots: range, label: str, clients: int, seconds: int, seed: int
) -> Load:
    """Run a booking script for ``seconds`` over ``clients`` connections, its statement prepared.

    Raises NotRun where pgbench fails.
    """
    fields = parse_dsn(dsn)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PG")},
        "PGHOST": fields["host"],
        "PGPORT": fields["port"],
        "PGUSER": fields["user"],
        "PGPASSWORD": fields["password"],
        "PGDATABASE": fields["dbname"],
        "LC_ALL": "C",
    }
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory, "book.sql")
        file.write_text(script)
        command = [
            *(str(binary("pgbench")), "--no-vacuum", "--protocol", "prepared"),
            *("--client", str(clients), "--jobs", str(min(clients, os.cpu_count() or 1))),
            *("--time", str(seconds), "--random-seed", str(seed), "--file", str(file)),
            *("--define", f"label={label}"),
            *("--define", f"first_slot={slots[0]}", "--define", f"last_slot={slots[-1]}"),
            *("--log", f"--log-prefix={directory}/latency"),
        ]
        try:
            done = subprocess.run(  # noqa: S603 - pgbench
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                timeout=seconds + GRACE_SECONDS,
            )
        except subprocess.TimeoutExpired as error:
            raise NotRun(f"pgbench did not end within {GRACE_SECONDS} seconds") from error
        if done.returncode != 0:
            said = done.stderr.strip() or "it says nothing"
            raise NotRun(f"pgbench failed with {done.returncode}: {said.splitlines()[-1]}")
        latencies = [
            int(line.split()[2])
            for log in Path(directory).glob("latency*")
            for line in log.read_text().splitlines()
        ]
    return parse_pgbench(done.stdout, latencies)


def parse_pgbench(output: str, latencies_us: list[int]) -> Load:
    """Read pgbench's report; latencies in microseconds are those of its log."""
    transactions = _number(output, r"^number of transactions actually processed: (\d+)")
    failed = _number(output, r"^number of failed transactions: (\d+)")
    per_second = _number(output, r"^tps = ([\d.]+) ")
    latencies = latencies_us or [0]
    return Load(
        # Less the time that it took to connect; not told where nothing was done.
        seconds=transactions / per_second if per_second else 1.0,
        answered=int(transactions),
        refused=0,
        p50_ms=percentile(latencies, 0.50) / 1000,
        p99_ms=percentile(latencies, 0.99) / 1000,
        statuses={},
        faults=(f"{failed:.0f} transactions failed",) if failed else (),
    )


def _number(output: str, pattern: str) -> float:
    found = re.search(pattern, output, re.MULTILINE)
    return float(found[1]) if found else 0.0
