"""A pool opened before the fork: two processes on one socket would get each other's answers."""

from __future__ import annotations

import subprocess
import sys

from tests.conftest import ROOT


def test_each_process_has_connections_of_its_own(database_url: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.forked_pool", database_url],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    lines = sorted(line.split() for line in done.stdout.splitlines())
    assert [name for name, _, _ in lines] == ["child", "parent"]
    backends = [set(backends.split(",")) for _, backends, _ in lines]
    assert backends[0].isdisjoint(backends[1])
    assert [wrong for _, _, wrong in lines] == ["0", "0"]
