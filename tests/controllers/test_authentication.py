"""Who calls, and whether they may: tokens, roles and owners, decided before what was sent."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from flask import Flask
from flask.testing import FlaskClient

from booking.app import create_app
from booking.config import AuthConfig, AuthMode, Config
from booking.controllers.parsing import MAX_BODY_BYTES
from booking.middleware.authentication import LEEWAY_SECONDS, access_of
from tests.controllers.answers import data_of, page_of, problem_of
from tests.controllers.conftest import Log, Maker
from tests.support.factories import UNKNOWN_ID, booking_body, make_config, slot_body, unique

SECRET = "the-secret-of-these-tests-" + "s" * 32
Clients = Callable[..., FlaskClient]


def _auth(**settings: str) -> AuthConfig:
    """Return what the settings make of a production's environment, where no .env is read."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("APP_ENV", "production")
        patch.setenv("DATABASE_URL", "postgresql://nowhere/booking")
        for name, value in settings.items():
            patch.setenv(f"AUTH_JWT_{name}", value)
        return Config.from_environment().auth


def _claims(**claims: Any) -> dict[str, Any]:
    made = {"sub": "alice", "exp": int(time.time()) + 600, **claims}
    return {name: value for name, value in made.items() if value is not ...}


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _signed(key: Any = SECRET, algorithm: str = "HS256", **claims: Any) -> dict[str, str]:
    return _bearer(jwt.encode(_claims(**claims), key, algorithm=algorithm))


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _by_hand(header: Any, claims: Any, key: bytes = SECRET.encode()) -> dict[str, str]:
    parts = [
        part if isinstance(part, bytes) else json.dumps(part).encode() for part in (header, claims)
    ]
    signed = ".".join(map(_b64, parts))
    signature = hmac.new(key, signed.encode(), hashlib.sha256).digest()
    return _bearer(f"{signed}.{_b64(signature)}")


HS256 = {"alg": "HS256", "typ": "JWT"}
ADMIN = _signed(sub="root", role="admin")


@pytest.fixture
def guarded(make_client: Clients) -> FlaskClient:
    return make_client(auth=_auth(SECRET=SECRET))


def _refused(response: Any) -> None:
    problem_of(response, 401, "UNAUTHENTICATED")
    assert response.headers["WWW-Authenticate"] == "Bearer"


@pytest.fixture(scope="module")
def door() -> FlaskClient:
    """The application where nobody comes as far as to need a database."""
    return create_app(make_config(auth=_auth(SECRET=SECRET))).test_client()


def test_a_good_token_is_taken(guarded: FlaskClient) -> None:
    for headers in (
        _signed(),
        _signed(role="user"),
        _signed(role="admin"),
        _signed(sub="x" * 200),
        _signed(extra={"nested": [1]}, jti="1"),
        {"Authorization": _signed()["Authorization"].replace("Bearer", "bEARER")},
        _signed(nbf=int(time.time()) + LEEWAY_SECONDS - 2),
        _signed(iat=int(time.time()) + 58),
        _signed(iat=time.time() + 58.5),
        _signed(exp=time.time() + 30.5),
    ):
        page_of(guarded.get("/api/bookings", headers=headers))


