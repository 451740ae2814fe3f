"""Servers of these tests' own: they look at processes, and kill them, so they share no database."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from booking.embedded import embedded_postgres
from tests.embedded.processes import PATIENCE_SECONDS, StartUser, User, kill_all, processes_of


@pytest.fixture
def start_user() -> Iterator[StartUser]:
    """Return what starts users; those that a failed test leaves are ended."""
    users: list[User] = []

    def start(directory: Path, **options: Any) -> User:
        users.append(User(directory, **options))
        return users[-1]

    yield start
    for user in users:
        if user.process.returncode is None:
            user.process.send_signal(signal.SIGTERM)
            user.process.communicate(timeout=PATIENCE_SECONDS)


@pytest.fixture(scope="session")
def _made_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("made") / "postgres"
    with embedded_postgres(directory):
        pass
    return directory


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Path]:
    """Return where a server may be made. Whatever runs there after the test is a failure."""
    directory = tmp_path / "a folder" / "postgres"
    yield directory
    _end_all(directory)


@pytest.fixture
def directory(_made_once: Path, tmp_path: Path) -> Iterator[Path]:
    """Return the directory of a server that was made before and does not run."""
    copy = tmp_path / "postgres"
    shutil.copytree(_made_once, copy)
    yield copy
    _end_all(copy)


def _end_all(directory: Path) -> None:
    left = processes_of(directory)
    kill_all(left)
    assert not left, f"left running: {left}"
