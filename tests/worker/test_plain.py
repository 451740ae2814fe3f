"""What is read without the parser is read as the parser reads it, or left to it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from gunicorn.config import Config
from gunicorn.http.errors import ParseException
from hypothesis import given, settings
from hypothesis import strategies as st

from booking.worker.parsing import Parser
from booking.worker.plain import read_plain

MAX_FIELDS = 100
HOST = "Host: example.com"


def request(
    line: str = "POST /api/bookings HTTP/1.1", fields: Sequence[str] = (HOST,), body: str = ""
) -> bytes:
    return "\r\n".join([line, *fields, "", body]).encode("latin-1")


def test_plain_request_is_read() -> None:
    data = request(
        "POST /api/b%C3%BCcher?x=/?1 HTTP/1.1",
        [HOST, "X-Request-ID:  mine\t", "Content-Length: 2"],
        "{}",
    )
    read = read_plain(data, max_fields=MAX_FIELDS)
    assert read is not None
    assert (read.method, read.path, read.query) == ("POST", "/api/b%C3%BCcher", "x=/?1")
    assert read.fields == {"host": "example.com", "x-request-id": "mine", "content-length": "2"}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        request()[:-2],
        request(body="x"),
        request() * 2,
        request(fields=[HOST, "Content-Length: 3"], body="{}"),
        request(fields=[HOST, "Content-Length: 1"], body="{}"),
        request(fields=[HOST, "Content-Length: +2"], body="{}"),
        request(fields=[HOST, f"Content-Length: {'0' * 5000}2"], body="{}"),
        request(fields=[HOST, "Content-Length: 2", "Content-Length: 2"], body="{}"),
        request(fields=[HOST, "Content_Length: 2"], body="{}"),
        request(fields=[HOST, "Transfer-Encoding: chunked"], body="0\r\n\r\n"),
        request(fields=[HOST, "Transfer-Encoding: identity", "Content-Length: 2"], body="{}"),
        request(fields=[HOST, "Connection: close"]),
        request(fields=[HOST, "expect: 100-continue"]),
        request(fields=[HOST, HOST]),
        request(fields=[HOST, "X: 1", " folded"]),
        request(fields=[HOST, "X : 1"]),
        request(fields=[HOST, "X: \x00"]),
        request(fields=[HOST, "X: caf\xe9"]),
        request(fields=[HOST, *(f"X-{number}: 1" for number in range(MAX_FIELDS))]),
        request().replace(b"\r\n", b"\n"),
        request("POST //example.com/x HTTP/1.1"),
        request("POST /x#y HTTP/1.1"),
        request("POST http://example.com/x HTTP/1.1"),
        request("POST /x HTTP/1.0"),
        request("POST  /x HTTP/1.1"),
        request("post /x HTTP/1.1"),
        request("CONNECT example.com:1 HTTP/1.1"),
        request("OPTIONS * HTTP/1.1"),
    ],
)
def test_what_is_not_plain_is_left_to_the_parser(data: bytes) -> None:
    assert read_plain(data, max_fields=MAX_FIELDS) is None


NAMES = ("Host", "X-Request-ID", "Origin", "Content-Length", "Content-Type", "Connection", "Expect")
ODD = st.sampled_from(
    ["", " ", "\t", "\r", "\n", "\r\n", ":", "/", "//", "?", "#", "_", "\xe9", "0"]
)


@st.composite
def nearly_plain(draw: st.DrawFn) -> bytes:
    """Draw a request, with something odd put in somewhere or not."""
    body = draw(st.sampled_from(["", "{}", "\r\n\r\n"]))
    fields = [
        f"{name}: {draw(st.sampled_from(['1', 'a b', '']))}"
        for name in draw(st.lists(st.sampled_from(NAMES), max_size=4))
    ]
    method = draw(st.sampled_from(["GET", "POST", "PATCH", "HEAD", "TRACE"]))
    path = "/" + draw(st.text("ab/%2F;:@[?=&#~", max_size=8))
    whole = request(
        f"{method} {path} HTTP/1.1", [*fields, f"Content-Length: {len(body)}"], body
    ).decode("latin-1")
    at = draw(st.integers(0, len(whole)))
    return (whole[:at] + draw(ODD) + whole[at:]).encode("latin-1")


@settings(max_examples=500, deadline=None)
@given(nearly_plain())
def test_parser_reads_the_same(data: bytes) -> None:
    read = read_plain(data, max_fields=MAX_FIELDS)
    if read is None:
        return
    try:
        parsed = next(Parser(Config(), [data], ("127.0.0.1", 1)))
    except ParseException as error:
        pytest.fail(f"the parser refuses it: {error!r}")
    assert (read.method, read.path, read.query) == (parsed.method, parsed.path, parsed.query)
    assert list(read.fields.items()) == [(name.lower(), value) for name, value in parsed.headers]
    length = int(read.fields.get("content-length", "0"))
    assert parsed.body.read() == data[len(data) - length :]
    assert not parsed.should_close()
