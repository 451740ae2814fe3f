"""Time-ordered ids: rows that are made together lie together in every index of them."""

from __future__ import annotations

import secrets
import time
import uuid


def uuid7() -> str:
    """Return a new UUID of version 7 as lower-case text (RFC 9562, section 5.7).

    48 bits of Unix time in milliseconds, then 74 random bits.
    """
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds & ((1 << 48) - 1)) << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return str(uuid.UUID(int=value))
