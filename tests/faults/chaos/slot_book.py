"""The slots that clients choose from: a few that everybody wants, and many others."""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass


@dataclass
class _Known:
    capacity: int
    is_full: bool = False


class SlotBook:
    """Shared by the threads of a process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._hot: dict[str, _Known] = {}
        self._cold: dict[str, _Known] = {}

    def add(self, slot_id: str, capacity: int, *, hot: bool) -> None:
        """Offer a slot that was created."""
        with self._lock:
            (self._hot if hot else self._cold)[slot_id] = _Known(capacity)

    def set_capacity(self, slot_id: str, capacity: int) -> None:
        """Note a slot's capacity, by which it may have room again."""
        with self._lock:
            known = self._hot.get(slot_id) or self._cold.get(slot_id)
            if known:
                known.capacity, known.is_full = capacity, False

    def mark_full(self, slot_id: str) -> None:
        """Note that a slot refused a booking."""
        with self._lock:
            known = self._hot.get(slot_id) or self._cold.get(slot_id)
            if known:
                known.is_full = True

    def drop(self, slot_id: str) -> None:
        """Offer a cold slot no longer."""
        with self._lock:
            self._cold.pop(slot_id, None)

    def pick(self, rng: random.Random, *, hot: bool) -> str | None:
        """Return a slot to book, or None where there is none yet. Hot ones are asked for even full.

        Of the others mostly the few that came first, so that these fill.
        """
        with self._lock:
            if hot and self._hot:
                return rng.choice(list(self._hot))
            room = [slot_id for slot_id, known in self._cold.items() if not known.is_full]
            return room[int(len(room) * rng.random() ** 2)] if room else None

    def hot_slots(self) -> list[tuple[str, int, bool]]:
        """Return id, capacity, and whether it is full, of each hot slot."""
        with self._lock:
            return [(slot_id, k.capacity, k.is_full) for slot_id, k in self._hot.items()]

    def cold_slots(self) -> list[tuple[str, int, bool]]:
        """Return the same of each other slot that is still offered."""
        with self._lock:
            return [(slot_id, k.capacity, k.is_full) for slot_id, k in self._cold.items()]
