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
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import gevent
from gevent import monkey
from gevent.event import Event
from gevent.pool import Pool
from gevent.server import StreamServer
from gevent.socket import SOCK_STREAM
from gevent.socket import socket as GreenSocket  # noqa: N812
from greenlet import greenlet
from gunicorn import util
from gunicorn.http import get_parser
from gunicorn.http.errors import ConfigurationProblem, NoMoreData, ParseException
from gunicorn.workers.ggevent import GeventWorker

from booking.db.green import make_green
from booking.worker.refusals import problem_of_unparsed, refusal, whole_response

# Twice as many as the connections of a worker, with those to the database and the log.
OPEN_FILES = 8192
HEARTBEAT_SECONDS = 1.0
MAX_ACCEPTS_A_TURN = 32
# A client that was told to keep its connection may be sending: it is answered, and told to close
# (RFC 9112, section 9.6).
LINGER_SECONDS = 2.0
# What the application left of a body is read and thrown away so long and so far, or the connection
# ends with it.
DRAIN_SECONDS = 5.0
DRAIN_BYTES = 1024 * 1024
_CLIENT_LEFT = {errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN}

logger = logging.getLogger(__name__)


class BookingWorker(GeventWorker):  # type: ignore[misc] # gunicorn has no types
    """gunicorn's worker of greenlets, which ends without waiting for idle connections.

    Nothing is repeated of what is no HTTP: gunicorn by itself shows and logs the line that it could
    not read, which may hold a token.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._idle: set[greenlet] = set()

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
            self._stopping.wait(HEARTBEAT_SECONDS)
        for server in servers:
            _accept_the_rest(server)
            server.close()
        self._finish(connections)

    def handle_exit(self, sig: int, frame: Any) -> None:
        """Stop accepting at once, and not at the next heartbeat."""
        super().handle_exit(sig, frame)
        gevent.get_hub().loop.run_callback_threadsafe(self._stopping.set)

    def _finish(self, connections: Pool) -> None:
        began = time.monotonic()
        while connections and time.monotonic() - began < self.cfg.graceful_timeout:
            self.notify()
            if time.monotonic() - began >= LINGER_SECONDS:
                gevent.killall(list(self._idle), block=False)
            connections.join(timeout=0.1)
        if connections:
            logger.warning("%d requests are cut off", len(connections))
            connections.kill(timeout=1)

    def handle(self, server_name: Any, client: Any, addr: Any) -> None:
        """Serve the requests of one connection, one after the other."""
        request = None
        try:
            parser = get_parser(self.cfg, client, addr)
            while self._drain(parser):
                with self._waiting():
                    request = None
                    request = next(parser)
                if request is None:
                    break
                if _body_length(request) >= DRAIN_BYTES:
                    # Answered, and told that the connection ends.
                    request.force_close()
                if self._is_turned_away(request):
                    client.sendall(self._turning_away(request))
                    if request.should_close():
                        break
                else:
                    self.handle_request(server_name, request, client, addr)
                # Others get their turn, whatever this one has sent ahead.
                gevent.sleep(0)
        except (NoMoreData, StopIteration):
            pass
        except OSError as error:
            if error.errno not in _CLIENT_LEFT:
                logger.exception("a connection failed")
        except Exception as error:  # noqa: BLE001 (answered and logged there)
            self.handle_error(request, client, addr, error)
        finally:
            util.close_graceful(client)

    def _is_turned_away(self, request: Any) -> bool:
        admission = self.wsgi.extensions["admission"]
        return bool(admission.is_full_for(util.unquote_to_wsgi_str(request.path)))

    def _turning_away(self, request: Any) -> bytes:
        """Return the refusal of the application's admission: what a WSGI request costs would go off
        those that are served.
        """
        # Who waits to be asked for the body does not send it now.
        if not self.alive or any(name == "EXPECT" for name, _ in request.headers):
            request.force_close()
        environ = {
            "REQUEST_METHOD": request.method,
            "PATH_INFO": util.unquote_to_wsgi_str(request.path),
            **{f"HTTP_{name.replace('-', '_')}": value for name, value in request.headers},
        }
        return whole_response(
            self.wsgi.extensions["admission"].refuse, environ, closes=request.should_close()
        )

    @contextmanager
    def _waiting(self) -> Iterator[None]:
        this = gevent.getcurrent()
        self._idle.add(this)
        try:
            with gevent.Timeout(self.cfg.keepalive, False):  # type: ignore[arg-type] # as documented
                yield
        finally:
            self._idle.discard(this)

    @staticmethod
    def _drain(parser: Any) -> bool:
        try:
            return bool(parser.finish_body(time.monotonic() + DRAIN_SECONDS, DRAIN_BYTES))
        except (ParseException, NoMoreData):
            # The request has had its one answer; where the next would begin nobody knows.
            return False

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        """Answer on the socket ``client``; what is no refusal of the parser is left to gunicorn."""
        if not isinstance(exc, ParseException) or isinstance(exc, ConfigurationProblem):
            super().handle_error(req, client, addr, exc)
            return
        problem = problem_of_unparsed(exc)
        logger.warning("refused before the application: %s %s", problem.code, type(exc).__name__)
        with suppress(OSError):
            client.sendall(refusal(problem))


def _body_length(request: Any) -> int:
    # The parser has refused what is no number.
    return next((int(value) for name, value in request.headers if name == "CONTENT-LENGTH"), 0)


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
