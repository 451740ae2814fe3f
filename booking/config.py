"""The settings: read once from the environment, checked whole, and passed on from here alone."""

from __future__ import annotations

import ipaddress
import os
import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from dotenv import load_dotenv
from environs import Env, EnvValidationError
from marshmallow.validate import OneOf, Range
from psycopg2 import ProgrammingError
from psycopg2.extensions import parse_dsn

from booking.errors import ConfigurationError

PROJECT_ROOT = Path(__file__).resolve().parent.parent
# RFC 7518, sections 3.2 and 3.3.
MIN_SECRET_BYTES = 32
MIN_RSA_BITS = 2048
# Made by chance, 32 characters have many more, of hexadecimal digits as well.
MIN_SECRET_CHARACTERS = 4
DATABASE_VARIABLES = ("DATABASE_URL", "PGHOST", "PGPORT", "PGUSER", "PGPASSWORD", "PGDATABASE")
# As a browser sends it: scheme, host and port, lower case, nothing behind (RFC 6454, section 6.2).
ORIGIN = re.compile(r"https?://[a-z0-9.-]+(:[0-9]{1,5})?|https?://\[[0-9a-f:]+\](:[0-9]{1,5})?")
URI = re.compile(r"postgres(ql)?://")
# As libpq says it (fe-connect.c), of a URI and of keywords.
UNKNOWN_PARAMETER = re.compile(r'invalid (?:URI query parameter:|connection option) "(\w{1,50})"')
PORT = re.compile(r"[1-9][0-9]{0,4}")
MAX_PORT = 65_535
LOG_LEVELS = ("debug", "info", "warning", "error")


class AppEnv(StrEnum):
    """Where the server runs."""

    DEVELOPMENT = "development"
    PRODUCTION = "production"


class AuthMode(StrEnum):
    """Whether callers prove who they are."""

    OPEN = "open"
    JWT = "jwt"


@dataclass(frozen=True)
class AuthConfig:
    """How a caller is known. The key that is set, a secret or a public key in PEM, fixes the one
    algorithm that a token may be signed with (RFC 8725, section 3.1).
    """

    mode: AuthMode
    jwt_algorithm: str | None = None
    jwt_secret: str | None = None
    jwt_public_key: str | None = None
    jwt_issuer: str | None = None
    jwt_audience: str | None = None