NOW = int(time.time())
ISSUED = {"iss": "us", "aud": "booking"}
BAD_TOKENS: dict[str, dict[str, str]] = {
    "none": {},
    "empty": {"Authorization": ""},
    "scheme alone": {"Authorization": "Bearer"},
    "scheme and space": {"Authorization": "Bearer "},
    "no scheme": {"Authorization": _signed()["Authorization"].removeprefix("Bearer ")},
    "basic": {"Authorization": "Basic YWxpY2U6eA=="},
    "garbage": _bearer("garbage"),
    "two parts": _bearer("a.b"),
    "four parts": _bearer("a.b.c.d"),
    "empty parts": _bearer(".."),
    "not ASCII": _bearer("caf\xe9.b.c"),
    "two tokens": _bearer(_signed()["Authorization"].removeprefix("Bearer ") + " x"),
    "long": _bearer("x" * 7000),
    "another secret": _signed(key="t" * 32),
    "signature cut": {"Authorization": _signed()["Authorization"][:-4]},
    "signature gone": {"Authorization": _signed()["Authorization"].rpartition(".")[0] + "."},
    "alg none": _bearer(jwt.encode(_claims(), "", algorithm="none")),
    "alg None by hand": _by_hand({"alg": "None"}, _claims()),
    "alg none, signed": _by_hand({"alg": "none"}, _claims()),
    "alg HS512": _signed(key="s" * 64, algorithm="HS512"),
    "alg a list": _by_hand({"alg": ["HS256"]}, _claims()),
    "alg missing": _by_hand({"typ": "JWT"}, _claims()),
    "header no object": _by_hand([], _claims()),
    "header no JSON": _by_hand(b"{", _claims()),
    "header not UTF-8": _by_hand(b"\xff\xfe", _claims()),
    "header of deep lists": _by_hand(b"[" * 5000, _claims()),
    "header of deep objects": _by_hand(b'{"a":' * 1000, _claims()),
    "critical extension": _by_hand({**HS256, "crit": ["x"], "x": 1}, _claims()),
    "claims no object": _by_hand(HS256, ["alice"]),
    "claims no JSON": _by_hand(HS256, b"alice"),
    "claims of deep lists": _by_hand(HS256, b"[" * 5000),
    "expired": _signed(exp=NOW - 3600),
    "expired just now": _signed(exp=NOW),
    "no exp": _signed(exp=...),
    "exp null": _by_hand(HS256, _claims(exp=None)),
    "exp no number": _by_hand(HS256, _claims(exp="soon")),
    "exp in quotes": _by_hand(HS256, b'{"sub": "alice", "exp": "99999999999"}'),
    "nbf in quotes": _by_hand(HS256, _claims(nbf="1")),
    "iat in quotes": _by_hand(HS256, _claims(iat="1")),
    "iat ahead": _signed(iat=NOW + 3600),
    "iat a list": _by_hand(HS256, _claims(iat=[1])),
    "iat null": _by_hand(HS256, _claims(iat=None)),
    "iat true": _by_hand(HS256, _claims(iat=True)),
    "iat infinite": _by_hand(HS256, b'{"sub": "alice", "exp": 99999999999, "iat": 1e400}'),
    "iat NaN": _by_hand(HS256, b'{"sub": "alice", "exp": 99999999999, "iat": NaN}'),
    "nbf a list": _by_hand(HS256, _claims(nbf=[1])),
    "nbf null": _by_hand(HS256, _claims(nbf=None)),
    "nbf NaN": _by_hand(HS256, b'{"sub": "alice", "exp": 99999999999, "nbf": NaN}'),
    "exp true": _by_hand(HS256, _claims(exp=True)),
    "exp a list": _by_hand(HS256, _claims(exp=[NOW + 600])),
    "exp infinite": _by_hand(HS256, b'{"sub": "alice", "exp": 1e400}'),
    "exp NaN": _by_hand(HS256, b'{"sub": "alice", "exp": NaN}'),
    "not yet": _signed(nbf=NOW + 3600),
    "no sub": _signed(sub=...),
    "sub null": _by_hand(HS256, _claims(sub=None)),
    "sub empty": _signed(sub=""),
    "sub a number": _by_hand(HS256, _claims(sub=7)),
    "sub a list": _by_hand(HS256, _claims(sub=["alice"])),
    "sub too long": _signed(sub="x" * 201),
    "sub of blanks": _signed(sub=" \u200b"),
    "sub with NUL": _signed(sub="ali\x00ce"),
    "sub half a pair": _by_hand(HS256, b'{"sub": "\\ud800", "exp": 99999999999}'),
    "role unknown": _signed(role="root"),
    "role upper-case": _signed(role="ADMIN"),
    "role a list": _signed(role=["admin"]),
    "role an object": _signed(role={"admin": True}),
    "role null": _by_hand(HS256, _claims(role=None)),
}


@pytest.mark.parametrize("headers", BAD_TOKENS.values(), ids=BAD_TOKENS)
def test_a_bad_token_is_not(door: FlaskClient, headers: dict[str, str]) -> None:
    for path in ("/api/bookings", "/api/admin/audit"):
        _refused(door.get(path, headers=headers))


@pytest.mark.parametrize(
    ("name", "seconds"), [("exp", -1), ("nbf", 13), ("nbf", 58), ("iat", 63), ("iat", 3600)]
)
def test_a_clock_that_differs_has_its_bounds(door: FlaskClient, name: str, seconds: int) -> None:
    """Each claim its own: a token that begins or was issued soon is taken, none that is over."""
    claims: dict[str, Any] = {name: time.time() + seconds}
    _refused(door.get("/api/bookings", headers=_signed(**claims)))


