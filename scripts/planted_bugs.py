#!/usr/bin/env python3
"""Plants known bugs in copies of the code, one at a time, and sees whether each is caught.

`--help` lists the options. The bugs are patches in tests/planted; docs/RELIABILITY.md lists them.
"""

import sys
from pathlib import Path

# The packages are found from the root, as the tests find them.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scripts.own_environment import run_main

NEEDED = ("orjson", "psutil", "psycopg2", "pytest", "requests", "rich", "xdist")

if __name__ == "__main__":
    sys.exit(run_main(__file__, "scripts.planted.cli", NEEDED))