@dataclass(frozen=True)
class Config:
    """Every setting, parsed.

    ``database_url`` is a libpq connection string: empty where the PG* variables say it all, None
    where no database is configured.
    """

    app_env: AppEnv
    host: str
    port: int
    database_url: str | None
    hold_ttl_seconds: float
    expiry_interval_seconds: float
    max_active_holds_per_user: int
    db_pool_size: int
    db_pool_timeout_seconds: float
    db_statement_timeout_ms: int
    db_lock_timeout_ms: int
    group_commit_size: int
    web_concurrency: int
    web_threads: int
    auth: AuthConfig
    cors_origins: frozenset[str]
    trusted_proxies: int
    log_level: str
    log_format: str

    @classmethod
    def from_environment(cls) -> Config:
        """Read the process's environment; in development ``.env`` of the project stands behind it.

        Raises ConfigurationError, one line a fault, when a value does not parse or two do not go
        together: all faults at once, so that they are mended at once.
        """
        if os.environ.get("APP_ENV") != AppEnv.PRODUCTION:
            # Into the process, not into a reader: libpq looks for PGHOST and its kind there.
            load_dotenv(PROJECT_ROOT / ".env")
        env = Env(eager=False)
        faults: list[str] = []
        app_env = env.str("APP_ENV", AppEnv.DEVELOPMENT, validate=OneOf(list(AppEnv)))
        in_production = app_env == AppEnv.PRODUCTION
        auth = _read_auth(env, in_production=in_production, faults=faults)
        host = env.str("HOST", "") or ("0.0.0.0" if in_production else "127.0.0.1")  # noqa: S104 (a container is reached from outside)
        if auth.mode == AuthMode.OPEN and not is_loopback(host):
            faults.append("HOST: AUTH_MODE=open listens on loopback alone; use 127.0.0.1 or jwt")
        config = cls(
            app_env=AppEnv(app_env or AppEnv.DEVELOPMENT),
            host=host,
            port=env.int("PORT", 3000, validate=Range(1, 65_535)),
            database_url=_read_database_url(env, in_production=in_production, faults=faults),
            hold_ttl_seconds=env.float("HOLD_TTL_SECONDS", 120, validate=Range(0.001, 31_536_000)),
            expiry_interval_seconds=env.float(
                "EXPIRY_INTERVAL_SECONDS", 30, validate=Range(0, 86_400)
            ),
            max_active_holds_per_user=env.int(
                "MAX_ACTIVE_HOLDS_PER_USER", 100, validate=Range(0, 10_000)
            ),
            db_pool_size=env.int("DB_POOL_SIZE", 8, validate=Range(1, 1000)),
            db_pool_timeout_seconds=env.float("DB_POOL_TIMEOUT_SECONDS", 2, validate=Range(0, 60)),
            db_statement_timeout_ms=env.int(
                "DB_STATEMENT_TIMEOUT_MS", 5000, validate=Range(1, 600_000)
            ),
            db_lock_timeout_ms=env.int("DB_LOCK_TIMEOUT_MS", 2000, validate=Range(1, 600_000)),
            group_commit_size=env.int("GROUP_COMMIT_SIZE", 100, validate=Range(1, 1000)),
            web_concurrency=env.int("WEB_CONCURRENCY", os.cpu_count() or 1, validate=Range(1, 256)),
            web_threads=env.int("WEB_THREADS", 256, validate=Range(1, 1024)),
            auth=auth,
            cors_origins=_read_origins(env, faults),
            trusted_proxies=env.int("TRUSTED_PROXIES", 0, validate=Range(0, 10)),
            log_level=env.str("LOG_LEVEL", "info", validate=OneOf(LOG_LEVELS)),
            log_format=env.str(
                "LOG_FORMAT", "json" if in_production else "text", validate=OneOf(["json", "text"])
            ),
        )
        try:
            env.seal()
        except EnvValidationError as error:
            messages: Any = error.error_messages
            for name, rules in messages.items():
                faults.extend(f"{name}: {rule}" for rule in rules)
        if faults:
            raise ConfigurationError(sorted(faults))
        return config


def _read_database_url(env: Env, *, in_production: bool, faults: list[str]) -> str | None:
    url: str = env.str("DATABASE_URL", "")
    ports: str = env.str("PGPORT", "")
    if ports and not all(
        PORT.fullmatch(text) and int(text) <= MAX_PORT for text in ports.split(",")
    ):
        faults.append(f"PGPORT: must be from 1 to {MAX_PORT}; of several, one for each host")
    if url:
        try:
            parse_dsn(url)
        except ProgrammingError as error:
            # The driver's message repeats the string, and the password in it.
            name = _unknown_parameter(url, str(error))
            faults.append(
                f'DATABASE_URL: PostgreSQL knows no parameter "{name}"; remove it'
                if name
                else "DATABASE_URL: not a PostgreSQL connection string"
            )
        return url
    if any(os.environ.get(name) for name in DATABASE_VARIABLES):
        return ""
    if in_production:
        faults.append("DATABASE_URL: required with APP_ENV=production (or PGHOST and its kind)")
    return None


def _unknown_parameter(url: str, said: str) -> str | None:
    """Return the name that the driver refused, where it cannot be a part of a password that was
    written without the escapes it needs.
    """
    matched = UNKNOWN_PARAMETER.search(said)
    if matched is None:
        return None
    before, _, after = url.rpartition(matched[1])
    if URI.match(url):
        if "@" in after:
            return None
        before = before.rpartition("@")[2]
    return None if "password" in unquote(before).lower() else matched[1]


def _read_origins(env: Env, faults: list[str]) -> frozenset[str]:
    text: str = env.str("CORS_ORIGINS", "")
    origins = [origin.strip() for origin in text.split(",") if origin.strip()]
    faults.extend(
        f"CORS_ORIGINS: {origin!r} is not an origin like https://app.example.com"
        for origin in origins
        if not ORIGIN.fullmatch(origin)
    )
    return frozenset(origins)


