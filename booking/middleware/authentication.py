"""Who calls, and whether they may. Each route says who may, where it is defined; one that says
nothing is closed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar

import jwt
from flask import Flask, g, request
from jwt.exceptions import InvalidSubjectError

from booking.config import AuthConfig, AuthMode
from booking.errors import Forbidden, Unauthenticated
from booking.models import MAX_NAME_LENGTH, is_visible

# An issuer's clock may be ahead of this server's; more than this is somebody's mistake. It is for a
# token that begins (nbf), never for one that has expired (exp).
LEEWAY_SECONDS = 10
# When a token was issued (iat) gives it no right: there a clock may differ by more.
ISSUED_AHEAD_SECONDS = 60
ADMIN_ROLE = "admin"
USER_ROLE = "user"

View = TypeVar("View", bound=Callable[..., Any])


class Access(Enum):
    """Who may call a route."""

    ALL = "all"
    USER = "user"
    ADMIN = "admin"


@dataclass(frozen=True)
class Caller:
    """Who calls. ``user_id`` is None where nobody proves who they are (AUTH_MODE=open)."""

    user_id: str | None
    is_admin: bool

    @property
    def owner(self) -> str | None:
        """The user whose bookings the caller may touch, None for everybody's."""
        return None if self.is_admin else self.user_id


ANYBODY = Caller(user_id=None, is_admin=True)


def allow(access: Access) -> Callable[[View], View]:
    """Declare who may call a view."""

    def declare(view: View) -> View:
        view.access = access  # type: ignore[attr-defined] # functions bear attributes, types do not say so
        return view

    return declare


def access_of(view: Callable[..., Any]) -> Access | None:
    """Return who may call a view, None where it says nothing."""
    return getattr(view, "access", None)


def current_caller() -> Caller:
    """Return who makes the request that is served."""
    caller: Caller = g.caller
    return caller


def init_app(app: Flask, config: AuthConfig) -> None:
    """Decide on each request's caller before anything of what was sent is read."""
    identify = _identify_nobody if config.mode == AuthMode.OPEN else TokenReader(config).identify

    @app.before_request
    def decide() -> None:
        endpoint = request.endpoint
        if endpoint is None or request.method == "OPTIONS":
            return
        access = access_of(app.view_functions[endpoint])
        if access is None:
            raise Forbidden("This route does not say who may call it.")
        if access is Access.ALL:
            return
        g.caller = caller = identify()
        if access is Access.ADMIN and not caller.is_admin:
            raise Forbidden("Only an admin may do this.")


def _identify_nobody() -> Caller:
    return ANYBODY


class TokenReader:
    """Reads bearer tokens (RFC 6750, section 2.1; RFC 7519). The configured key fixes the algorithm
    (RFC 8725, section 3.1).

    Why one was refused is for the request's log line, in words of ours alone: nothing of a token is
    in it, and whoever forges one learns nothing from the answer.
    """

    def __init__(self, config: AuthConfig) -> None:
        self._config = config
        self._key = config.jwt_secret or config.jwt_public_key or ""
        self._algorithm = config.jwt_algorithm or ""
        self._required = ["sub", "exp"]
        if config.jwt_issuer:
            self._required.append("iss")
        if config.jwt_audience:
            self._required.append("aud")

    def identify(self) -> Caller:
        """Return the caller of the request. Raises Unauthenticated."""
        sent = request.headers.get("Authorization")
        if not sent:
            raise Unauthenticated
        scheme, _, token = sent.partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise _refused("no bearer token")
        claims = self._claims(token.strip())
        if fault := _fault_of_times(claims):
            raise _refused(fault)
        user_id, role = claims["sub"], claims.get("role", USER_ROLE)
        if not _is_user_id(user_id):
            raise _refused("sub")
        if role not in (USER_ROLE, ADMIN_ROLE):
            raise _refused("role")
        return Caller(user_id=user_id, is_admin=role == ADMIN_ROLE)

    def _claims(self, token: str) -> dict[str, Any]:
        try:
            return jwt.decode(
                token,
                self._key,
                algorithms=[self._algorithm],
                issuer=self._config.jwt_issuer,
                audience=self._config.jwt_audience,
                options={
                    "require": self._required,
                    "verify_aud": bool(self._config.jwt_audience),
                    # PyJWT has one leeway for all of them.
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                },
            )
        except jwt.MissingRequiredClaimError as error:
            raise _refused(f"missing claim {error.claim}") from error
        except (jwt.InvalidTokenError, ValueError, RecursionError) as error:
            # The last two: what PyJWT's JSON and text decoding let through, before any signature.
            raise _refused(_FAULTS.get(type(error), "malformed")) from error


_FAULTS: Mapping[type[Exception], str] = {
    jwt.InvalidAlgorithmError: "algorithm",
    jwt.InvalidSignatureError: "signature",
    jwt.InvalidAudienceError: "audience",
    jwt.InvalidIssuerError: "issuer",
    InvalidSubjectError: "sub",
}


def _refused(fault: str) -> Unauthenticated:
    g.token_refused = fault
    return Unauthenticated()


def _fault_of_times(claims: Mapping[str, Any]) -> str | None:
    """Return what is wrong with the times of a token that has an ``exp``."""
    times = {name: claims[name] for name in ("exp", "nbf", "iat") if name in claims}
    if not all(map(_is_numeric_date, times.values())):
        return "malformed"
    now = time.time()
    if times["exp"] <= now:
        return "expired"
    begins = times.get("nbf", now) - LEEWAY_SECONDS
    issued = times.get("iat", now) - ISSUED_AHEAD_SECONDS
    return "not yet valid" if max(begins, issued) > now else None


def _is_numeric_date(claim: object) -> bool:
    """Tell whether the claim is a finite number (RFC 7519, section 2)."""
    is_number = isinstance(claim, int | float) and not isinstance(claim, bool)
    return is_number and -math.inf < claim < math.inf  # type: ignore[operator] # it is a number


def _is_user_id(claim: object) -> bool:
    """Tell whether the claim is a user id that PostgreSQL can hold."""
    if not isinstance(claim, str) or "\x00" in claim:
        return False
    is_utf8 = not any("\ud800" <= char <= "\udfff" for char in claim)
    return is_utf8 and is_visible(claim) and len(claim) <= MAX_NAME_LENGTH
