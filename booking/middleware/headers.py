"""Response headers that every answer bears, set on all of them in one go."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}
# Two years, as browsers ask of those who mean it (RFC 6797, section 6.1).
STRICT_TRANSPORT = {"Strict-Transport-Security": "max-age=63072000"}
_OVER_TLS = SECURITY_HEADERS | STRICT_TRANSPORT


def security_headers(environ: WSGIEnvironment) -> Mapping[str, str]:
    """Return the headers of the answer to a request; behind TLS browsers are told to keep to it."""
    return _OVER_TLS if environ["wsgi.url_scheme"] == "https" else SECURITY_HEADERS


class SecurityHeaders:
    """Puts the headers on every response of a WSGI application that does not set its own."""

    def __init__(self, application: WSGIApplication) -> None:
        self._application = application

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request."""
        wanted = security_headers(environ)

        def start_hardened(status: str, headers: list[tuple[str, str]], *error: Any) -> Any:
            own = {name.lower() for name, _ in headers}
            headers += [each for each in wanted.items() if each[0].lower() not in own]
            return start_response(status, headers, *error)

        return self._application(environ, start_hardened)