@pytest.mark.parametrize(
    ("claims", "is_taken"),
    [
        ({"iss": "us", "aud": "booking"}, True),
        ({"iss": "us", "aud": ["other", "booking"]}, True),
        ({"iss": "us"}, False),
        ({"aud": "booking"}, False),
        ({"iss": "them", "aud": "booking"}, False),
        ({"iss": "us", "aud": "other"}, False),
        ({"iss": "us", "aud": []}, False),
        ({"iss": ["us"], "aud": "booking"}, False),
        ({"iss": "us", "aud": 7}, False),
        ({}, False),
    ],
)
def test_issuer_and_audience_are_checked_where_configured(
    make_client: Clients, claims: dict[str, Any], is_taken: bool
) -> None:
    auth = _auth(SECRET=SECRET, ISSUER="us", AUDIENCE="booking")
    response = make_client(auth=auth).get(
        "/api/bookings", headers=_by_hand(HS256, _claims(**claims))
    )
    if is_taken:
        page_of(response)
    else:
        _refused(response)


def test_issuer_and_audience_are_free_where_not_configured(guarded: FlaskClient) -> None:
    page_of(guarded.get("/api/bookings", headers=_signed(iss="anybody", aud="anything")))


def _pem(key: Any) -> str:
    public: bytes = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return public.decode()


KEYS: dict[str, tuple[Any, Any]] = {
    "RS256": (rsa.generate_private_key(65537, 2048), rsa.generate_private_key(65537, 2048)),
    "ES256": (ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())),
    "EdDSA": (ed25519.Ed25519PrivateKey.generate(), ed25519.Ed25519PrivateKey.generate()),
}


@pytest.mark.parametrize("algorithm", KEYS)
def test_the_public_key_fixes_the_algorithm(make_client: Clients, algorithm: str) -> None:
    key, other = KEYS[algorithm]
    pem = _pem(key)
    client = make_client(auth=_auth(PUBLIC_KEY=pem))
    page_of(client.get("/api/bookings", headers=_signed(key, algorithm)))
    forged = {
        "another key": _signed(other, algorithm),
        "the public key as a secret": _by_hand(HS256, _claims(), pem.encode()),
        "the public key as a secret, trimmed": _by_hand(HS256, _claims(), pem.strip().encode()),
        "a secret": _signed(),
        "none": _bearer(jwt.encode(_claims(), "", algorithm="none")),
        "another algorithm": _signed(KEYS["RS256"][0], "RS512"),
    }
    forged |= {name: _signed(keys[0], name) for name, keys in KEYS.items() if name != algorithm}
    for headers in forged.values():
        _refused(client.get("/api/bookings", headers=headers))


# Route, its path, and what could be wrong with what is sent to it.
ADMIN_CALLS = [
    ("POST", "/api/admin/slots"),
    ("GET", "/api/admin/slots"),
    ("GET", "/api/admin/slots/{slot_id}"),
    ("PATCH", "/api/admin/slots/{slot_id}"),
    ("DELETE", "/api/admin/slots/{slot_id}"),
    ("GET", "/api/admin/bookings"),
    ("POST", "/api/admin/expire-pending"),
    ("GET", "/api/admin/audit"),
]
USER_CALLS = [
    ("POST", "/api/bookings"),
    ("GET", "/api/bookings"),
    ("GET", "/api/bookings/{booking_id}"),
    ("POST", "/api/bookings/{booking_id}/confirm"),
    ("POST", "/api/bookings/{booking_id}/cancel"),
    ("GET", "/api/bookings/{booking_id}/events"),
]
WRONGS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "malformed": {"data": b"{", "content_type": "application/json"},
    "not JSON": {"data": b"x", "content_type": "text/plain"},
    "too large": {"data": b" " * (MAX_BODY_BYTES + 1), "content_type": "application/json"},
    "breaking the schema": {"json": {"num_seats": -1, "surprise": 1}},
    "unknown query": {"query_string": "surprise=1&surprise=2"},
    "bad key": {"headers": {"Idempotency-Key": ""}},
}


@pytest.mark.parametrize(("method", "path"), [*ADMIN_CALLS, *USER_CALLS])
def test_who_may_call_is_decided_before_what_was_sent(
    door: FlaskClient, method: str, path: str
) -> None:
    for wrong in WRONGS.values():
        for named in (UNKNOWN_ID, "not-a-uuid"):
            options = dict(wrong)
            sent = options.pop("headers", {})
            url = path.format(slot_id=named, booking_id=named)
            _refused(door.open(url, method=method, headers=sent, **options))
            if (method, path) in ADMIN_CALLS:
                headers = {**_signed(), **sent}
                response = door.open(url, method=method, headers=headers, **options)
                problem_of(response, 403, "FORBIDDEN")


