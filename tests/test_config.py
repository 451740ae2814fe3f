"""The settings: their defaults, their bounds, and one line a fault."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from operator import attrgetter
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from booking import config
from booking.config import Config
from booking.errors import ConfigurationError

NAMES = [
    "PORT",
    "HOST",
    "APP_ENV",
    "DATABASE_URL",
    "PGHOST",
    "PGPORT",
    "PGUSER",
    "PGPASSWORD",
    "PGDATABASE",
    "HOLD_TTL_SECONDS",
    "EXPIRY_INTERVAL_SECONDS",
    "MAX_ACTIVE_HOLDS_PER_USER",
    "DB_POOL_SIZE",
    "DB_POOL_TIMEOUT_SECONDS",
    "DB_STATEMENT_TIMEOUT_MS",
    "DB_LOCK_TIMEOUT_MS",
    "WEB_CONCURRENCY",
    "WEB_THREADS",
    "AUTH_MODE",
    "AUTH_JWT_SECRET",
    "AUTH_JWT_PUBLIC_KEY",
    "AUTH_JWT_ISSUER",
    "AUTH_JWT_AUDIENCE",
    "CORS_ORIGINS",
    "TRUSTED_PROXIES",
    "LOG_LEVEL",
    "LOG_FORMAT",
]
SECRET = "planted-secret-of-thirty-two-bytes"
URL = "postgresql://booking:planted-password@db/booking"
PRODUCTION = {"APP_ENV": "production", "DATABASE_URL": URL, "AUTH_JWT_SECRET": SECRET}

Read = Callable[..., Config]


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Read]:
    """Reads settings from an environment of nothing but what is given, and from tmp_path/.env."""
    before = dict(os.environ)
    monkeypatch.setattr(config, "PROJECT_ROOT", tmp_path)

    def do(**environment: str) -> Config:
        for name in NAMES:
            os.environ.pop(name, None)
        os.environ.update(environment)
        return Config.from_environment()

    yield do
    os.environ.clear()
    os.environ.update(before)


def _faults(read: Read, **environment: str) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as caught:
        read(**environment)
    assert str(caught.value).split("\n") == list(caught.value.faults)
    return caught.value.faults


def test_development_needs_no_setting(read: Read) -> None:
    settings = read()
    expected: dict[str, Any] = {
        "app_env": "development",
        "host": "127.0.0.1",
        "port": 3000,
        "database_url": None,
        "hold_ttl_seconds": 120,
        "expiry_interval_seconds": 30,
        "db_pool_size": 8,
        "db_pool_timeout_seconds": 2,
        "db_statement_timeout_ms": 5000,
        "db_lock_timeout_ms": 2000,
        "log_level": "info",
        "log_format": "text",
    }
    assert {name: getattr(settings, name) for name in expected} == expected
    assert settings.auth.mode == "open"
    assert settings.web_concurrency >= 1
    assert settings.web_threads >= 1


def test_production_has_defaults_of_its_own(read: Read) -> None:
    settings = read(**PRODUCTION)
    assert (settings.host, settings.log_format) == ("0.0.0.0", "json")  # noqa: S104
    assert settings.auth.mode == "jwt"


@pytest.mark.parametrize(
    ("name", "text", "attribute", "value"),
    [
        ("PORT", "1", "port", 1),
        ("PORT", "65535", "port", 65_535),
        ("HOST", "127.0.0.9", "host", "127.0.0.9"),
        ("HOST", "::1", "host", "::1"),
        ("HOST", "localhost", "host", "localhost"),
        ("HOST", "", "host", "127.0.0.1"),
        ("DATABASE_URL", URL, "database_url", URL),
        ("DATABASE_URL", "host=/tmp dbname=x", "database_url", "host=/tmp dbname=x"),
        ("DATABASE_URL", "", "database_url", None),
        ("PGHOST", "db", "database_url", ""),
        ("PGPORT", "5433", "database_url", ""),
        ("PGPORT", "5433,5434", "database_url", ""),
        ("PGUSER", "booking", "database_url", ""),
        ("PGPASSWORD", "x", "database_url", ""),
        ("PGDATABASE", "booking", "database_url", ""),
        ("HOLD_TTL_SECONDS", "0.5", "hold_ttl_seconds", 0.5),
        ("EXPIRY_INTERVAL_SECONDS", "0", "expiry_interval_seconds", 0),
        ("DB_POOL_SIZE", "1", "db_pool_size", 1),
        ("DB_POOL_TIMEOUT_SECONDS", "0.25", "db_pool_timeout_seconds", 0.25),
        ("DB_STATEMENT_TIMEOUT_MS", "1", "db_statement_timeout_ms", 1),
        ("DB_LOCK_TIMEOUT_MS", "1", "db_lock_timeout_ms", 1),
        ("WEB_CONCURRENCY", "3", "web_concurrency", 3),
        ("WEB_THREADS", "1", "web_threads", 1),
        ("MAX_ACTIVE_HOLDS_PER_USER", "0", "max_active_holds_per_user", 0),
        (
            "CORS_ORIGINS",
            "https://a.example, http://b:1",
            "cors_origins",
            {"https://a.example", "http://b:1"},
        ),
        ("TRUSTED_PROXIES", "2", "trusted_proxies", 2),
        ("AUTH_MODE", "open", "auth.mode", "open"),
        ("AUTH_JWT_SECRET", SECRET, "auth.jwt_secret", SECRET),
        ("AUTH_JWT_SECRET", "éàèù" * 4, "auth.jwt_secret", "éàèù" * 4),
        ("AUTH_JWT_ISSUER", "us", "auth.jwt_issuer", "us"),
        ("AUTH_JWT_AUDIENCE", "booking", "auth.jwt_audience", "booking"),
        ("LOG_LEVEL", "debug", "log_level", "debug"),
        ("LOG_LEVEL", "error", "log_level", "error"),
        ("LOG_FORMAT", "json", "log_format", "json"),
    ],
)
def test_setting_is_read(read: Read, name: str, text: str, attribute: str, value: object) -> None:
    assert attrgetter(attribute)(read(**{name: text})) == value


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://booking:planted-password@db/booking?pgbouncer=true",
        "postgresql://booking:planted-password@db/booking?sslmode=require&pgbouncer=true",
        "host=db pgbouncer=true password=planted-password",
    ],
)
def test_parameter_that_postgresql_does_not_know_is_named(read: Read, url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read(DATABASE_URL=url)
    [fault] = caught.value.faults
    assert fault.startswith("DATABASE_URL: ")
    assert '"pgbouncer"' in fault
    assert "planted" not in fault


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://booking:x?planted=secret@db/booking?a",
        "postgresql://booking:x/y?planted=secret@db/booking",
        "postgresql://db/booking?password=x&planted=secret",
        "postgresql://db/booking?p%61ssword=x&planted=secret",
        "host=db password=x planted=secret",
        "host=db password = x@y planted=secret",
    ],
)
def test_what_may_be_part_of_a_password_is_not_named(read: Read, url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read(DATABASE_URL=url)
    assert "planted" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("APP_ENV", "staging"),
        ("APP_ENV", "Production"),
        ("PORT", "0"),
        ("PORT", "65536"),
        ("PORT", "3000.5"),
        ("PORT", "http"),
        ("PORT", "-1"),
        ("HOST", "0.0.0.0"),  # noqa: S104
        ("HOST", "::"),
        ("HOST", "192.168.0.1"),
        ("HOST", "example.org"),
        ("HOST", "127.0.0.1.example.org"),
        ("DATABASE_URL", "postgresql://planted-password@[/booking"),
        ("DATABASE_URL", "mysql://planted-password@db/booking"),
        ("DATABASE_URL", "host=db planted-password"),
        ("PGPORT", "x"),
        ("PGPORT", "65536"),
        ("PGPORT", "5433,x"),
        ("HOLD_TTL_SECONDS", "0"),
        ("HOLD_TTL_SECONDS", "-1"),
        ("HOLD_TTL_SECONDS", "nan"),
        ("HOLD_TTL_SECONDS", "inf"),
        ("HOLD_TTL_SECONDS", "1e12"),
        ("HOLD_TTL_SECONDS", "2m"),
        ("EXPIRY_INTERVAL_SECONDS", "-1"),
        ("EXPIRY_INTERVAL_SECONDS", "nan"),
        ("DB_POOL_SIZE", "0"),
        ("DB_POOL_SIZE", "8.0"),
        ("DB_POOL_TIMEOUT_SECONDS", "-1"),
        ("DB_POOL_TIMEOUT_SECONDS", "inf"),
        ("DB_STATEMENT_TIMEOUT_MS", "0"),
        ("DB_LOCK_TIMEOUT_MS", "0"),
        ("DB_LOCK_TIMEOUT_MS", "-1"),
        ("WEB_CONCURRENCY", "0"),
        ("WEB_THREADS", "0"),
        ("MAX_ACTIVE_HOLDS_PER_USER", "-1"),
        ("CORS_ORIGINS", "*"),
        ("CORS_ORIGINS", "https://a.example/"),
        ("TRUSTED_PROXIES", "-1"),
        ("AUTH_MODE", "none"),
        ("AUTH_MODE", "OPEN"),
        ("AUTH_JWT_SECRET", "planted-but-31-bytes-and-short."),
        ("AUTH_JWT_SECRET", "planted-and-not-UTF-8-" + "\udcff" * 20),
        ("AUTH_JWT_PUBLIC_KEY", "planted-path/to/nowhere.pem"),
        ("AUTH_JWT_PUBLIC_KEY", "-----BEGIN PUBLIC KEY-----\nplanted\n-----END PUBLIC KEY-----"),
        ("LOG_LEVEL", "loud"),
        ("LOG_FORMAT", "xml"),
    ],
)
def test_fault_is_one_line_that_names_the_setting(read: Read, name: str, text: str) -> None:
    [fault] = _faults(read, **{name: text})
    assert fault.startswith(f"{name}: ")
    assert "\n" not in fault
    assert "planted" not in fault


def test_all_faults_are_told_at_once(read: Read) -> None:
    faults = _faults(
        read,
        APP_ENV="production",
        PORT="x",
        DB_POOL_SIZE="0",
        LOG_LEVEL="loud",
        AUTH_MODE="open",
        AUTH_JWT_SECRET="planted",
        HOLD_TTL_SECONDS="0",
    )
    assert "planted" not in "".join(faults)
    assert {fault.partition(":")[0] for fault in faults} >= {
        "AUTH_JWT_SECRET",
        "AUTH_MODE",
        "DATABASE_URL",
        "DB_POOL_SIZE",
        "HOLD_TTL_SECONDS",
        "LOG_LEVEL",
        "PORT",
    }


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"AUTH_MODE": "open", "HOST": "127.0.0.1"}, "AUTH_MODE"),
        ({"AUTH_JWT_SECRET": ""}, "AUTH_JWT_SECRET"),
        ({"AUTH_JWT_SECRET": "planted-but-31-bytes-and-short."}, "AUTH_JWT_SECRET"),
        ({"DATABASE_URL": ""}, "DATABASE_URL"),
    ],
)
def test_production_refuses_what_is_not_safe(
    read: Read, changes: dict[str, str], name: str
) -> None:
    [fault] = _faults(read, **PRODUCTION | changes)
    assert fault.startswith(f"{name}: ")
    assert "planted" not in fault


def test_production_takes_a_database_by_its_parts(read: Read) -> None:
    settings = read(APP_ENV="production", AUTH_JWT_SECRET=SECRET, PGHOST="db")
    assert settings.database_url == ""


def _pem(key: Any) -> str:
    public: bytes = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return public.decode()


PEM = _pem(ed25519.Ed25519PrivateKey.generate())


@pytest.mark.parametrize("form", ["text", "one line", "path"])
def test_public_key_is_text_or_a_path(read: Read, tmp_path: Path, form: str) -> None:
    path = tmp_path / "key.pem"
    path.write_text(PEM)
    value = {"text": PEM, "one line": PEM.replace("\n", "\\n"), "path": str(path)}[form]
    assert read(AUTH_MODE="jwt", AUTH_JWT_PUBLIC_KEY=value).auth.jwt_public_key == PEM


def test_public_key_of_no_known_algorithm_is_refused(read: Read) -> None:
    for key in (ec.generate_private_key(ec.SECP384R1()), ec.generate_private_key(ec.SECP256K1())):
        [fault] = _faults(read, AUTH_MODE="jwt", AUTH_JWT_PUBLIC_KEY=_pem(key))
        assert fault.startswith("AUTH_JWT_PUBLIC_KEY: ")


@pytest.mark.parametrize("secret", ["s" * 32, " " * 64, "é" * 32, "10" * 50, "abc" * 20])
def test_secret_of_hardly_any_characters_is_refused(read: Read, secret: str) -> None:
    [fault] = _faults(read, AUTH_MODE="jwt", AUTH_JWT_SECRET=secret)
    assert fault.startswith("AUTH_JWT_SECRET: ")
    assert secret not in fault


def test_rsa_key_has_its_least_size(read: Read) -> None:
    for bits in (1024, 2047):
        small = _pem(rsa.generate_private_key(65537, bits))
        [fault] = _faults(read, AUTH_MODE="jwt", AUTH_JWT_PUBLIC_KEY=small)
        assert fault.startswith("AUTH_JWT_PUBLIC_KEY: ")
        assert "2048" in fault
    enough = _pem(rsa.generate_private_key(65537, 2048))
    assert read(AUTH_MODE="jwt", AUTH_JWT_PUBLIC_KEY=enough).auth.jwt_algorithm == "RS256"


def _keys_that_are_no_secret() -> dict[str, str]:
    key = ec.generate_private_key(ec.SECP256R1())
    pem = _pem(key)
    ssh = key.public_key().public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )
    octets = jwt.algorithms.HMACAlgorithm.to_jwk(SECRET)
    return {
        "PEM": pem,
        "PEM in one line": pem.replace("\n", "\\n"),
        "SSH": ssh.decode(),
        "JWK of a secret": octets,
        "JWK": jwt.algorithms.ECAlgorithm.to_jwk(key.public_key()),
    }


@pytest.mark.parametrize("form", _keys_that_are_no_secret())
def test_key_of_another_kind_is_no_secret(read: Read, form: str) -> None:
    key = _keys_that_are_no_secret()[form]
    [fault] = _faults(read, AUTH_MODE="jwt", AUTH_JWT_SECRET=key)
    assert fault.startswith("AUTH_JWT_SECRET: ")
    assert key not in fault
    assert "\n" not in fault


def test_public_key_that_the_library_cannot_use_is_refused(read: Read) -> None:
    """What is before the key makes PyJWT read it as one of SSH."""
    key = "ecdsa-sha2-nistp256\n" + _pem(ec.generate_private_key(ec.SECP256R1()))
    [fault] = _faults(read, AUTH_MODE="jwt", AUTH_JWT_PUBLIC_KEY=key)
    assert fault.startswith("AUTH_JWT_PUBLIC_KEY: ")


def test_private_key_is_no_public_key(read: Read) -> None:
    private = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    [fault] = _faults(read, AUTH_MODE="jwt", AUTH_JWT_PUBLIC_KEY=private.decode())
    assert fault.startswith("AUTH_JWT_PUBLIC_KEY: ")
    assert "PRIVATE" not in fault


@pytest.mark.parametrize("both", [True, False])
def test_jwt_needs_one_key_and_one_only(read: Read, both: bool) -> None:
    keys = {"AUTH_JWT_SECRET": SECRET, "AUTH_JWT_PUBLIC_KEY": PEM} if both else {}
    [fault] = _faults(read, AUTH_MODE="jwt", **keys)
    assert fault.startswith("AUTH_JWT_SECRET: ")


def test_jwt_listens_where_it_is_told(read: Read) -> None:
    settings = read(AUTH_MODE="jwt", AUTH_JWT_SECRET=SECRET, HOST="0.0.0.0")  # noqa: S104
    assert settings.host == "0.0.0.0"  # noqa: S104


def test_env_file_stands_behind_the_environment_in_development(read: Read, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("PORT=4001\nHOLD_TTL_SECONDS=7\n")
    settings = read(PORT="4002")
    assert (settings.port, settings.hold_ttl_seconds) == (4002, 7)


def test_env_file_names_a_database_as_the_environment_does(read: Read, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("PGHOST=db.example\n")
    assert read().database_url == ""
    # libpq reads the process's environment itself.
    assert os.environ["PGHOST"] == "db.example"


def test_env_file_is_not_read_in_production(read: Read, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("PORT=4001\n")
    assert read(**PRODUCTION).port == 3000


def test_example_names_every_setting_and_starts(
    read: Read, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    example = (Path(__file__).parents[1] / ".env.example").read_text()
    lines = [line.lstrip("# ") for line in example.splitlines()]
    named = {line.partition("=")[0] for line in lines if "=" in line}
    assert set(NAMES) - named == set()
    (tmp_path / ".env").write_text(example)
    assert read().port == 3000
