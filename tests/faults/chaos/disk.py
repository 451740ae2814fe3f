"""A small disk that a run can fill: a file system in a file, or in memory."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

FILLER = "filler"


@dataclass(frozen=True)
class SmallDisk:
    """A disk of ``size`` bytes to be mounted on ``directory``.

    ``image`` is the file that it lives in, whose fsync is that of the disk below it; None is a
    tmpfs, which keeps what a killed process wrote and knows no fsync.
    """

    directory: Path
    size: int
    image: Path | None

    @property
    def kind(self) -> str:
        """What it is, for a report."""
        return "ext4 in a file" if self.image else "tmpfs"

    @contextmanager
    def mounted(self) -> Iterator[None]:
        """Mount it, new and empty, for the length of the block. Raises CalledProcessError."""
        self.directory.mkdir(parents=True, exist_ok=True)
        if self.image:
            with self.image.open("wb") as image:
                image.truncate(self.size)
            _run("mkfs.ext4", "-q", "-m", "0", self.image)
            _run("mount", "-o", "loop", self.image, self.directory)
        else:
            _run("mount", "-t", "tmpfs", "-o", f"size={self.size}", "tmpfs", self.directory)
        try:
            yield
        finally:
            _run("umount", self.directory)
            if self.image:
                self.image.unlink()

    def fill(self) -> int:
        """Write a file until there is no room; return its size in bytes."""
        written = 0
        with (self.directory / FILLER).open("wb", buffering=0) as filler:
            for chunk in (b"\0" * 1_048_576, b"\0" * 4096):
                while True:
                    try:
                        done = filler.write(chunk)
                    except OSError:
                        break
                    written += done or 0
        return written

    def free(self) -> None:
        """Remove what ``fill`` wrote."""
        (self.directory / FILLER).unlink(missing_ok=True)


@contextmanager
def shown_at(source: Path, directory: Path) -> Iterator[None]:
    """Show a directory in another place too, for the length of the block."""
    _run("mount", "--bind", source, directory)
    try:
        yield
    finally:
        _run("umount", directory)


def find_small_disk(directory: Path, size: int) -> SmallDisk | None:
    """Return a disk that this machine lets this user mount, None where it lets none."""
    for image in (directory.with_suffix(".img"), None):
        disk = SmallDisk(directory, size, image)
        try:
            with disk.mounted():
                return disk
        except (OSError, subprocess.CalledProcessError):
            continue
    return None


def _run(*command: str | Path) -> None:
    program = shutil.which(command[0], path=f"{os.environ.get('PATH', '')}:/sbin:/usr/sbin")
    if program is None:
        raise FileNotFoundError(command[0])
    with tempfile.TemporaryFile() as output:
        subprocess.run([program, *command[1:]], stdout=output, stderr=output, check=True)
