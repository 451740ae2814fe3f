"""Who calls: tokens that are good, and those that are not."""

from __future__ import annotations

import time
from dataclasses import dataclass

import jwt

from booking.config import AuthConfig, AuthMode

SECRET = "the-secret-of-these-tests-" + "s" * 32
AUTH = AuthConfig(AuthMode.JWT, jwt_algorithm="HS256", jwt_secret=SECRET)

Headers = dict[str, str]


def token(
    user: str, *, role: str = "user", seconds: int = 600, secret: str = SECRET, **claims: object
) -> str:
    """Return a token of a user, signed with ``secret``, that expires in so many seconds."""
    named = {"sub": user, "role": role, "exp": int(time.time()) + seconds, **claims}
    return jwt.encode(named, secret, algorithm="HS256")


def bearer(text: str) -> Headers:
    """Return the header that carries a token."""
    return {"Authorization": f"Bearer {text}"}


def as_user(user: str) -> Headers:
    """Return the header of a user."""
    return bearer(token(user))


ADMIN = bearer(token("root", role="admin"))


@dataclass(frozen=True)
class Caller:
    """One row of the matrix: what is known of a caller before the view runs."""

    name: str
    headers: Headers
    is_known: bool = True
    is_owner: bool = False
    is_admin: bool = False


def callers_beside(owner: str) -> list[Caller]:
    """Return every kind of caller there is, where ``owner`` owns what is called for."""
    return [
        Caller("none", {}, is_known=False),
        Caller("forged", bearer(token(owner, role="admin", secret="f" * 32)), is_known=False),
        Caller("expired", bearer(token(owner, role="admin", seconds=-3600)), is_known=False),
        Caller("owner", as_user(owner), is_owner=True),
        Caller("other", as_user(f"not-{owner}")),
        Caller("admin", ADMIN, is_admin=True),
    ]
