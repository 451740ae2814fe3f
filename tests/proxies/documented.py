"""Proxies and poolers as docs/DEPLOYMENT.md has them, run for real."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import ROOT

DOCUMENT = ROOT / "docs" / "DEPLOYMENT.md"
START_SECONDS = 15
# As chosen by the sh of a machine without /usr/sbin in its path.
SYSTEM_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"


def program(name: str) -> str:
    """Return the path of a program; skip the test where it is missing and nobody requires it."""
    found = shutil.which(name, path=SYSTEM_PATH)
    if found:
        return found
    reason = f"{name} is not installed (Debian: {name})"
    if os.environ.get("REQUIRE_PROXIES"):
        pytest.fail(reason)
    pytest.skip(reason)


def block(language: str, *, after: str) -> str:
    """Return the first fenced block in a language behind a line of the document."""
    text = DOCUMENT.read_text(encoding="utf-8").split(f"\n{after}\n", 1)[1]
    found = re.search(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert found, f"no block of {language} behind {after!r}"
    return found[1]


def filled_in(text: str, changes: Mapping[str, str]) -> str:
    """Return a configuration with what differs on this machine; each change must find its place."""
    for documented, here in changes.items():
        assert documented in text, documented
        text = text.replace(documented, here)
    return text


@contextmanager
def running(command: Sequence[str | Path], port: int, directory: Path) -> Iterator[None]:
    """Run a program in the foreground for the length of the block, which begins when it listens."""
    with (
        (directory / "output").open("w+b") as output,
        subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT) as process,
    ):
        try:
            _wait_for_listener(port, process, directory)
            yield
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait_for_listener(port: int, process: subprocess.Popen[bytes], directory: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"it did not start:\n{(directory / 'output').read_text()}")
