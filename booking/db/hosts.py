"""The hosts that a connection string names, tried one by one.

libpq goes on to the next host, or the next address of a name, by connect_timeout only where it
waits by itself. Under a wait callback (``db/green.py``) one limit would hold for all of them, and a
first one that is frozen would keep the others from being asked.
"""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Mapping, Sequence
from typing import Any

import psycopg2
from psycopg2.extensions import connection, parse_dsn

# Where libpq looks for what the string does not say (PostgreSQL, chapter "libpq", "Environment
# Variables").
_VARIABLES = {
    "host": "PGHOST",
    "hostaddr": "PGHOSTADDR",
    "port": "PGPORT",
    "service": "PGSERVICE",
    "target_session_attrs": "PGTARGETSESSIONATTRS",
}

# The parameters that lead to one host: of host, hostaddr and port those that are known.
Host = Mapping[str, str]


class Hosts:
    """Where a connection string leads. Whoever let one in last is tried first.

    With several hosts and no ``target_session_attrs`` one that takes writes is looked for: of a
    standby that answers first every booking would be refused.
    """

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._hosts = list_hosts(dsn)
        self._last: Host | None = None
        self._last_address: Host | None = None
        # Not by giving libpq this parameter: it would believe what a pooler reports.
        is_asked_for = _look_up("target_session_attrs", parse_dsn(dsn))
        self._looks_for_writes = len(self._hosts) > 1 and not is_asked_for

    def connect(self, **parameters: Any) -> Any:
        """Connect to the first that lets one in, each being given the time of ``connect_timeout``;
        in autocommit.

        Raises psycopg2.OperationalError, which says what each of them said.
        """
        failures = []
        for host in sorted(self._hosts, key=lambda each: each is not self._last):
            try:
                addresses = _resolve(host)
            except (OSError, UnicodeError) as error:
                failures.append(f"the name {host['host']} leads nowhere: {error}")
                continue
            for address in sorted(addresses, key=lambda each: each != self._last_address):
                try:
                    conn = self._connect_to(address, parameters)
                except psycopg2.OperationalError as error:
                    failures.append(_tell(error, address))
                else:
                    self._last, self._last_address = host, address
                    return conn
        raise psycopg2.OperationalError("; ".join(failures))

    def _connect_to(self, address: Host, parameters: Mapping[str, Any]) -> connection:
        conn: connection = psycopg2.connect(self._dsn, **{**parameters, **address})
        conn.autocommit = True
        if self._looks_for_writes and not takes_writes(conn):
            conn.close()
            raise psycopg2.OperationalError("the server takes no writes")
        return conn


def takes_writes(conn: connection) -> bool:
    """Ask a server whether a transaction on it may write: no standby, and not read-only."""
    with conn.cursor() as cursor:
        cursor.execute("SHOW transaction_read_only")
        return cursor.fetchone() == ("off",)


def list_hosts(dsn: str) -> Sequence[Host]:
    """Return the hosts that a connection string and the environment name, in their order.

    Where their numbers of hosts and ports do not go together, or a service file may name them, that
    is left to libpq: one host without parameters.
    """
    said = parse_dsn(dsn)
    if _look_up("service", said) and not (said.get("host") or said.get("hostaddr")):
        return [{}]
    texts = {name: _look_up(name, said) for name in ("hostaddr", "host", "port")}
    columns = {name: text.split(",") for name, text in texts.items() if text}
    number = len(next(iter(columns.values()), ""))
    if len(columns.get("port", ())) == 1:
        columns["port"] *= number
    if any(len(column) != number for column in columns.values()):
        return [{}]
    return [
        {name: column[index] for name, column in columns.items()} for index in range(number)
    ] or [{}]


def _look_up(name: str, said: Mapping[str, str]) -> str:
    return said[name] if name in said else os.environ.get(_VARIABLES[name], "")


def _resolve(host: Host) -> Sequence[Host]:
    """Return each address of a host. Other greenlets run meanwhile, as they do not where libpq
    looks a name up. Raises OSError or UnicodeError for a name that has none.
    """
    name = host.get("host", "")
    if host.get("hostaddr") or _needs_no_address(name):
        return [host]
    found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    return [{**host, "hostaddr": str(address[0])} for *_, address in found]


def _needs_no_address(name: str) -> bool:
    """Tell an address, or a directory of sockets, from a name."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return not name or name.startswith(("/", "@"))
    return True


def _tell(error: psycopg2.OperationalError, address: Host) -> str:
    text = str(error).strip()
    where = " ".join(address.values())
    # libpq begins with the server's address wherever it came so far.
    return text if text.startswith("connection to server") else f"{where}: {text}".lstrip(": ")
