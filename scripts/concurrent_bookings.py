#!/usr/bin/env python3
"""Races threads for the seats of a slot over HTTP, and proves that none is sold twice.

It knows the server by its API alone, so it runs against any base URL; `--help` lists the options.
"""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parent
ROOT = SCRIPTS.parent
NEEDED = ("requests", "rich", "psycopg2")
NOT_RUN, INTERRUPTED = 2, 130


def run() -> int:
    """Run the test, in the project's virtual environment where this interpreter lacks packages."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        return run_in_environment(missing)
    # The package is found from the root, as the tests find it.
    sys.path = [str(ROOT), *(entry for entry in sys.path if Path(entry).resolve() != SCRIPTS)]
    from scripts.racing.cli import main  # noqa: PLC0415

    return main(sys.argv[1:])


def run_in_environment(missing: list[str]) -> int:
    """Become the environment's Python once it has what is missing; return only where it has not."""
    python = Path(os.environ.get("BOOKING_VENV") or ROOT / ".venv").absolute() / "bin" / "python"
    try:
        # Not by its exec: its exit status 1 would pass for a violation.
        done = subprocess.run([SCRIPTS / "with-venv", "--dev"], check=False)  # noqa: S603
    except KeyboardInterrupt:
        return INTERRUPTED
    except OSError as error:
        print(f"concurrent_bookings.py: scripts/with-venv: {error.strerror}", file=sys.stderr)
        return NOT_RUN
    check = [str(python), "-c", f"import {', '.join(missing)}"]
    if done.returncode == 0 and subprocess.run(check, check=False).returncode == 0:  # noqa: S603
        script = str(SCRIPTS / "concurrent_bookings.py")
        os.execv(python, [str(python), script, *sys.argv[1:]])  # noqa: S606
    print(
        f"concurrent_bookings.py: {', '.join(missing)} not installed: see requirements-dev.txt",
        file=sys.stderr,
    )
    return NOT_RUN


if __name__ == "__main__":
    sys.exit(run())
