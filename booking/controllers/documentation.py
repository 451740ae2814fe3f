"""What the API says of itself: the OpenAPI document, and a page to read and try it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

from flask import Blueprint, Response, request

from booking.controllers.parsing import read_query
from booking.controllers.responses import JSON_TYPE, public_path
from booking.middleware.authentication import Access, allow
from booking.schemas.pagination import NoQuery

# Swagger UI sets styles through the DOM alone, which a policy without 'unsafe-inline' lets pass.
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
_STATIC = Path(__file__).resolve().parent.parent / "static"
_PAGE = _STATIC / "docs.html"
_PAGE_FILES = {
    "docs.css": (_STATIC / "docs.css", "text/css"),
    "docs.js": (_STATIC / "docs.js", "text/javascript"),
    "swagger-ui.css": (_STATIC / "swagger-ui" / "swagger-ui.css", "text/css"),
    "swagger-ui-bundle.js": (
        _STATIC / "swagger-ui" / "swagger-ui-bundle.js",
        "text/javascript",
    ),
}
# Of the server that serves the document, as it stands in it.
_SERVER = b'"url": "%s"'
_NAMES = ",".join(f'"{name}"' for name in _PAGE_FILES)

_no_query = NoQuery()


def create_blueprint(write_document: Callable[[], str]) -> Blueprint:
    """Return the routes of the documentation; the document is written when it is first read."""
    blueprint = Blueprint("documentation", __name__)
    read_document = cache(lambda: write_document().encode())

    @blueprint.get("/openapi.json")
    @allow(Access.ALL)
    def get_document() -> Response:
        read_query(_no_query)
        return _revalidated(_at(request.root_path, read_document()), JSON_TYPE)

    @blueprint.get("/docs")
    @allow(Access.ALL)
    def get_page() -> Response:
        read_query(_no_query)
        response = _revalidated(_read(_PAGE), "text/html")
        response.headers["Content-Security-Policy"] = PAGE_POLICY
        return response

    @blueprint.get(f"/docs/<any({_NAMES}):name>")
    @allow(Access.ALL)
    def get_page_file(name: str) -> Response:
        read_query(_no_query)
        path, media_type = _PAGE_FILES[name]
        return _revalidated(_read(path), media_type)

    return blueprint


def _at(prefix: str, document: bytes) -> bytes:
    """Return the document with the address of the server behind a proxy's prefix."""
    if not prefix:
        return document
    server = public_path(prefix, "") or "/"
    return document.replace(_SERVER % b"/", _SERVER % server.encode(), 1)


@cache
def _read(path: Path) -> bytes:
    return path.read_bytes()


def _revalidated(content: bytes, media_type: str) -> Response:
    """Return what a browser may keep, but asks about before it uses it again (RFC 9111, 5.2.2.4):
    no release of this server meets a file of another.
    """
    response = Response(content, mimetype=media_type)
    response.headers["Cache-Control"] = "public, no-cache"
    response.add_etag()
    response.make_conditional(request)
    return response
