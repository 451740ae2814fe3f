"""A lock between processes on a file, by ``flock``: the kernel drops it however its holder ends."""

from __future__ import annotations

import fcntl
import os
import time

SHARED = fcntl.LOCK_SH
EXCLUSIVE = fcntl.LOCK_EX

_POLL_SECONDS = 0.02


class FileLock:
    """One holder's hold on a lock file. The descriptor is closed, and with it the lock, by close.

    It takes ownership of the descriptor. Copies of the descriptor in other processes share the
    hold: it ends when the last one is closed.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def try_acquire(self, mode: int) -> bool:
        """Take the lock if it is free for this mode, without waiting.

        A hold in another mode is lost on failure: flock(2) does not convert it in one step.
        """
        try:
            fcntl.flock(self.descriptor, mode | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def acquire(self, mode: int, deadline: float) -> bool:
        """Take the lock by ``deadline`` (of ``time.monotonic``); say whether it was had.

        It polls, since a blocking flock has no time limit.
        """
        while not self.try_acquire(mode):
            if time.monotonic() >= deadline:
                return False
            time.sleep(_POLL_SECONDS)
        return True

    def release(self) -> None:
        """Give the lock up; it can be taken again."""
        fcntl.flock(self.descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close this process's descriptor of the lock."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1
