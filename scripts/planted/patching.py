"""Applies unified diffs (POSIX, "diff", "Diff -u Output Format") without a tool.

Stricter than ``patch``: the lines of a hunk must be there to the letter and once only, wherever
they stand. So a patch goes on to apply when lines come and go around it, and never in a place that
only resembles the one that was meant.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_HUNK = re.compile(r"@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@")


class PatchFailed(Exception):
    """A diff does not apply; the message says which file and line of the diff."""


@dataclass(frozen=True)
class _Hunk:
    path: str
    head: str
    before: Sequence[str]
    after: Sequence[str]


def apply_patch(diff: str, root: Path) -> None:
    """Change the files below ``root``, all of them or none. Raises PatchFailed."""
    for path, text in patched_files(diff, root).items():
        path.write_text(text)


def patched_files(diff: str, root: Path) -> Mapping[Path, str]:
    """Return what the diff makes of the files that it names. Raises PatchFailed."""
    files: dict[Path, list[str]] = {}
    for hunk in _hunks(diff):
        path = root / hunk.path
        if path not in files:
            try:
                files[path] = path.read_text().splitlines(keepends=True)
            except OSError as error:
                raise PatchFailed(f"{hunk.path}: {error.strerror}") from error
        files[path] = _changed(files[path], hunk)
    if not files:
        raise PatchFailed("nothing to apply")
    return {path: "".join(lines) for path, lines in files.items()}


def _changed(lines: Sequence[str], hunk: _Hunk) -> list[str]:
    size = len(hunk.before)
    found = [
        start
        for start in range(len(lines) - size + 1)
        if lines[start : start + size] == hunk.before
    ]
    if len(found) != 1:
        raise PatchFailed(f"{hunk.path}: the lines of {hunk.head} are there {len(found)} times")
    return [*lines[: found[0]], *hunk.after, *lines[found[0] + size :]]


def _hunks(diff: str) -> Iterator[_Hunk]:
    path = ""
    lines = iter(diff.splitlines(keepends=True))
    for line in lines:
        if line.startswith("+++ b/"):
            path = line.removeprefix("+++ b/").strip()
        elif head := _HUNK.match(line):
            sizes = int(head[1] or 1), int(head[2] or 1)
            yield _hunk(path, head[0], lines, sizes)
        elif not line.startswith("--- a/"):
            raise PatchFailed(f"{path}: not a line of a diff: {line.strip()}")


def _hunk(path: str, head: str, lines: Iterator[str], sizes: tuple[int, int]) -> _Hunk:
    """Read as many lines as the hunk's head says that it has before and after."""
    before: list[str] = []
    after: list[str] = []
    while (len(before), len(after)) != sizes:
        sign, line = _split(next(lines, ""))
        if sign not in {" ", "-", "+"} or len(before) > sizes[0] or len(after) > sizes[1]:
            raise PatchFailed(f"{path}: {head} does not have as many lines as it says")
        if sign != "+":
            before.append(line)
        if sign != "-":
            after.append(line)
    if before == after:
        raise PatchFailed(f"{path}: {head} changes nothing")
    return _Hunk(path, head, before, after)


def _split(line: str) -> tuple[str, str]:
    # Editors take the blank off an empty line of context.
    return (" ", line) if line == "\n" else (line[:1], line[1:])
