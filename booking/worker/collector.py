"""How often a worker looks for garbage in cycles."""

from __future__ import annotations

import gc

# Of containers, made and not freed since the last look at the young ones.
YOUNG_CONTAINERS = 10_000


def collect_seldom() -> None:
    """Leave what is loaded by now out of all collections, and look at the young containers when
    there are ``YOUNG_CONTAINERS`` more (Python, "gc", freeze() and set_threshold()).

    Hundreds of requests in flight are no garbage, but each collection walks all that they are made
    of: under load it took a tenth of the worker's processor.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_CONTAINERS, *gc.get_threshold()[1:])
