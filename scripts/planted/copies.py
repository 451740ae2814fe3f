"""Copies of the code to plant bugs in: none is ever planted where somebody works."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts.planted.patching import apply_patch

# What Git is told to ignore, and Git's own; the copy need not be a checkout.
_LEFT_OUT = shutil.ignore_patterns(
    ".git", ".env", ".venv*", ".local", "__pycache__", ".*_cache", ".hypothesis", "node_modules"
)


@contextmanager
def copy_of(root: Path, diff: str | None) -> Iterator[Path]:
    """Yield a copy of a tree with a diff applied, for the length of the block. Raises PatchFailed.

    The copy is readable by the user that an embedded PostgreSQL runs as.
    """
    with tempfile.TemporaryDirectory(prefix="planted-", ignore_cleanup_errors=True) as directory:
        copy = Path(directory) / "tree"
        shutil.copytree(root, copy, symlinks=True, ignore=_LEFT_OUT)
        if diff is not None:
            apply_patch(diff, copy)
        yield copy
