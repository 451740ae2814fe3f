"""HAProxy as docs/DEPLOYMENT.md has it, with TLS on a port that is not 443."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.proxies.clients import Admin, Certificate
from tests.proxies.documented import block, filled_in, program, running
from tests.support.servers import LiveServer, free_port

LAST_HEADER = "    http-request del-header X-Forwarded-Prefix\n"


@contextmanager
def haproxy(
    server: LiveServer, tls: Certificate, directory: Path, path: str = ""
) -> Iterator[Admin]:
    """Run HAProxy before a server, at ``path``; yield a client of the API there."""
    port = free_port()
    at_a_path = block("haproxy", after="At a path of its own, after the `del-header` lines:")
    text = filled_in(
        block("haproxy", after="### HAProxy"),
        {
            "bind :443 ssl": f"bind 127.0.0.1:{port} ssl",
            "/etc/haproxy/booking.pem": str(tls.both),
            "127.0.0.1:3000": f"127.0.0.1:{server.port}",
            **({LAST_HEADER: LAST_HEADER + at_a_path} if path else {}),
        },
    )
    configuration = directory / "haproxy.cfg"
    configuration.write_text(text)
    with running([program("haproxy"), "-db", "-f", configuration], port, directory):
        yield Admin(f"https://127.0.0.1:{port}{path}", tls.certificate)
