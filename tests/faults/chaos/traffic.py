"""The clients of a run, in a process of their own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.faults.chaos.admin import Admin
from tests.faults.chaos.client import Client
from tests.faults.chaos.recorder import Recorder
from tests.faults.chaos.records import Answer, Outcome
from tests.faults.chaos.remote import Remote, in_process
from tests.faults.chaos.slot_book import SlotBook
from tests.faults.chaos.tally import Counts, Tally
from tests.faults.chaos.users import Users, seeded

# Longer than what the server may take: lock, pool and statement timeouts with their retries.
TIMEOUT_SECONDS = 8.0
SETTLE_PATIENCE_SECONDS = 20.0
SETTLE_THREADS = 8


@dataclass(frozen=True)
class TrafficOptions:
    """Whom the clients ask, how many they are, and how often they ask, in requests a second."""

    port: int
    clients: int
    rate: float
    seed: int
    history: Path


class TrafficService:
    """Runs the clients' threads."""

    idle_seconds: float | None = None

    def __init__(self, options: TrafficOptions) -> None:
        self._options = options
        self._recorder = Recorder(options.history)
        self._tally = Tally()
        self._slots = SlotBook()
        self._stop = threading.Event()
        self._never = threading.Event()
        self._threads: list[threading.Thread] = []
        self._failures: list[BaseException] = []

    def prepare(self) -> None:
        """Create the first slots, before anything fails."""
        client = self._client("admin0", self._never)
        Admin(client, self._slots).prepare()
        client.close()

    def start(self) -> None:
        """Let the users and the admin begin."""
        interval = self._options.clients / self._options.rate
        for number in range(self._options.clients):
            users = Users(self._client(f"c{number}", self._stop), self._slots, self._tally)
            self._spawn(lambda users=users: users.run(self._stop, interval))  # type: ignore[misc]
        admin = Admin(self._client("admin", self._stop), self._slots)
        self._spawn(lambda: admin.run(self._stop))

    def stop(self) -> None:
        """Let everybody finish what is under way. Raises what a client failed with."""
        self._stop.set()
        for thread in self._threads:
            thread.join()
        if self._failures:
            raise self._failures[0]

    def counts(self) -> Counts:
        """Return how much came to what. Raises what a client failed with."""
        if self._failures:
            raise self._failures[0]
        return self._tally.counts()

    def first_acknowledged_after(self, moment: float) -> float | None:
        """Return when the first booking sent after the moment was acknowledged, if one was."""
        return self._tally.first_acknowledged_after(moment)

    def hot_slots(self) -> list[str]:
        """Return the ids of the slots that everybody wants."""
        return [slot_id for slot_id, _, _ in self._slots.hot_slots()]

    def settle(self) -> int:
        """Ask again for each intent left open; return of how many the effect is still not known."""
        intents = self._tally.take_open()
        clients = [self._client(f"settle{n}", self._never) for n in range(SETTLE_THREADS)]

        def ask_share(number: int) -> int:
            client = clients[number]
            answers = [
                client.perform(intent, SETTLE_PATIENCE_SECONDS)[0]
                for intent in intents[number::SETTLE_THREADS]
            ]
            client.close()
            return sum(not _is_certain(answer) for answer in answers)

        with ThreadPoolExecutor(SETTLE_THREADS) as executor:
            return sum(executor.map(ask_share, range(SETTLE_THREADS)))

    def idle(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Stop; what is under way is cut short by the end of the process."""
        self._stop.set()

    def _client(self, name: str, stop: threading.Event) -> Client:
        options = self._options
        return Client(
            name,
            options.port,
            self._recorder,
            self._tally,
            seeded(options.seed, name),
            stop,
            timeout=TIMEOUT_SECONDS,
        )

    def _spawn(self, run: Callable[[], None]) -> None:
        def guarded() -> None:
            try:
                run()
            except BaseException as error:
                self._failures.append(error)
                raise

        thread = threading.Thread(target=guarded, daemon=True)
        self._threads.append(thread)
        thread.start()


class Traffic:
    """The parent's side of the clients."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote

    def prepare(self) -> None:
        """Create the first slots."""
        self._remote.call("prepare")

    def start(self) -> None:
        """Let the clients begin."""
        self._remote.call("start")

    def stop(self) -> None:
        """Let the clients end, each after what is under way."""
        self._remote.call("stop")

    def counts(self) -> Counts:
        """Return how much came to what."""
        counts: Counts = self._remote.call("counts")
        return counts

    def first_acknowledged_after(self, moment: float) -> float | None:
        """Return when the first booking sent after the moment was acknowledged, if one was."""
        found: float | None = self._remote.call("first_acknowledged_after", moment)
        return found

    def hot_slots(self) -> list[str]:
        """Return the ids of the slots that everybody wants."""
        slot_ids: list[str] = self._remote.call("hot_slots")
        return slot_ids

    def settle(self) -> int:
        """Ask again for what is open; return of how many intents the effect stays unknown."""
        left: int = self._remote.call("settle")
        return left


@contextmanager
def traffic(options: TrafficOptions) -> Iterator[Traffic]:
    """Have a process of clients for the length of the block; they do not begin by themselves."""
    with in_process(TrafficService, options) as remote:
        yield Traffic(remote)


def _is_certain(answer: Answer) -> bool:
    return answer.outcome in {Outcome.ACKNOWLEDGED, Outcome.REFUSED}
