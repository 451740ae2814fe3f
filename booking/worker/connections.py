"""The worker: a light thread (greenlet) for each connection, all of them in one thread.

Booking waits: for a slot's line, for a row, for a commit. Real threads that wait cost little, but
when hundreds are woken they fight for the one interpreter, and half of the processor goes into
that (docs/decisions/0018). Here each switch is where the code waits, and nowhere else. The code is
the same: gevent puts its own locks, threads and sockets in the place of the standard library's.
"""

from __future__ import annotations

import errno
import logging
import resource
import time
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from typing import Any

import gevent
from gevent import monkey
from gevent.event import Event
from gevent.pool import Pool
from gevent.server import StreamServer
from gevent.socket import SOCK_STREAM
from gevent.socket import socket as GreenSocket  # noqa: N812
from gunicorn import util
from gunicorn.http.errors import ConfigurationProblem, NoMoreData, ParseException
from gunicorn.workers.ggevent import GeventWorker

from booking.db.green import make_green
from booking.overload.admission import add_refusal_headers
from booking.worker.arriving import Arrivals, IdleConnections, IdleTooLong
from booking.worker.collector import collect_seldom
from booking.worker.parsing import Parser
from booking.worker.plain import read_plain
from booking.worker.refusals import refuse_unparsed, whole_response
from booking.worker.sending import GatheredSends, send

# Twice as many as the connections of a worker, with those to the database and the log.
OPEN_FILES = 8192
HEARTBEAT_SECONDS = 1.0
MAX_ACCEPTS_A_TURN = 32
# A client that was told to keep its connection may be sending: it is answered, and told to close
# (RFC 9112, section 9.6).
LINGER_SECONDS = 2.0
# What the application left of a body is read and thrown away so long, or the connection ends with
# it; so many bytes are taken of any body.
DRAIN_SECONDS = 5.0
DRAIN_BYTES = 1024 * 1024
_CLIENT_LEFT = {errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN}

logger = logging.getLogger(__name__)