def test_admin_routes_and_user_routes_are_all_there_are() -> None:
    app = create_app(make_config())
    views = {
        (method, rule.rule.replace("<", "{").replace(">", "}")): access_of(
            app.view_functions[rule.endpoint]
        )
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert [call for call, access in views.items() if access is None] == []
    told = {call: access.value for call, access in views.items() if access}
    assert {call for call, access in told.items() if access == "admin"} == set(ADMIN_CALLS)
    assert {call for call, access in told.items() if access == "user"} == set(USER_CALLS)
    assert not [call for call, access in told.items() if access == "all" and call[0] != "GET"]


@pytest.mark.parametrize(
    "auth", [AuthConfig(AuthMode.OPEN), _auth(SECRET=SECRET)], ids=["open", "jwt"]
)
def test_a_view_that_says_nothing_is_closed(database_url: str, auth: AuthConfig) -> None:
    app: Flask = create_app(make_config(database_url=database_url, auth=auth))
    app.add_url_rule("/forgotten", "forgotten", lambda: "open to all")
    for headers in ({}, _signed(), ADMIN):
        problem_of(app.test_client().get("/forgotten", headers=headers), 403, "FORBIDDEN")


def test_public_routes_need_no_token_and_mind_no_bad_one(
    guarded: FlaskClient, new_slot: Maker
) -> None:
    slot = new_slot()
    for headers in ({}, _bearer("garbage"), _signed(exp=NOW - 3600)):
        data_of(guarded.get("/health", headers=headers))
        data_of(guarded.get("/ready", headers=headers))
        page_of(guarded.get("/api/slots", headers=headers))
        data_of(guarded.get(f"/api/slots/{slot['id']}", headers=headers))


def test_unknown_route_and_wrong_method_are_the_same_for_all(guarded: FlaskClient) -> None:
    problem_of(guarded.get("/api/nothing"), 404, "NOT_FOUND")
    problem_of(guarded.put("/api/slots"), 405, "METHOD_NOT_ALLOWED")


def test_admin_may_do_what_admins_do(guarded: FlaskClient) -> None:
    slot = data_of(guarded.post("/api/admin/slots", json=slot_body(), headers=ADMIN), 201)
    path = f"/api/admin/slots/{slot['id']}"
    data_of(guarded.get(path, headers=ADMIN))
    data_of(guarded.patch(path, json={"status": "CLOSED"}, headers=ADMIN))
    page_of(guarded.get("/api/admin/slots", headers=ADMIN))
    page_of(guarded.get("/api/admin/bookings", headers=ADMIN))
    data_of(guarded.get("/api/admin/audit", headers=ADMIN))
    data_of(guarded.post("/api/admin/expire-pending", headers=ADMIN))
    assert guarded.delete(path, headers=ADMIN).status_code == 204


@pytest.fixture
def alice() -> str:
    return unique("alice")


def _book(client: FlaskClient, slot_id: str, headers: dict[str, str], **fields: Any) -> Any:
    body = {"slot_id": slot_id, "num_seats": 1, **fields}
    return client.post("/api/bookings", json=body, headers=headers)


def test_user_books_in_their_own_name(guarded: FlaskClient, new_slot: Maker, alice: str) -> None:
    slot = new_slot()
    mine = _signed(sub=alice)
    for fields in ({}, {"user_id": alice}):
        booking = data_of(_book(guarded, slot["id"], mine, **fields), 201)
        assert booking["user_id"] == alice
    listed, _ = page_of(guarded.get("/api/bookings", headers=mine))
    named, _ = page_of(guarded.get("/api/bookings", query_string={"user_id": alice}, headers=mine))
    assert len(listed) == 2
    assert named == listed


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"num_seats": -1},
        {"slot_id": UNKNOWN_ID},
        {"slot_id": "not-a-uuid"},
        {"surprise": 1},
        {"user_id": ""},
        {"user_id": "x" * 201},
    ],
)
def test_user_who_names_another_is_forbidden_whatever_else_is_wrong(
    guarded: FlaskClient, new_slot: Maker, alice: str, fields: dict[str, Any]
) -> None:
    slot = new_slot()
    sent = {"user_id": "bob", **fields}
    response = _book(guarded, sent.pop("slot_id", slot["id"]), _signed(sub=alice), **sent)
    problem_of(response, 403, "FORBIDDEN")
    assert data_of(guarded.get(f"/api/slots/{slot['id']}")) == slot


