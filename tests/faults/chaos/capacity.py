"""What a slot's capacity can have been at each moment, by what admins asked for and were told."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Sequence

from tests.faults.chaos.history import Call
from tests.faults.chaos.steps import Change

Bound = Callable[[Sequence[int]], int]


def capacity_changes(writes: Sequence[Call], pick: Bound) -> list[Change]:
    """Return the changes of the capacity's bound: ``max`` or ``min`` of what is possible.

    ``writes`` are the slot's creation and the changes of its capacity that may have taken effect. A
    write is possible from its sending until another, sent after it was done, was done itself. The
    first one's capacity counts from the beginning of time.
    """
    moves: list[tuple[float, int, int]] = []
    for number, (write, end) in enumerate(zip(writes, _overwritten_at(writes), strict=True)):
        capacity = int(write.request.total_capacity or 0)
        moves.append((-math.inf if number == 0 else write.sent, 0, capacity))
        if end < math.inf:
            moves.append((end, 1, capacity))
    possible: list[int] = []
    changes: list[Change] = []
    bound = 0
    for moment, is_over, capacity in sorted(moves):
        if is_over:
            del possible[bisect_left(possible, capacity)]
        else:
            insort(possible, capacity)
        changes.append((moment, pick(possible) - bound))
        bound = pick(possible)
    return changes


def _overwritten_at(writes: Sequence[Call]) -> list[float]:
    by_sent = sorted(writes, key=lambda write: write.sent)
    sent = [write.sent for write in by_sent]
    done_first = [math.inf] * (len(by_sent) + 1)
    for place in range(len(by_sent) - 1, -1, -1):
        done_first[place] = min(done_first[place + 1], by_sent[place].done_by)
    return [done_first[bisect_right(sent, write.done_by)] for write in writes]
