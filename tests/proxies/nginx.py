"""nginx as docs/DEPLOYMENT.md has it, with TLS on a port that is not 443."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.proxies.clients import Admin, Certificate
from tests.proxies.documented import block, filled_in, program, running
from tests.support.servers import LiveServer, free_port

# What stands around a file of sites-enabled; nothing is written outside the test's folder.
FRAME = """\
daemon off;
# Nobody else may reach the test's folder; without root it says nothing.
user root;
pid {directory}/pid;
error_log {directory}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    {site}
}}
"""
AT_THE_ROOT = "    location / {\n        proxy_pass http://booking;\n    }\n"
AT_A_PATH = "At a path of its own, in place of `location /`:"


@contextmanager
def nginx(
    server: LiveServer, tls: Certificate, directory: Path, path: str = "", **changes: str
) -> Iterator[Admin]:
    """Run nginx before a server, at ``path``; yield a client of the API there.

    ``changes`` gives directives other values than the document's, ``""`` for nginx's default.
    """
    port = free_port()
    site = filled_in(
        block("nginx", after="### nginx"),
        {
            "listen 443 ssl;": f"listen 127.0.0.1:{port} ssl;",
            "server 127.0.0.1:3000;": f"server 127.0.0.1:{server.port};",
            "/etc/ssl/booking.pem": str(tls.certificate),
            "/etc/ssl/booking.key": str(tls.key),
            **({AT_THE_ROOT: block("nginx", after=AT_A_PATH)} if path else {}),
        },
    )
    for directive, value in changes.items():
        pattern = rf"^    {directive} [^;]*;"
        assert re.search(pattern, site, re.MULTILINE), directive
        other = f"    {directive} {value};" if value else ""
        site = re.sub(pattern, other, site, flags=re.MULTILINE)
    configuration = directory / "nginx.conf"
    configuration.write_text(FRAME.format(directory=directory, site=site))
    with running([program("nginx"), "-c", configuration], port, directory):
        yield Admin(f"https://127.0.0.1:{port}{path}", tls.certificate)
