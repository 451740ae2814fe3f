"""Sees to what a request is for: the host that it names, and the path as it was sent."""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv6Address

from flask import Flask, request
from werkzeug.exceptions import NotFound

from booking.errors import MalformedRequest

MAX_PORT = 65535
# A name or an address, and a port (RFC 3986, sections 3.2.2 and 3.2.3).
_HOST = re.compile(
    r"(?:\[([0-9a-f:.]+)\]|(?:[a-z0-9._~!$&'()*+,;=-]|%[0-9a-f]{2})+)(?::([0-9]{0,5}))?",
    re.IGNORECASE | re.ASCII,
)


def init_app(app: Flask) -> None:
    """Refuse requests whose host is none, and know no path that begins with two slashes."""

    @app.before_request
    def check_target() -> None:
        environ = request.environ
        # werkzeug takes slashes off the beginning of a path before it looks for a route.
        if environ["PATH_INFO"].startswith("//"):
            request.url_rule, request.routing_exception = None, NotFound()
        sent = environ.get("werkzeug.proxy_fix.orig", environ).get("HTTP_HOST")
        if sent is None and environ["SERVER_PROTOCOL"] != "HTTP/1.0":
            raise MalformedRequest("A request must have a Host (RFC 9112, section 3.2).")
        named = environ.get("HTTP_HOST")
        if named is None:
            named = request.host
        if not _is_host(named) or not _is_host(named if sent is None else sent):
            raise MalformedRequest(
                "The Host, or what a proxy says in its place in X-Forwarded-Host and -Port, is no"
                " host with or without a port (RFC 9110, section 7.2)."
            )
        if environ["wsgi.url_scheme"].lower() not in {"http", "https"}:
            raise MalformedRequest("X-Forwarded-Proto must be http or https.")


def public_host() -> str:
    """Return the host that the request names, with its port unless it is the scheme's own."""
    # Of some hosts, such as those with an underscore, werkzeug says that there is none.
    return request.host or str(request.environ["HTTP_HOST"])


# Nearly all requests name the same few.
@lru_cache(maxsize=256)
def _is_host(text: str) -> bool:
    match = _HOST.fullmatch(text)
    if match is None:
        return False
    address, port = match.groups()
    try:
        if address is not None:
            IPv6Address(address)
    except ValueError:
        return False
    return int(port or 0) <= MAX_PORT
