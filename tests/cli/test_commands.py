"""The commands, run as an operator runs them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable

import jwt
import pytest

from booking.__main__ import main
from booking.config import DATABASE_VARIABLES, PROJECT_ROOT
from tests.support.servers import free_port
from tests.support.snapshots import query, violations_of

SECRET = "planted-secret-of-thirty-two-bytes"
CHECKS = sorted(path.stem for path in (PROJECT_ROOT / "sql" / "checks").glob("*.sql"))
Result = subprocess.CompletedProcess[str]
Run = Callable[..., Result]


@pytest.fixture
def run() -> Run:
    """Runs ``python -m booking`` with settings, and with nothing of the tester's own."""

    def do(*arguments: str, **settings: str) -> Result:
        inherited = {
            name: value
            for name, value in os.environ.items()
            if name not in DATABASE_VARIABLES and not name.startswith(("AUTH_", "APP_ENV"))
        }
        return subprocess.run(
            [sys.executable, "-m", "booking", *arguments],
            cwd=PROJECT_ROOT,
            env={**inherited, **settings},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return do


def test_migrate_applies_what_is_not_applied(run: Run, new_database: Callable[..., str]) -> None:
    url = new_database(migrated=False)
    first = run("migrate", DATABASE_URL=url)
    assert first.returncode == 0, first.stderr
    names = [row[0] for row in query(url, "SELECT name FROM schema_migrations ORDER BY name")]
    assert first.stdout.splitlines() == [f"applied {name}" for name in names]
    again = run("migrate", DATABASE_URL=url)
    assert (again.returncode, len(again.stdout.splitlines())) == (0, 1)
    assert "applied" not in again.stdout


def test_seed_expire_and_audit(run: Run, new_database: Callable[..., str]) -> None:
    url = new_database()
    seeded = run("seed-demo", DATABASE_URL=url)
    assert seeded.returncode == 0, seeded.stderr
    [(slots,)] = query(url, "SELECT count(*) FROM slots")
    assert slots == len(seeded.stdout.splitlines()) > 0
    again = run("seed-demo", DATABASE_URL=url)
    assert (again.returncode, len(again.stdout.splitlines())) == (0, 1)
    assert query(url, "SELECT count(*) FROM slots") == [(slots,)]
    query(
        url,
        "WITH slot AS ("
        " UPDATE slots SET remaining_capacity = remaining_capacity - 3, version = version + 1"
        " WHERE id = (SELECT id FROM slots WHERE remaining_capacity > 3 LIMIT 1)"
        " RETURNING id, version"
        "), hold AS ("
        " INSERT INTO bookings"
        " (id, slot_id, user_id, num_seats, status, expires_at, created_at, updated_at)"
        " SELECT gen_random_uuid(), id, 'lapsed', 3, 'PENDING', now() - interval '1 second',"
        " now(), now() FROM slot RETURNING id, slot_id, created_at"
        ") INSERT INTO booking_events"
        " (booking_id, slot_id, type, to_status, seats, slot_version, at)"
        " SELECT hold.id, hold.slot_id, 'HELD', 'PENDING', 3, slot.version, hold.created_at"
        " FROM hold CROSS JOIN slot",
    )
    expired = run("expire-pending", DATABASE_URL=url)
    assert expired.returncode == 0, expired.stderr
    assert expired.stdout == "1 holds expired, 3 seats restored\n"
    audited = run("audit", DATABASE_URL=url)
    assert audited.returncode == 0, audited.stderr
    assert [line.split()[:2] for line in audited.stdout.splitlines()[:-1]] == [
        ["ok", name] for name in CHECKS
    ]
    assert audited.stdout.splitlines()[-1] == "healthy"
    assert violations_of(url) == {}


def test_audit_of_damage_exits_1_and_names_it(run: Run, new_database: Callable[..., str]) -> None:
    url = new_database()
    run("seed-demo", DATABASE_URL=url)
    [(slot_id,)] = query(
        url,
        "UPDATE slots SET remaining_capacity = remaining_capacity - 1"
        " WHERE id = (SELECT id FROM slots WHERE remaining_capacity > 0 LIMIT 1)"
        " RETURNING id::text",
    )
    audited = run("audit", DATABASE_URL=url)
    assert audited.returncode == 1
    failed = [line for line in audited.stdout.splitlines() if line.startswith("FAILED")]
    assert [line.split()[1:] for line in failed] == [["seats_add_up", "1"]]
    assert f"slot_id={slot_id}" in audited.stdout
    assert audited.stdout.splitlines()[-1] == "NOT healthy"


def test_token_is_what_the_server_takes(run: Run) -> None:
    made = run(
        "token",
        "--user",
        "alice",
        "--ttl",
        "60",
        AUTH_JWT_SECRET=SECRET,
        AUTH_JWT_ISSUER="us",
        AUTH_JWT_AUDIENCE="booking",
    )
    assert made.returncode == 0, made.stderr
    [token] = made.stdout.splitlines()
    claims = jwt.decode(token, SECRET, algorithms=["HS256"], audience="booking", issuer="us")
    assert (claims["sub"], claims["role"]) == ("alice", "user")
    assert 0 < claims["exp"] - time.time() <= 60


def test_token_of_an_admin_names_the_role(run: Run) -> None:
    made = run("token", "--user", "root", "--admin", AUTH_JWT_SECRET=SECRET)
    claims = jwt.decode(made.stdout.strip(), SECRET, algorithms=["HS256"])
    assert claims["role"] == "admin"
    assert {"iss", "aud"} & set(claims) == set()


@pytest.mark.parametrize("command", ["audit", "migrate"])
def test_database_that_is_not_reached_exits_1_with_one_line(run: Run, command: str) -> None:
    url = f"postgresql://u:planted@127.0.0.1:{free_port()}/booking"
    failed = run(command, DATABASE_URL=url)
    assert (failed.returncode, failed.stdout) == (1, "")
    told = [line for line in failed.stderr.splitlines() if "WARNING" not in line]
    assert len(told) == 1, failed.stderr
    assert "planted" not in failed.stderr


@pytest.mark.parametrize(
    ("arguments", "settings"),
    [
        (["token", "--user", "a"], {"AUTH_JWT_SECRET": ""}),
        (["token", "--user", "a"], {"AUTH_JWT_SECRET": "planted-and-short"}),
        (["migrate"], {"PORT": "x"}),
        (["serve"], {"LOG_LEVEL": "loud"}),
        (["audit"], {"DATABASE_URL": "mysql://planted@db"}),
        (["serve"], {"HOST": "0.0.0.0"}),  # noqa: S104
        (["migrate"], {"PORT": "x", "DB_POOL_SIZE": "0", "LOG_FORMAT": "xml"}),
    ],
)
def test_fault_of_the_settings_exits_1_with_a_line_for_each(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    settings: dict[str, str],
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    assert main(arguments) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert sorted(line.partition(":")[0] for line in told.err.splitlines()) == sorted(settings)
    assert "planted" not in told.err


def test_production_without_a_key_does_not_start(run: Run) -> None:
    failed = run("serve", APP_ENV="production", DATABASE_URL="postgresql://nowhere/booking")
    assert failed.returncode == 1
    [line] = failed.stderr.splitlines()
    assert line.startswith("AUTH_JWT_SECRET: ")


@pytest.mark.parametrize("arguments", [[], ["nothing"], ["token"], ["token", "--user"]])
def test_wrong_call_exits_2_and_says_how(
    capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: python -m booking" in capsys.readouterr().err


@pytest.mark.parametrize("dashes", [[], ["--"]], ids=["plain", "dashes"])
def test_psql_runs_on_the_configured_database(
    run: Run, database_url: str, dashes: list[str]
) -> None:
    made = run(
        "psql",
        *dashes,
        "-X",
        "-At",
        "-c",
        "SELECT count(*) >= 0 FROM slots",
        DATABASE_URL=database_url,
    )
    assert (made.returncode, made.stdout) == (0, "t\n"), made.stderr


def test_psql_s_exit_code_is_the_command_s(run: Run, database_url: str) -> None:
    failed = run("psql", "--", "-X", "-c", "SELECT nothing", DATABASE_URL=database_url)
    assert failed.returncode == 1
    assert "nothing" in failed.stderr
