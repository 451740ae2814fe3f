"""Which hosts a connection string and the environment name, as libpq would read them."""

from __future__ import annotations

import pytest

from booking.db.hosts import Host, list_hosts


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PGHOST", "PGHOSTADDR", "PGPORT", "PGSERVICE", "PGTARGETSESSIONATTRS"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("dsn", "environment", "hosts"),
    [
        ("", {}, [{}]),
        ("dbname=x", {}, [{}]),
        ("postgresql://a/x", {}, [{"host": "a"}]),
        ("postgresql://a:1,b:2/x", {}, [{"host": "a", "port": "1"}, {"host": "b", "port": "2"}]),
        ("postgresql://a,b:2/x", {}, [{"host": "a", "port": ""}, {"host": "b", "port": "2"}]),
        ("host=a,b port=1", {}, [{"host": "a", "port": "1"}, {"host": "b", "port": "1"}]),
        ("host=a,b", {"PGPORT": "1"}, [{"host": "a", "port": "1"}, {"host": "b", "port": "1"}]),
        ("", {"PGHOST": "/run,b"}, [{"host": "/run"}, {"host": "b"}]),
        (
            "port=1,2",
            {"PGHOST": "a,b", "PGPORT": "3"},
            [{"host": "a", "port": "1"}, {"host": "b", "port": "2"}],
        ),
        ("host=a", {"PGHOST": "b,c"}, [{"host": "a"}]),
        (
            "host=a,b hostaddr=10.0.0.1,10.0.0.2",
            {},
            [{"host": "a", "hostaddr": "10.0.0.1"}, {"host": "b", "hostaddr": "10.0.0.2"}],
        ),
        ("hostaddr=10.0.0.1,::1", {}, [{"hostaddr": "10.0.0.1"}, {"hostaddr": "::1"}]),
        ("host=a", {"PGSERVICE": "s"}, [{"host": "a"}]),
        # libpq reads the service's file, and says what does not go together.
        ("service=s", {"PGHOST": "a,b"}, [{}]),
        ("dbname=x", {"PGSERVICE": "s", "PGHOST": "a"}, [{}]),
        ("host=a,b,c port=1,2", {}, [{}]),
        ("host=a,b hostaddr=10.0.0.1", {}, [{}]),
    ],
)
def test_hosts_are_read_as_libpq_reads_them(
    monkeypatch: pytest.MonkeyPatch, dsn: str, environment: dict[str, str], hosts: list[Host]
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert list_hosts(dsn) == hosts
