"""gunicorn's parser, with a bound to bodies in chunks."""

from __future__ import annotations

from typing import Any

from gunicorn.http.body import Body, ChunkedReader
from gunicorn.http.errors import LimitRequestHeaders
from gunicorn.http.message import Request
from gunicorn.http.parser import RequestParser

from booking.controllers.parsing import MAX_BODY_BYTES

MAX_TRAILER_BYTES = 8190


class ParsedRequest(Request):  # type: ignore[misc] # gunicorn has no types
    """A request whose body, where it comes in chunks, has an end."""

    body: Any

    def set_body_reader(self) -> None:
        """Find out, from the head, how the body ends."""
        super().set_body_reader()
        if isinstance(self.body.reader, ChunkedReader):
            self.body = Body(BoundedChunks(self, self.unreader))


class BoundedChunks(ChunkedReader):  # type: ignore[misc] # gunicorn has no types
    """Reads a body in chunks. One over the limit, or that cannot be read, ends its connection."""

    def __init__(self, request: ParsedRequest, unreader: Any) -> None:
        super().__init__(request, unreader)
        self.limit_trailer_section = MAX_TRAILER_BYTES
        self._taken = 0

    def read(self, size: int) -> bytes:
        """Return up to ``size`` bytes. Raises gunicorn's ParseException and NoMoreData."""
        if self._taken > MAX_BODY_BYTES:
            raise LimitRequestHeaders("more chunks than are read of a body")
        try:
            data: bytes = super().read(size)
        except Exception:
            self.req.force_close()
            raise
        self._taken += len(data)
        if self._taken > MAX_BODY_BYTES:
            # Its end is not looked for.
            self.req.force_close()
        return data


class Parser(RequestParser):  # type: ignore[misc] # gunicorn has no types
    """Parses the requests of one connection, one after the other."""

    mesg_class = ParsedRequest
