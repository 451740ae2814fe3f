"""Pages of other origins: exactly the listed ones may read the answers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask.testing import FlaskClient

from booking.config import AuthConfig, AuthMode
from tests.support.factories import UNKNOWN_ID

ORIGIN = "https://app.example.com"
PREFLIGHT = {
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,content-type,idempotency-key",
}


@pytest.fixture
def cors_client(make_client: Callable[..., FlaskClient]) -> FlaskClient:
    # With tokens: a browser sends none with its preflight.
    auth = AuthConfig(AuthMode.JWT, jwt_algorithm="HS256", jwt_secret="s" * 32)
    return make_client(auth=auth, cors_origins=frozenset({ORIGIN, "http://localhost:5173"}))


def cors_headers(headers: object) -> dict[str, str]:
    return {
        name: value
        for name, value in headers.items()  # type: ignore[attr-defined] # werkzeug's Headers
        if name.startswith("Access-Control")
    }


def test_listed_origin_may_preflight_without_a_token(cors_client: FlaskClient) -> None:
    response = cors_client.options("/api/bookings", headers={"Origin": ORIGIN, **PREFLIGHT})

    assert response.status_code == 200
    assert response.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert {"GET", "POST"} <= set(
        response.headers["Access-Control-Allow-Methods"].replace(" ", "").split(",")
    )
    allowed = response.headers["Access-Control-Allow-Headers"].lower().replace(" ", "").split(",")
    assert {"authorization", "content-type", "idempotency-key", "if-match"} <= set(allowed)
    assert "Access-Control-Allow-Credentials" not in response.headers


@pytest.mark.parametrize("path", ["/api/slots", "/api/bookings", f"/api/slots/{UNKNOWN_ID}", "/x"])
def test_listed_origin_may_read_every_answer(cors_client: FlaskClient, path: str) -> None:
    response = cors_client.get(path, headers={"Origin": ORIGIN})

    assert response.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert "X-Request-ID" in response.headers["Access-Control-Expose-Headers"]
    assert "Origin" in response.headers["Vary"]


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "https://app.example.com.evil.example",
        "https://xapp.example.com",
        "http://app.example.com",
        "https://app.example.com:8443",
        "https://APP.example.com",
        "https://appxexample.com",
        "null",
        "*",
        "",
    ],
)
def test_other_origins_are_told_nothing(cors_client: FlaskClient, origin: str) -> None:
    for response in (
        cors_client.get("/api/slots", headers={"Origin": origin}),
        cors_client.options("/api/bookings", headers={"Origin": origin, **PREFLIGHT}),
    ):
        assert cors_headers(response.headers) == {}
        assert "Origin" in response.headers["Vary"]


def test_no_origin_is_listed_by_default(client: FlaskClient) -> None:
    response = client.get("/api/slots", headers={"Origin": ORIGIN})

    assert cors_headers(response.headers) == {}
    assert "Vary" not in response.headers
