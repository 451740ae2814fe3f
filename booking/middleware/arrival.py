"""Waits until a request's body is there before anything is done for it.

A body that dribbles in then occupies a connection, of which there are many, and no place among the
requests in flight, of which there are few.
"""

from __future__ import annotations

from collections.abc import Iterable
from io import BytesIO
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


class Arrival:
    """Reads bodies of up to ``max_bytes`` for a WSGI application. Longer ones stay where they are:
    the application refuses them unread.
    """

    def __init__(self, application: WSGIApplication, *, max_bytes: int) -> None:
        self._application = application
        self._max_bytes = max_bytes

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request once it is there."""
        if self._is_to_be_read(environ):
            environ["wsgi.input"] = self._read(environ["wsgi.input"])
        return self._application(environ, start_response)

    def _is_to_be_read(self, environ: WSGIEnvironment) -> bool:
        if environ.get("HTTP_TRANSFER_ENCODING"):
            return True
        length = environ.get("CONTENT_LENGTH") or "0"
        return length.isdecimal() and 0 < int(length) <= self._max_bytes

    def _read(self, stream: Any) -> Any:
        try:
            # One byte more, by which the application knows that there is more.
            return BytesIO(stream.read(self._max_bytes + 1))
        except Exception as error:  # noqa: BLE001 (raised where the body is asked for)
            return _Unreadable(error)


class _Unreadable:
    def __init__(self, error: Exception) -> None:
        self._error = error

    def read(self, *_arguments: Any) -> NoReturn:
        raise self._error

    readline = readlines = readinto = __iter__ = read
