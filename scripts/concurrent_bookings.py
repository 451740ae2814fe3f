#!/usr/bin/env python3
"""Races threads for the seats of a slot over HTTP, and proves that none is sold twice.

It knows the server by its API alone, so it runs against any base URL; `--help` lists the options.
"""

import sys
from pathlib import Path

# The package is found from the root, as the tests find it.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scripts.own_environment import run_main

NEEDED = ("requests", "rich", "psycopg2")

if __name__ == "__main__":
    sys.exit(run_main(__file__, "scripts.racing.cli", NEEDED))
