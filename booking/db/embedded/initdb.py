"""Makes a new data directory, whole or not at all."""

from __future__ import annotations

import secrets
import shutil
import sys
import tempfile
import time
from pathlib import Path

from booking.db.embedded.binaries import Installation
from booking.db.embedded.layout import DATABASE, ROLE, Layout
from booking.db.embedded.programs import Programs

_DRAFT_PREFIX = "initdb-"
_TIMEOUT_SECONDS = 120
_FIRST_WITH_BUILTIN_LOCALES = 17
_REMOVAL_ATTEMPTS = 20


def create(layout: Layout, installation: Installation, programs: Programs) -> None:
    """Make the data directory with the role and the database, and the password beside it.

    Raises:
        EmbeddedPostgresUnavailable: initdb failed; its last lines are in the message.
        NobodyLeft: nobody waits for it any more. Nothing half made is left in either case.

    """
    for abandoned in layout.directory.glob(f"{_DRAFT_PREFIX}*"):
        _remove(abandoned)
    draft = Path(tempfile.mkdtemp(prefix=_DRAFT_PREFIX, dir=layout.directory))
    try:
        password = secrets.token_urlsafe(24)
        data = draft / "data"
        password_file = draft / "password"
        password_file.touch(mode=0o600)
        password_file.write_text(password)
        programs.identity.own(draft)
        programs.run(
            [
                installation.program("initdb"),
                *("-D", data, "-U", ROLE, f"--pwfile={password_file}"),
                *("--encoding=UTF8", "--auth=scram-sha-256", "--data-checksums"),
                *("--no-instructions", *_locale(installation.major)),
            ],
            _TIMEOUT_SECONDS,
        )
        with tempfile.TemporaryFile() as statement:
            statement.write(f"CREATE DATABASE {DATABASE};\n".encode())
            statement.seek(0)
            programs.run(
                [
                    *(installation.program("postgres"), "--single", "-D", data),
                    *("-c", "exit_on_error=on", "postgres"),
                ],
                _TIMEOUT_SECONDS,
                stdin=statement.fileno(),
            )
        # The password first: where the data are, it is.
        layout.write_private(layout.password, password)
        data.rename(layout.data)
    finally:
        _remove(draft)


def _locale(major: int) -> list[str]:
    """Return the options for C.UTF-8: code point order, Unicode's upper and lower case."""
    if major >= _FIRST_WITH_BUILTIN_LOCALES:
        return ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
    if sys.platform == "darwin":
        # The C library has no C.UTF-8 there before macOS 15.
        return ["--locale=C", "--lc-ctype=en_US.UTF-8"]
    return ["--locale=C.UTF-8", "--lc-messages=C"]


def _remove(directory: Path) -> None:
    """Remove a draft, into which a program that was just killed may still have been writing."""
    for attempt in range(_REMOVAL_ATTEMPTS):
        shutil.rmtree(directory, ignore_errors=attempt < _REMOVAL_ATTEMPTS - 1)
        if not directory.exists():
            return
        time.sleep(0.05)