def test_user_who_names_another_is_forbidden_before_query_and_key(
    guarded: FlaskClient, alice: str
) -> None:
    response = guarded.post(
        "/api/bookings?surprise=1",
        json=booking_body(UNKNOWN_ID, user_id="bob"),
        headers={**_signed(sub=alice), "Idempotency-Key": ""},
    )
    problem_of(response, 403, "FORBIDDEN")


@pytest.mark.parametrize("query", ["user_id=bob", "user_id=bob&surprise=1", "user_id=bob&limit=0"])
def test_user_lists_nobody_else_s(guarded: FlaskClient, alice: str, query: str) -> None:
    response = guarded.get(f"/api/bookings?{query}", headers=_signed(sub=alice))
    problem_of(response, 403, "FORBIDDEN")


def test_admin_books_and_lists_for_anybody(
    guarded: FlaskClient, new_slot: Maker, alice: str
) -> None:
    slot = new_slot()
    booking = data_of(_book(guarded, slot["id"], ADMIN, user_id=alice), 201)
    assert booking["user_id"] == alice
    listed, _ = page_of(
        guarded.get("/api/bookings", query_string={"user_id": alice}, headers=ADMIN)
    )
    assert listed == [booking]
    assert data_of(_book(guarded, slot["id"], ADMIN), 201)["user_id"] == "root"


OWNED = [("GET", ""), ("POST", "/confirm"), ("POST", "/cancel"), ("GET", "/events")]


@pytest.mark.parametrize(("method", "path"), OWNED)
def test_another_s_booking_is_the_same_404_as_none(
    guarded: FlaskClient,
    new_slot: Maker,
    alice: str,
    lapse: Callable[[str], None],
    method: str,
    path: str,
) -> None:
    slot = new_slot()
    live = data_of(_book(guarded, slot["id"], _signed(sub=alice), hold=True), 201)
    lapsed = data_of(_book(guarded, slot["id"], _signed(sub=alice), hold=True), 201)
    lapse(lapsed["id"])
    answers = []
    for booking_id in (live["id"], lapsed["id"], UNKNOWN_ID):
        response = guarded.open(
            f"/api/bookings/{booking_id}{path}", method=method, headers=_signed(sub="bob")
        )
        problem = problem_of(response, 404, "BOOKING_NOT_FOUND")
        del problem["instance"], problem["request_id"]
        answers.append((problem, sorted(response.headers.keys())))
    assert answers[0] == answers[1] == answers[2]
    still = data_of(guarded.get(f"/api/bookings/{live['id']}", headers=_signed(sub=alice)))
    assert still == live


@pytest.mark.parametrize(("method", "path"), OWNED)
@pytest.mark.parametrize("caller", ["owner", "admin"])
def test_owner_and_admin_may(
    guarded: FlaskClient, new_slot: Maker, alice: str, method: str, path: str, caller: str
) -> None:
    hold = data_of(_book(guarded, new_slot()["id"], _signed(sub=alice), hold=True), 201)
    headers = ADMIN if caller == "admin" else _signed(sub=alice)
    response = guarded.open(f"/api/bookings/{hold['id']}{path}", method=method, headers=headers)
    assert response.status_code == 200


def test_key_of_another_user_replays_nothing(
    guarded: FlaskClient, new_slot: Maker, alice: str
) -> None:
    slot, bob = new_slot(), unique("bob")
    ids = []
    for user in (alice, bob):
        headers = {**_signed(sub=user), "Idempotency-Key": "shared"}
        response = _book(guarded, slot["id"], headers)
        assert "Idempotency-Replayed" not in response.headers
        ids.append(data_of(response, 201)["id"])
    assert ids[0] != ids[1]


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_tokens_and_secrets_are_in_no_log_and_no_answer(
    guarded: FlaskClient, capture_log: Callable[[str], Log], log_format: str
) -> None:
    log = capture_log(log_format)
    told = ""
    tokens = [_signed()["Authorization"], _signed(key="planted" * 5)["Authorization"]]
    for token in tokens:
        for path in ("/api/bookings", "/api/admin/audit", "/nowhere"):
            response = guarded.get(path, headers={"Authorization": token})
            told += response.get_data(as_text=True) + str(response.headers)
    assert len(log.lines) == 6
    for token in tokens:
        assert token.rpartition(".")[2] not in told + log.text
    assert SECRET not in told + log.text


