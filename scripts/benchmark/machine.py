"""What the figures were measured on; no names and no paths."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from importlib.metadata import version
from pathlib import Path

import psutil

from booking.config import DATABASE_VARIABLES, PROJECT_ROOT, Config
from scripts.benchmark.wrk import find_wrk


def describe_machine(postgres_version: str, *, workers: int | None = None) -> str:
    """Return one sentence on the machine and one on the programs; workers None are the default."""
    config = Config.from_environment()
    memory = psutil.virtual_memory().total / 2**30
    return (
        f"{os.cpu_count()} cores ({_cpu_model()}), {memory:.0f} GiB of memory, "
        f"{platform.system()} {platform.release()}. PostgreSQL {postgres_version} with fsync on, "
        f"{platform.python_implementation()} {platform.python_version()}, "
        f"gunicorn {version('gunicorn')} with "
        f"{_count(workers or config.web_concurrency, 'worker')}, "
        f"{_count(config.web_threads, 'request')} in flight in each at most, "
        f"wrk {_wrk_version()}."
    )


def changed_settings() -> str | None:
    """Return a sentence on the server's settings that the environment or .env sets, None if none.

    Whoever compares figures must know of them.
    """
    Config.from_environment()
    example = (PROJECT_ROOT / ".env.example").read_text("utf-8")
    names = set(re.findall(r"^#? ?([A-Z][A-Z_]+)=", example, re.MULTILINE))
    names -= {*DATABASE_VARIABLES, "PORT"}
    found = [
        name if "JWT" in name else f"{name}={os.environ[name]}"
        for name in sorted(names)
        if os.environ.get(name)
    ]
    return (
        f"Settings of the server's that were not left alone: {', '.join(found)}." if found else None
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _wrk_version() -> str:
    # wrk -v prints its version and ends with 1.
    done = subprocess.run(  # noqa: S603 - wrk
        [find_wrk(), "-v"], capture_output=True, text=True, check=False
    )
    words = done.stdout.split()
    return words[1].rpartition("/")[2] if len(words) > 1 else "of unknown version"