class BookingWorker(GeventWorker):  # type: ignore[misc] # gunicorn has no types
    """gunicorn's worker of greenlets, which ends without waiting for idle connections.

    Nothing is repeated of what is no HTTP but a fit request id: gunicorn by itself shows and logs
    the line that it could not read, which may hold a token.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._idle = IdleConnections()

    def patch(self) -> None:
        """Make what waits give way to others: the standard library, and the driver.

        Python's TLS is left as it is: nothing here speaks it, and modules that name it are loaded
        before the fork.
        """
        monkey.patch_all(ssl=False)
        self.sockets: list[Any] = [
            GreenSocket(each.FAMILY, SOCK_STREAM, fileno=each.sock.detach())
            for each in self.sockets
        ]
        make_green()

    def init_process(self) -> None:
        """Begin, in the process that serves."""
        _raise_file_limit()
        self._stopping = Event()
        super().init_process()

    def run(self) -> None:
        """Serve until told to end, then finish what was begun."""
        collect_seldom()
        connections = Pool(self.worker_connections)
        servers = [
            StreamServer(
                listener, handle=partial(self.handle, listener.getsockname()), spawn=connections
            )
            for listener in self.sockets
        ]
        for server in servers:
            # In one turn of the loop. With one, those who connect wait behind a crowd that is in;
            # with hundreds, the first worker that wakes takes a whole rush.
            server.max_accept = MAX_ACCEPTS_A_TURN
            server.start()
        while self.alive:
            self.notify()
            self._give_up_idle(seconds=self.cfg.keepalive)
            self._stopping.wait(HEARTBEAT_SECONDS)
        for server in servers:
            _accept_the_rest(server)
            server.close()
        self._finish(connections)

    def handle_exit(self, sig: int, frame: Any) -> None:
        """Stop accepting at once, and not at the next heartbeat."""
        super().handle_exit(sig, frame)
        gevent.get_hub().loop.run_callback_threadsafe(self._stopping.set)

    def _give_up_idle(self, *, seconds: float) -> None:
        since = time.monotonic() - seconds
        gevent.get_hub().loop.run_callback(self._idle.give_up, since)

    def _finish(self, connections: Pool) -> None:
        began = time.monotonic()
        while connections and time.monotonic() - began < self.cfg.graceful_timeout:
            self.notify()
            if time.monotonic() - began >= LINGER_SECONDS:
                self._give_up_idle(seconds=LINGER_SECONDS)
            connections.join(timeout=0.1)
        if connections:
            logger.warning("%d requests are cut off", len(connections))
            connections.kill(timeout=1)

    def handle(self, server_name: Any, client: Any, addr: Any) -> None:
        """Serve the requests of one connection, one after the other."""
        request, data = None, b""
        arrivals = Arrivals(client)
        # Whoever does not go on with a body, or takes nothing of an answer, is given up.
        client.settimeout(self.cfg.keepalive)
        try:
            parser = Parser(self.cfg, client, addr)
            parser.unreader = arrivals
            while True:
                request = None
                with self._idle:
                    data = arrivals.next_head()
                    refused = self._plain_to_turn_away(data)
                    if refused is None:
                        arrivals.unread(data)
                        request = next(parser)
                        arrivals.begin_body(DRAIN_BYTES)
                if refused is not None:
                    closes = not self.alive
                    send(client, self._refusal(refused, closes=closes))
                    if closes:
                        break
                else:
                    self._serve(server_name, request, client, addr)
                    if not self._drain(parser):
                        break
        except (NoMoreData, StopIteration, IdleTooLong):
            pass
        except OSError as error:
            if error.errno not in _CLIENT_LEFT and not isinstance(error, TimeoutError):
                logger.exception("a connection failed")
        except Exception as error:  # noqa: BLE001 (answered and logged there)
            self._answer_failure(error, request, data, client, addr)
        finally:
            arrivals.close()
            util.close_graceful(client)

    def _plain_to_turn_away(self, data: bytes) -> dict[str, str] | None:
        if not self.wsgi.extensions["admission"].is_full():
            return None
        plain = read_plain(data, max_fields=self.cfg.limit_request_fields)
        if plain is None:
            return None
        return self._to_turn_away(plain.method, plain.path, plain.query, plain.fields.items())

    def _to_turn_away(
        self, method: str, path: str, query: str, headers: Iterable[tuple[str, str]]
    ) -> dict[str, str] | None:
        """Return what the refusal of a request reads of it, None where it is let in always."""
        environ = {
            "REQUEST_METHOD": method,
            "PATH_INFO": util.unquote_to_wsgi_str(path),
            "QUERY_STRING": query,
            "wsgi.url_scheme": "http",
        }
        add_refusal_headers(environ, headers)
        return None if self.wsgi.extensions["admission"].is_exempt(environ) else environ

    def _serve(self, server_name: Any, request: Any, client: Any, addr: Any) -> None:
        """Serve, or turn away, a request that gunicorn has parsed. StopIteration ends the
        connection.
        """
        if _body_length(request) >= DRAIN_BYTES:
            # Answered, and told that the connection ends.
            request.force_close()
        refused = None
        if self.wsgi.extensions["admission"].is_full():
            refused = self._to_turn_away(
                request.method, request.path, request.query, request.headers
            )
        if refused is None:
            _join_keys(request)
            gathered = GatheredSends(client)
            try:
                self.handle_request(server_name, request, gathered, addr)
            finally:
                gathered.flush()
            return
        # Who waits to be asked for the body does not send it now.
        if not self.alive or any(name == "EXPECT" for name, _ in request.headers):
            request.force_close()
        closes = request.should_close()
        send(client, self._refusal(refused, closes=closes))
        if closes:
            raise StopIteration

    def _refusal(self, environ: dict[str, str], *, closes: bool) -> bytes:
        """Return the refusal of the application's admission: what a WSGI request costs would go off
        those that are served.
        """
        return whole_response(self.wsgi.extensions["admission"].refuse, environ, closes=closes)

    def _answer_failure(
        self, error: Exception, request: Any, data: bytes, client: Any, addr: Any
    ) -> None:
        is_configuration = isinstance(error, ConfigurationProblem)
        if request is None and isinstance(error, ParseException) and not is_configuration:
            with suppress(OSError):
                client.sendall(refuse_unparsed(error, data, self.wsgi.extensions["refusal"]))
        else:
            self.handle_error(request, client, addr, error)

    @staticmethod
    def _drain(parser: Any) -> bool:
        try:
            return bool(parser.finish_body(time.monotonic() + DRAIN_SECONDS, DRAIN_BYTES))
        except (ParseException, NoMoreData):
            # The request has had its one answer; where the next would begin nobody knows.
            return False


def _body_length(request: Any) -> int:
    # The parser has refused what is no number.
    return next((int(value) for name, value in request.headers if name == "CONTENT-LENGTH"), 0)


def _join_keys(request: Any) -> None:
    """Join the values of a repeated Idempotency-Key by a comma and a space (RFC 9110, section 5.3).
    gunicorn would leave out the space, by which two keys are told from one that has a comma.
    """
    name = "IDEMPOTENCY-KEY"
    keys = [header for header in request.headers if header[0] == name]
    if len(keys) > 1:
        others = [header for header in request.headers if header[0] != name]
        request.headers = [*others, (name, ", ".join(value for _, value in keys))]


def _accept_the_rest(server: StreamServer) -> None:
    """Take the connections that the kernel has made already: it resets those that are left."""
    server.stop_accepting()
    while (accepted := server.do_read()) is not None:
        server.do_handle(*accepted)


def _raise_file_limit() -> None:
    """Allow this process the files that its connections are, as far as the system does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
