"""The functions of the schema work in every session, whatever its search_path."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable

import pytest
from psycopg2.extensions import connection as PgConnection  # noqa: N812

from booking.db.migrations import MIGRATIONS, migrate
from booking.embedded.binaries import binary
from booking.repositories.checks import CHECKS
from tests.support.apps import Api, running_app
from tests.support.factories import unique
from tests.support.sessions import holding
from tests.support.snapshots import query, violations_of

PROVIDERS_ARE_KNOWN = (CHECKS / "providers_are_known.sql").read_text()
INSERT_SLOT = """
INSERT INTO slots (id, doctor_name, start_time, total_capacity, remaining_capacity)
VALUES (gen_random_uuid(), 'Dr. Asha Rao', '2099-01-01 00:00:00+00', 1, 1)
"""
# A migrated database has rows of its own in these: the files that were applied, its key, and what
# its triggers write while slots are restored.
OWN = ("schema_migrations", "cursor_keys", "providers", "specializations")


def test_function_that_names_a_table_has_a_search_path_of_its_own(conn: PgConnection) -> None:
    with conn.cursor() as cursor:
        cursor.execute(
            "SELECT relname::text FROM pg_class"
            " WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v')"
        )
        tables = "|".join(name for (name,) in cursor.fetchall())
        cursor.execute(
            "SELECT proname::text, prosrc, coalesce(array_to_string(proconfig, ','), '')"
            " FROM pg_proc WHERE pronamespace = 'public'::regnamespace ORDER BY proname"
        )
        functions = cursor.fetchall()
    named = {name for name, body, _ in functions if re.search(rf"\b({tables})\b", body)}
    pinned = {name for name, _, settings in functions if "search_path=public, pg_temp" in settings}
    assert named == pinned == {"know_provider", "know_specialization"}


@pytest.mark.parametrize("options", [["--data-only", *(f"--exclude-table={n}" for n in OWN)], []])
def test_database_is_restored_from_a_dump(
    new_database: Callable[..., str], options: list[str]
) -> None:
    """Of the data alone into a database that was migrated, and of the whole into an empty one."""
    source, target = new_database(), new_database(migrated=bool(options))
    with running_app(source) as api:
        slot_id = api.create_slot(doctor_name="Dr. Asha Rao", specialization="Cardiology")
        kept, let_go = (api.book(slot_id, hold=True, user_id=name).data for name in "ab")
        api.confirm(kept["id"])
        api.cancel(let_go["id"])
        api.book(slot_id, user_id="c", key="k")

    dump = subprocess.run(
        [binary("pg_dump"), "--no-owner", *options, source], check=True, capture_output=True
    )
    subprocess.run(
        [binary("psql"), "--set=ON_ERROR_STOP=1", "--quiet", target],
        check=True,
        capture_output=True,
        input=dump.stdout,
    )

    assert violations_of(target) == {}
    with running_app(target) as api:
        again = api.book(slot_id, user_id="c", key="k")
        assert again.headers["Idempotency-Replayed"] == "true"
        assert api.get_booking(kept["id"]).data["status"] == "CONFIRMED"
        assert api.book(slot_id, user_id="d").status == 201
    assert violations_of(target) == {}


def test_each_database_has_key_locks_of_its_own(
    new_database: Callable[..., str],
) -> None:
    urls = [new_database(migrated=False) for _ in range(2)]
    for url in urls:
        migrate(url)
    locks = {query(url, "SELECT key_lock('user', 'key')")[0][0] for url in urls}
    [(without_seed,)] = query(
        urls[0], "SELECT hashtextextended('key', hashtextextended('user', 0))"
    )
    assert len(locks | {without_seed}) == 3


def test_lock_of_a_known_formula_holds_no_key_up(api: Api, database_url: str) -> None:
    """Whoever knows the code, and may choose keys, chooses none that share a lock."""
    slot_id, user, key = api.create_slot(), unique("user"), unique("key")
    with holding(
        database_url,
        "SELECT pg_advisory_xact_lock(hashtextextended(%s, hashtextextended(%s, 0)))",
        key,
        user,
    ):
        assert api.book(slot_id, user_id=user, key=key).status == 201


def test_specialization_that_came_while_it_was_migrated_is_found(
    new_database: Callable[..., str],
) -> None:
    """A provider that is written between 0009's reading of the providers and its trigger."""
    url = new_database(migrated=False)
    files = sorted(MIGRATIONS.glob("*.sql"))
    for path in files:
        if path.name.startswith("0014"):
            query(url, "ALTER TABLE providers DISABLE TRIGGER providers_know_specialization")
            query(url, INSERT_SLOT)
            query(url, "ALTER TABLE providers ENABLE TRIGGER providers_know_specialization")
            assert query(url, PROVIDERS_ARE_KNOWN) != []
        query(url, path.read_text())
    assert query(url, PROVIDERS_ARE_KNOWN) == []
