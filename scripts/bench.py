#!/usr/bin/env python3
"""Measures the server under load, on a PostgreSQL of its own; `--help` lists the options.

What is measured and how it is judged is told in docs/PERFORMANCE.md, which it writes.
"""

import sys
from pathlib import Path

# The package is found from the root, as the tests find it.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scripts.own_environment import run_main

NEEDED = ("requests", "rich", "psutil", "drawsvg", "psycopg2", "flask", "gunicorn")

if __name__ == "__main__":
    sys.exit(run_main(__file__, "scripts.benchmark.cli", NEEDED))
