"""A quantity that changes in steps over time, and how high it was between two moments."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate

Change = tuple[float, int]

# Up to here a slice is faster than the tree.
_SHORT = 64


class Steps:
    """The sum of changes so far. At one moment what raises it comes before what lowers it."""

    def __init__(self, changes: Iterable[Change]) -> None:
        ordered = sorted(changes, key=lambda change: (change[0], -change[1]))
        self.times = [-math.inf, *(time for time, _ in ordered)]
        self.values = list(accumulate((delta for _, delta in ordered), initial=0))
        self._tree: list[int] | None = None

    def highest(self, start: float, end: float) -> int:
        """Return the highest value between two moments, what it was just before included."""
        first = max(bisect_left(self.times, start) - 1, 0)
        last = bisect_right(self.times, end)
        if last - first <= _SHORT:
            return max(self.values[first:last])
        if self._tree is None:
            self._tree = _maximum_tree(self.values)
        return _maximum(self._tree, first, last)


def _maximum_tree(values: Sequence[int]) -> list[int]:
    size = len(values)
    tree = [0] * size + list(values)
    for node in range(size - 1, 0, -1):
        tree[node] = max(tree[2 * node], tree[2 * node + 1])
    return tree


def _maximum(tree: Sequence[int], first: int, last: int) -> int:
    """Return the greatest of the values from ``first`` to before ``last``."""
    size = len(tree) // 2
    left, right = first + size, last + size
    found = tree[left]
    while left < right:
        if left % 2:
            found = max(found, tree[left])
            left += 1
        if right % 2:
            right -= 1
            found = max(found, tree[right])
        left //= 2
        right //= 2
    return found
