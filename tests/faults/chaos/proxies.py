"""The two proxies of a run, between clients and server and between server and database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.faults.chaos.remote import Remote, in_process
from tests.support.proxy import TcpProxy


class ProxyService:
    """One proxy, in a process of its own: its threads take no time of the clients'."""

    idle_seconds: float | None = None

    def __init__(self, host: str, port: int) -> None:
        self._proxy = TcpProxy(host, port)
        self.cut = self._proxy.cut
        self.delay = self._proxy.delay
        self.lose_next_replies = self._proxy.lose_next_replies
        self.spare_replies = self._proxy.spare_replies

    def port(self) -> int:
        return self._proxy.port

    def seen(self) -> tuple[int, int]:
        return self._proxy.lost_replies, self._proxy.delayed_chunks

    def idle(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        self._proxy.close()


@dataclass(frozen=True)
class Seen:
    """What a proxy has done to whom it serves."""

    lost_replies: int
    delayed_chunks: int


class Proxy:
    """A proxy that runs elsewhere; as ``tests.support.proxy.TcpProxy``."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote
        self.port: int = remote.call("port")

    def cut(self) -> int:
        """Reset every connection; return how many there were."""
        count: int = self._remote.call("cut")
        return count

    def delay(self, seconds: float) -> None:
        """Hold all data so long on their way, both ways; 0: no longer."""
        self._remote.call("delay", seconds)

    def lose_next_replies(self) -> int:
        """Lose the next reply on each connection that is there; return how many these are."""
        count: int = self._remote.call("lose_next_replies")
        return count

    def spare_replies(self) -> None:
        """Lose no more of them."""
        self._remote.call("spare_replies")

    def seen(self) -> Seen:
        """Return what was lost and delayed so far."""
        return Seen(*self._remote.call("seen"))

    def heal(self) -> None:
        """Pass everything on."""
        self.delay(0)
        self.spare_replies()


@contextmanager
def proxy_to(port: int) -> Iterator[Proxy]:
    """Run a proxy to a port of loopback for the length of the block."""
    with in_process(ProxyService, "127.0.0.1", port) as remote:
        yield Proxy(remote)