def _read_auth(env: Env, *, in_production: bool, faults: list[str]) -> AuthConfig:
    default = AuthMode.JWT if in_production else AuthMode.OPEN
    mode = env.str("AUTH_MODE", default, validate=OneOf(list(AuthMode))) or default
    secret: str = env.str("AUTH_JWT_SECRET", "")
    public_key: str = env.str("AUTH_JWT_PUBLIC_KEY", "")
    if mode == AuthMode.OPEN and in_production:
        faults.append("AUTH_MODE: open is for development; APP_ENV=production needs jwt")
    if mode == AuthMode.JWT and bool(secret) == bool(public_key):
        faults.append(
            "AUTH_JWT_SECRET: AUTH_MODE=jwt needs either this or AUTH_JWT_PUBLIC_KEY, not both"
        )
    if secret and (fault := _fault_of_secret(secret)):
        faults.append(f"AUTH_JWT_SECRET: {fault}")
    pem, algorithm = _read_public_key(public_key, faults) if public_key else (None, "HS256")
    return AuthConfig(
        mode=AuthMode(mode),
        jwt_algorithm=algorithm,
        jwt_secret=secret or None,
        jwt_public_key=pem,
        jwt_issuer=env.str("AUTH_JWT_ISSUER", "") or None,
        jwt_audience=env.str("AUTH_JWT_AUDIENCE", "") or None,
    )


def _fault_of_secret(secret: str) -> str | None:
    try:
        length = len(secret.encode())
    except UnicodeEncodeError:
        return "must be text in UTF-8"
    if length < MIN_SECRET_BYTES:
        return f"must have {MIN_SECRET_BYTES} bytes or more"
    if len(set(secret)) < MIN_SECRET_CHARACTERS:
        return f"must have {MIN_SECRET_CHARACTERS} different characters or more; make it by chance"
    # In one line a PEM is nothing to PyJWT, and no more secret.
    if "-----BEGIN" in secret or not _is_key_for("HS256", secret):
        return "is a key of another kind (PEM, SSH, JWK), not a secret"
    return None


def _is_key_for(algorithm: str, key: str) -> bool:
    """Tell whether PyJWT takes the key: else it would refuse it at each token."""
    try:
        jwt.get_algorithm_by_name(algorithm).prepare_key(key)
    except (jwt.InvalidKeyError, UnsupportedAlgorithm, ValueError, TypeError):
        return False
    return True


def _read_public_key(pem_or_path: str, faults: list[str]) -> tuple[str | None, str | None]:
    try:
        # An environment variable often carries a line's end as two characters.
        pem = pem_or_path.replace("\\n", "\n")
        if "-----BEGIN" not in pem:
            pem = Path(pem_or_path).read_text(encoding="ascii")
        key = load_pem_public_key(pem.encode())
        algorithm = _algorithm_of(key)
    except (OSError, ValueError, UnsupportedAlgorithm):
        faults.append("AUTH_JWT_PUBLIC_KEY: neither a public key in PEM nor a path to one")
        return None, None
    if algorithm is None:
        faults.append("AUTH_JWT_PUBLIC_KEY: must be an RSA, P-256 or Ed25519 key")
    elif isinstance(key, rsa.RSAPublicKey) and key.key_size < MIN_RSA_BITS:
        faults.append(f"AUTH_JWT_PUBLIC_KEY: an RSA key must have {MIN_RSA_BITS} bits or more")
    elif not _is_key_for(algorithm, pem):
        faults.append("AUTH_JWT_PUBLIC_KEY: no key that tokens can be checked with; PEM alone")
    return pem, algorithm


def _algorithm_of(key: Any) -> str | None:
    """Return the algorithm that a public key is used with (RFC 7518, section 3.1; RFC 8037)."""
    if isinstance(key, rsa.RSAPublicKey):
        return "RS256"
    if isinstance(key, ed25519.Ed25519PublicKey):
        return "EdDSA"
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return "ES256"
    return None


def is_loopback(host: str) -> bool:
    """Tell whether a name or an address, of IPv6 in brackets or without, leads to this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
