"""How a script comes by its packages: it becomes the Python of the project's environment."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parent
ROOT = SCRIPTS.parent
NOT_RUN, INTERRUPTED = 2, 130


def run_main(script: str, module: str, needed: Sequence[str]) -> int:
    """Run ``main`` of a module with the command line and return its exit status.

    Where this interpreter lacks one of the needed packages, the project's virtual environment is
    made or brought up to date, and this process becomes its Python; 2 where that has them neither.
    """
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if missing:
        return _run_in_environment(Path(script).name, missing)
    # Nothing of the package's is to be found by a second name.
    sys.path = [entry for entry in sys.path if Path(entry).resolve() != SCRIPTS]
    status: int = import_module(module).main(sys.argv[1:])
    return status


def _run_in_environment(name: str, missing: Sequence[str]) -> int:
    """Become the environment's Python once it has what is missing; return only where it has not."""
    python = Path(os.environ.get("BOOKING_VENV") or ROOT / ".venv").absolute() / "bin" / "python"
    try:
        # Not by its exec: its exit status 1 would pass for a violation.
        done = subprocess.run([SCRIPTS / "with-venv", "--dev"], check=False)  # noqa: S603
    except KeyboardInterrupt:
        return INTERRUPTED
    except OSError as error:
        print(f"{name}: scripts/with-venv: {error.strerror}", file=sys.stderr)
        return NOT_RUN
    check = [str(python), "-c", f"import {', '.join(missing)}"]
    if done.returncode == 0 and subprocess.run(check, check=False).returncode == 0:  # noqa: S603
        os.execv(python, [str(python), str(SCRIPTS / name), *sys.argv[1:]])  # noqa: S606
    print(f"{name}: {', '.join(missing)} not installed: see requirements-dev.txt", file=sys.stderr)
    return NOT_RUN
