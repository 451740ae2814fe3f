"""Makes a new data directory, whole or not at all."""

from __future__ import annotations

import os
import secrets
import shutil
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from booking.embedded.binaries import Installation
from booking.embedded.errors import EmbeddedPostgresUnavailable
from booking.embedded.files import open_directory
from booking.embedded.layout import DATABASE, ROLE, SUPERUSER, Layout
from booking.embedded.programs import Programs

_DRAFT_PREFIX = "initdb-"
_TIMEOUT_SECONDS = 120
_FIRST_WITH_BUILTIN_LOCALES = 17
_REMOVAL_ATTEMPTS = 20


def create(
    layout: Layout, installation: Installation, programs: Programs, *, superuser: bool = False
) -> None:
    """Make the data directory with the role and the database, and the password beside it.

    The role owns its database and may nothing else. The cluster's superuser has no password and
    cannot log in. ``superuser`` makes the role one, as only tests and measurements need it.

    Raises:
        EmbeddedPostgresUnavailable: initdb failed; its last lines are in the message.
        NobodyLeft: nobody waits for it any more. Nothing half made is left in either case.

    """
    for abandoned in layout.directory.glob(f"{_DRAFT_PREFIX}*"):
        _remove(abandoned)
    draft = Path(tempfile.mkdtemp(prefix=_DRAFT_PREFIX, dir=layout.directory))
    with ExitStack() as stack:
        stack.callback(_remove, draft)
        # For root, the directory may be another's, who can put something else in the draft's place.
        within = _open_own(draft)
        stack.callback(os.close, within)
        password = secrets.token_urlsafe(24)
        data = draft / "data"
        programs.identity.make_folder(within, data.name)
        programs.run(
            [
                *(installation.program("initdb"), "-D", data, "-U", SUPERUSER),
                # Without sockets of its own, "local" is nobody; and so no password is asked for.
                *("--auth-host=scram-sha-256", "--auth-local=reject", "--encoding=UTF8"),
                *("--data-checksums", "--no-instructions", *_locale(installation.major)),
            ],
            _TIMEOUT_SECONDS,
            data=data,
        )
        attribute = "SUPERUSER" if superuser else "NOSUPERUSER"
        _execute(
            installation,
            programs,
            data,
            "postgres",
            f"ALTER ROLE {SUPERUSER} NOLOGIN",
            f"CREATE ROLE {ROLE} LOGIN {attribute} PASSWORD '{password}'",
            f"CREATE DATABASE {DATABASE} OWNER {ROLE}",
        )
        # The password first: where the data are, it is.
        layout.write_private(layout.password, password)
        os.rename(data.name, layout.data, src_dir_fd=within)


def _open_own(directory: Path) -> int:
    descriptor = open_directory(directory)
    if os.fstat(descriptor).st_uid == os.geteuid():
        return descriptor
    os.close(descriptor)
    raise EmbeddedPostgresUnavailable(f"{directory} was replaced")


def demote(layout: Layout, installation: Installation, programs: Programs) -> None:
    """Take from the role what it was in data of the time before: the cluster's superuser.

    May be interrupted, and is done again then. No server may run on the data.

    Raises:
        EmbeddedPostgresUnavailable: it failed; the server's last lines are in the message.
        NobodyLeft: nobody waits for it any more.

    """
    password = secrets.token_urlsafe(24)
    _execute(
        installation,
        programs,
        layout.data,
        DATABASE,
        Path(__file__).with_name("demote.sql").read_text(),
        f"ALTER ROLE {ROLE} LOGIN PASSWORD '{password}'",
    )
    layout.write_private(layout.password, password)
    layout.superuser_password.unlink(missing_ok=True)


def _execute(
    installation: Installation, programs: Programs, data: Path, database: str, *statements: str
) -> None:
    """Run statements as the cluster's superuser, whom no connection can be: in single-user mode.

    PostgreSQL documentation, "postgres", "Options for Single-User Mode".
    """
    with tempfile.TemporaryFile() as script:
        script.write("".join(f"{statement};\n\n" for statement in statements).encode())
        script.seek(0)
        programs.run(
            [
                *(installation.program("postgres"), "--single", "-D", data, "-j"),
                # The statements contain a password, and hide what is wrong with them.
                *("-c", "exit_on_error=on", "-c", "log_min_error_statement=panic", database),
            ],
            _TIMEOUT_SECONDS,
            data=data,
            stdin=script.fileno(),
        )


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
