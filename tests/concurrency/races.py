"""How racers are brought to one row at one moment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from tests.support.sessions import LOCK_SLOT, holding
from tests.support.threads import background, results

T = TypeVar("T")


def queue_for_slot(url: str, slot_id: str, works: Sequence[Callable[[], T]]) -> list[T]:
    """Let each work come to wait for the slot's lock, then let them all go.

    Each must lock the slot and hold a connection while it waits: all of them have then read the
    slot as it was before the first of them changed it.
    """
    with background(len(works)) as start, holding(url, LOCK_SLOT, slot_id) as holder:
        futures = [start(work) for work in works]
        holder.wait_for_waiters(len(works))
        holder.rollback()
        return results(futures)
