"""Keeps pages in a browser from a server that asks nobody who they are (AUTH_MODE=open).

It listens on loopback alone, but a page of any site is shown by a browser that is there as well. By
the Host one is known that has a name of its own lead to loopback (DNS rebinding), and by
Sec-Fetch-Site one that sends a request across sites (W3C, "Fetch Metadata Request Headers",
section 2.3). A page can set neither.
"""

from __future__ import annotations

import re
from functools import lru_cache

from flask import Flask, request

from booking.config import AuthMode, Config, is_loopback
from booking.errors import Forbidden

_HOST = re.compile(r"(\[[^\[\]]*\]|[^:\[\]]+?)\.?(?::[0-9]*)?")


def init_app(app: Flask, config: Config) -> None:
    """Refuse such pages on every route, before anything else of a request is judged.

    A page of a listed origin may send across sites: to a browser localhost and 127.0.0.1 are two.
    """
    if config.auth.mode != AuthMode.OPEN:
        return

    @app.before_request
    def refuse_pages() -> None:
        # As it came: what a proxy says in X-Forwarded-Host a page could say as well.
        environ = request.environ
        host = environ.get("werkzeug.proxy_fix.orig", environ).get("HTTP_HOST")
        # HTTP/1.0 needs none, and no browser speaks it.
        if host is not None and not _names_loopback(host):
            raise Forbidden("With AUTH_MODE=open the Host must be localhost or its address.")
        is_cross_site = "cross-site" in environ.get("HTTP_SEC_FETCH_SITE", "").lower()
        if is_cross_site and environ.get("HTTP_ORIGIN") not in config.cors_origins:
            raise Forbidden(
                "With AUTH_MODE=open no page of another site may call, nor lead here by a link."
            )


# Nearly all requests name the same few.
@lru_cache(maxsize=256)
def _names_loopback(host: str) -> bool:
    match = _HOST.fullmatch(host.lower())
    return match is not None and is_loopback(match[1])
