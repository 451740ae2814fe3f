#!/usr/bin/env python3
"""Hurts the real server and its PostgreSQL under load, and checks that what was promised holds.

It starts a server and a PostgreSQL of its own; `--help` lists the options. Exit code: 0 passed,
1 violated, 2 void, which is a run that cannot tell.
"""

import sys
from pathlib import Path

# The packages are found from the root, as the tests find them.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scripts.own_environment import run_main

NEEDED = ("orjson", "psutil", "psycopg2", "requests", "rich")

if __name__ == "__main__":
    sys.exit(run_main(__file__, "tests.faults.chaos.cli", NEEDED))
