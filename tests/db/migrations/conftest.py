from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from booking.db.migrations import MIGRATIONS


@pytest.fixture
def empty(new_database: Callable[..., str]) -> str:
    return new_database(migrated=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the project's files, to be added to and changed."""
    copied = tmp_path / "migrations"
    shutil.copytree(MIGRATIONS, copied)
    return copied
