"""What a check found."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """What is wrong, and the ids to look for."""

    what: str
    ids: tuple[str, ...]


@dataclass(frozen=True)
class Violation:
    """One promise that was broken, by the name of the check that found it."""

    check: str
    what: str
    ids: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.check}: {self.what} ({', '.join(self.ids)})"
