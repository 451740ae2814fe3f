"""The planted bugs: what each breaks, and who has to catch it.

A bug is a file ``tests/planted/NAME.patch``. Its first lines say ``Breaks:`` (what the code does
now), ``Against:`` (the promise) and ``Caught by:`` (a test's node id, or ``chaos:`` with checks of
the run under faults), the last of these as often as needed; an empty line, then a unified diff.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DIRECTORY = ROOT / "tests" / "planted"
CHAOS = "chaos:"


class BadBug(ValueError):
    """A file does not say what a planted bug has to say."""


@dataclass(frozen=True)
class Bug:
    """A change of the code for the worse. ``checks`` are the run's that must each find it."""

    name: str
    breaks: str
    against: str
    checks: tuple[str, ...]
    tests: tuple[str, ...]
    diff: str


def read_bugs(directory: Path = DIRECTORY) -> list[Bug]:
    """Return the bugs of a directory, by name. Raises BadBug."""
    return [read_bug(path.stem, path.read_text()) for path in sorted(directory.glob("*.patch"))]


def read_bug(name: str, text: str) -> Bug:
    """Return the bug that a file tells of. Raises BadBug."""
    head, _, diff = text.partition("\n\n")
    fields: dict[str, list[str]] = {"Breaks": [], "Against": [], "Caught by": []}
    for line in head.splitlines():
        field, found, value = line.partition(": ")
        if not found or field not in fields:
            raise BadBug(f"{name}: not a line of a head: {line}")
        fields[field].append(value.strip())
    catchers = fields["Caught by"]
    if [len(fields[field]) for field in ("Breaks", "Against")] != [1, 1] or not catchers:
        raise BadBug(f"{name}: Breaks and Against are needed once each, Caught by once at least")
    return Bug(
        name=name,
        breaks=fields["Breaks"][0],
        against=fields["Against"][0],
        checks=_checks(catchers),
        tests=tuple(catcher for catcher in catchers if not catcher.startswith(CHAOS)),
        diff=diff,
    )


def _checks(catchers: Sequence[str]) -> tuple[str, ...]:
    named = [catcher.removeprefix(CHAOS) for catcher in catchers if catcher.startswith(CHAOS)]
    return tuple(check.strip() for names in named for check in names.split(","))