# What is said of each refused token in the log, and the tokens.
REASONS: dict[str, list[dict[str, str]]] = {
    "expired": [_signed(exp=NOW - 3600, **ISSUED), _signed(exp=NOW, role="root", **ISSUED)],
    "not yet valid": [_signed(nbf=NOW + 3600, **ISSUED), _signed(iat=NOW + 3600, **ISSUED)],
    "audience": [_signed(iss="us", aud="planted-aud"), _signed(iss="us", aud=["planted-aud"])],
    "issuer": [
        _signed(iss="planted-iss", aud="booking"),
        _by_hand(HS256, _claims(iss=7, aud="booking")),
    ],
    "algorithm": [
        _bearer(jwt.encode(_claims(**ISSUED), "", algorithm="none")),
        _signed(key="s" * 64, algorithm="HS512", **ISSUED),
        _by_hand({"alg": "planted-alg"}, _claims(**ISSUED)),
        _by_hand({"typ": "JWT"}, _claims(**ISSUED)),
    ],
    "signature": [_signed(key="t" * 32, **ISSUED)],
    "malformed": [
        _bearer("planted-garbage"),
        _bearer(".."),
        _bearer("caf\xe9.b.c"),
        _by_hand(b"planted{", _claims(**ISSUED)),
        _by_hand({**HS256, "crit": ["planted"]}, _claims(**ISSUED)),
        _by_hand(HS256, b"[" * 5000),
        _by_hand(HS256, _claims(exp="planted-exp", **ISSUED)),
        _by_hand(HS256, _claims(iat="1", **ISSUED)),
        _by_hand(HS256, _claims(jti=7, **ISSUED)),
    ],
    "missing claim sub": [_signed(sub=..., **ISSUED)],
    "missing claim exp": [_signed(exp=..., **ISSUED)],
    "missing claim iss": [_signed(aud="booking")],
    "missing claim aud": [_signed(iss="us")],
    "role": [_signed(role="planted-role", **ISSUED), _signed(role=["admin"], **ISSUED)],
    "sub": [
        _signed(sub="planted-sub" * 20, **ISSUED),
        _signed(sub="planted\x00", **ISSUED),
        _by_hand(HS256, _claims(sub=7, **ISSUED)),
    ],
    "no bearer token": [
        {"Authorization": "Basic cGxhbnRlZA=="},
        {"Authorization": "planted"},
        {"Authorization": "Bearer "},
    ],
}


@pytest.fixture(scope="module")
def strict_door() -> FlaskClient:
    auth = _auth(SECRET=SECRET, ISSUER="us", AUDIENCE="booking")
    return create_app(make_config(auth=auth)).test_client()


@pytest.mark.parametrize("log_format", ["text", "json"])
@pytest.mark.parametrize("reason", REASONS)
def test_log_says_why_a_token_was_refused_and_nothing_of_it(
    strict_door: FlaskClient, capture_log: Callable[[str], Log], reason: str, log_format: str
) -> None:
    for headers in REASONS[reason]:
        log = capture_log(log_format)
        answer = strict_door.get("/api/bookings", headers={"X-Request-ID": "mine", **headers})
        _refused(answer)
        [line] = log.lines
        if log_format == "json":
            told = json.loads(line)
            assert (told["request_id"], told["token_refused"]) == ("mine", reason)
        else:
            assert " [mine] GET /api/bookings 401 " in line
            assert line.endswith(f", token refused: {reason}")
        assert reason not in answer.get_data(as_text=True).replace("bearer token", "")
        _, _, sent = headers["Authorization"].partition(" ")
        for part in (sent, *sent.split("."), "planted", "alice"):
            assert len(part) < 3 or part not in line


def test_log_says_nothing_of_a_token_where_none_was_refused(
    guarded: FlaskClient, capture_log: Callable[[str], Log]
) -> None:
    log = capture_log("json")
    for headers in ({}, _signed(), _signed(exp=NOW - 3600)):
        guarded.get("/health", headers=headers)
    guarded.get("/api/bookings", headers={})
    guarded.get("/api/bookings", headers=_signed())
    guarded.get("/api/admin/audit", headers=_signed())
    lines = [json.loads(line) for line in log.lines]
    assert [line["status"] for line in lines] == [200, 200, 200, 401, 200, 403]
    assert not [line for line in lines if "token_refused" in line]
