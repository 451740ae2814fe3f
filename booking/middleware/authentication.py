"""Who calls, and whether they may. Each route says who may, where it is defined; one that says
nothing is closed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar

import jwt
from flask import Flask, g, request

from booking.config import AuthConfig, AuthMode
from booking.errors import Forbidden, Unauthenticated
from booking.models import MAX_NAME_LENGTH

# An issuer's clock may be ahead of this server's; more than this is somebody's mistake. It is for a
# token that begins (nbf, iat), never for one that has expired.
LEEWAY_SECONDS = 10
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
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise Unauthenticated
        claims = self._claims(token.strip())
        # A NumericDate is a number (RFC 7519, section 2); PyJWT takes its digits in quotes as well.
        if any(isinstance(claims.get(name), str) for name in ("exp", "nbf", "iat")):
            raise Unauthenticated
        if claims["exp"] <= time.time():
            raise Unauthenticated
        user_id, role = claims["sub"], claims.get("role", USER_ROLE)
        if not _is_user_id(user_id) or role not in (USER_ROLE, ADMIN_ROLE):
            raise Unauthenticated
        return Caller(user_id=user_id, is_admin=role == ADMIN_ROLE)

    def _claims(self, token: str) -> dict[str, Any]:
        try:
            return jwt.decode(
                token,
                self._key,
                algorithms=[self._algorithm],
                issuer=self._config.jwt_issuer,
                audience=self._config.jwt_audience,
                leeway=LEEWAY_SECONDS,
                options={"require": self._required, "verify_aud": bool(self._config.jwt_audience)},
            )
        except (jwt.InvalidTokenError, ValueError, RecursionError) as error:
            # The last two: what PyJWT's JSON and text decoding let through, before any signature.
            raise Unauthenticated from error


def _is_user_id(claim: object) -> bool:
    """Tell whether the claim is a user id that PostgreSQL can hold."""
    if not isinstance(claim, str) or "\x00" in claim:
        return False
    is_utf8 = not any("\ud800" <= char <= "\udfff" for char in claim)
    return is_utf8 and 1 <= len(claim) <= MAX_NAME_LENGTH
