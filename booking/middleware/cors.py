"""Lets pages of listed origins read the answers (Fetch standard, section "CORS protocol").

Exact origins, no patterns and no cookies: a page sends its bearer token itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Flask, Response, request

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

ALLOWED_HEADERS = "Authorization, Content-Type, Idempotency-Key, If-Match, X-Request-ID"
EXPOSED_HEADERS = "ETag, Idempotency-Replayed, Link, Location, Retry-After, X-Request-ID"
PREFLIGHT_SECONDS = 600


def headers_for(origin: str | None, origins: frozenset[str]) -> dict[str, str]:
    """Return the headers that let a page of ``origin`` read an answer, where it is listed."""
    if not origins:
        return {}
    headers = {"Vary": "Origin"}
    if origin in origins:
        headers["Access-Control-Allow-Origin"] = origin
        headers["Access-Control-Expose-Headers"] = EXPOSED_HEADERS
    return headers


def is_preflight(environ: WSGIEnvironment, origins: frozenset[str]) -> bool:
    """Tell whether a listed origin's page asks, before a request, whether it may send it."""
    return (
        environ["REQUEST_METHOD"] == "OPTIONS"
        and "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in environ
        and environ.get("HTTP_ORIGIN") in origins
    )


def init_app(app: Flask, origins: frozenset[str]) -> None:
    """Answer the listed origins; to any other, and where none is listed, nothing is said."""
    if not origins:
        return

    @app.after_request
    def answer_origin(response: Response) -> Response:
        response.headers.update(headers_for(request.headers.get("Origin"), origins))
        if "Access-Control-Allow-Origin" not in response.headers:
            return response
        if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
            response.headers["Access-Control-Allow-Methods"] = response.headers.get("Allow", "")
            response.headers["Access-Control-Allow-Headers"] = ALLOWED_HEADERS
            response.headers["Access-Control-Max-Age"] = str(PREFLIGHT_SECONDS)
        return response
