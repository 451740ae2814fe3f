"""The planted bugs: each applies, names what there is, and stands in the list; and how a trial in
a copy is judged.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts.planted import trials
from scripts.planted.bugs import ROOT, BadBug, Bug, read_bug, read_bugs
from scripts.planted.cli import main
from scripts.planted.copies import copy_of
from scripts.planted.document import BEGIN, END, BadDocument, row_of, write_rows
from scripts.planted.options import By, caught_by, parse
from scripts.planted.patching import PatchFailed, apply_patch, patched_files
from scripts.planted.planting import HONEST, count_steps, try_bug, try_honest
from scripts.planted.trials import Colour, run_chaos, run_tests
from tests.faults.chaos.checker import CHECKS, check_name
from tests.faults.chaos.findings import CHECKS as FINDINGS

BUGS = read_bugs()
RELIABILITY = ROOT / "docs" / "RELIABILITY.md"
KNOWN_CHECKS = {
    *map(check_name, CHECKS),
    *FINDINGS,
    *(f"audit: {path.stem}" for path in (ROOT / "sql" / "checks").glob("*.sql")),
}
# The issue asks for twelve, the note of it for six that the short run finds.
FEWEST, FEWEST_BY_CHAOS = 20, 8

HEAD = "Breaks: b\nAgainst: a\nCaught by: tests/test_it.py::test_it\n\n"
DIFF = """\
--- a/booking/it.py
+++ b/booking/it.py
@@ -1,2 +1,2 @@
 def give():
-    return 1
+    return 2
"""


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_bug_applies_to_the_code(bug: Bug) -> None:
    changed = patched_files(bug.diff, ROOT)
    assert all(path.read_text() != text for path, text in changed.items())
    # It is planted in what is judged, not in what judges.
    assert {path.relative_to(ROOT).parts[0] for path in changed} <= {"booking", "sql"}
    for path, text in changed.items():
        if path.suffix == ".py":
            ast.parse(text)


def test_there_are_enough_bugs_of_both_kinds() -> None:
    assert len(BUGS) >= FEWEST
    assert sum(By.CHAOS in caught_by(bug) for bug in BUGS) >= FEWEST_BY_CHAOS
    assert len({bug.diff for bug in BUGS}) == len(BUGS)


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_what_catches_a_bug_exists(bug: Bug) -> None:
    assert set(bug.checks) <= KNOWN_CHECKS
    for node in bug.tests:
        path, _, name = node.partition("::")
        module = ast.parse((ROOT / path).read_text())
        functions = {each.name for each in module.body if isinstance(each, ast.FunctionDef)}
        assert name.startswith("test_")
        assert name in functions, node


def test_list_in_the_documentation_is_that_of_the_bugs() -> None:
    _, _, rest = RELIABILITY.read_text().partition(BEGIN)
    table, found_end, _ = rest.partition(END)
    assert found_end
    rows = [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("| [")]
    assert [tuple(row[:4]) for row in rows] == [row_of(bug, "")[:4] for bug in BUGS]
    unseen = [row[0] for row in rows if len(row) < 5 or not row[4]]
    assert not unseen, f"not planted since they were written: {unseen}"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("Breaks: b\nAgainst: a\n\n" + DIFF, "Caught by once at least"),
        ("Against: a\nCaught by: t\n\n" + DIFF, "needed once each"),
        ("Breaks: b\nBreaks: c\nAgainst: a\nCaught by: t\n\n" + DIFF, "needed once each"),
        ("Breaks: b\nSeen by: t\n\n" + DIFF, "not a line of a head: Seen by: t"),
    ],
)
def test_a_file_that_says_too_little_is_no_bug(text: str, fault: str) -> None:
    with pytest.raises(BadBug, match=fault):
        read_bug("some", text)


def test_who_catches_a_bug_is_read() -> None:
    text = "Breaks: b\nAgainst: a\nCaught by: chaos: one, two\nCaught by: tests/t.py::test_t\n\n"
    bug = read_bug("some", text + DIFF)
    assert (bug.checks, bug.tests) == (("one", "two"), ("tests/t.py::test_t",))
    assert (bug.breaks, bug.against, bug.diff) == ("b", "a", DIFF)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A project with one module and its test, which is not a checkout."""
    root = tmp_path / "project"
    for path, text in {
        "booking/it.py": "def give():\n    return 1\n",
        "tests/test_it.py": "from booking.it import give\n\n\n"
        "def test_it():\n    assert give() == 1\n\n\n"
        "def test_other():\n    assert give() in (1, 2)\n",
        "scripts/chaos.py": "import sys\nfrom pathlib import Path\n"
        "sys.path.insert(0, str(Path(__file__).resolve().parent.parent))\n"
        "from booking.it import give\n"
        "print('seed', sys.argv[3])\n"
        "if give() == 1:\n    print('passed: 9 bookings')\n    sys.exit(0)\n"
        "print('violated: 9 bookings')\nprint('void: too few')\n"
        "print('seats_add_up: 1 of 2 seats (b, c)')\n"
        "print('audit: seats_add_up: 7 rows ()')\n"
        "print('seats_add_up: 12 more')\nsys.exit(1)\n",
        "booking/__init__.py": "",
        ".git/config": "left out",
        ".local/data": "left out",
    }.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return root


def test_patch_applies_where_its_lines_have_moved(tree: Path) -> None:
    path = tree / "booking" / "it.py"
    path.write_text("import os\n\n\n" + path.read_text() + "# the end\n")
    apply_patch(DIFF, tree)
    assert path.read_text() == "import os\n\n\ndef give():\n    return 2\n# the end\n"


@pytest.mark.parametrize(
    ("diff", "fault"),
    [
        (DIFF.replace("    return 1", "    return 3"), "are there 0 times"),
        (DIFF.replace("it.py", "none.py"), "none.py: No such file"),
        (DIFF.replace("-1,2", "-1,3"), "does not have as many lines as it says"),
        (DIFF.replace("return 2", "return 1"), "changes nothing"),
        (DIFF + "a stray line\n", "not a line of a diff: a stray line"),
        ("", "nothing to apply"),
    ],
)
def test_patch_that_does_not_apply_changes_nothing(tree: Path, diff: str, fault: str) -> None:
    before = (tree / "booking" / "it.py").read_text()
    with pytest.raises(PatchFailed, match=fault):
        apply_patch(diff, tree)
    assert (tree / "booking" / "it.py").read_text() == before


def test_patch_whose_lines_are_there_twice_does_not_apply(tree: Path) -> None:
    path = tree / "booking" / "it.py"
    path.write_text(path.read_text() * 2)
    with pytest.raises(PatchFailed, match="are there 2 times"):
        apply_patch(DIFF, tree)


def test_copy_has_the_bug_and_nothing_of_the_workplace(tree: Path) -> None:
    with copy_of(tree, DIFF) as copy:
        assert "return 2" in (copy / "booking" / "it.py").read_text()
        assert not (copy / ".git").exists()
        assert not (copy / ".local").exists()
    assert not copy.exists()
    assert "return 1" in (tree / "booking" / "it.py").read_text()


def test_every_bug_applies_to_a_copy_that_is_no_checkout() -> None:
    with copy_of(ROOT, None) as copy:
        assert not (copy / ".git").exists()
        for bug in BUGS:
            patched_files(bug.diff, copy)


def colour(root: Path, diff: str | None, *nodes: str) -> tuple[Colour, str]:
    with copy_of(root, diff) as copy:
        outcome = run_tests(copy, [f"tests/test_it.py::{node}" for node in nodes])
    return outcome.colour, outcome.told


def test_test_is_red_with_the_bug_and_green_without(tree: Path) -> None:
    assert colour(tree, None, "test_it") == (Colour.GREEN, "0 of 1 failed")
    assert colour(tree, DIFF, "test_it") == (Colour.RED, "1 of 1 failed")


def test_copy_runs_its_own_code_whatever_the_shell_says(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(tree))
    monkeypatch.setenv("PYTEST_ADDOPTS", "--collect-only")
    assert os.environ["PYTHONPATH"] == str(tree)
    assert colour(tree, DIFF, "test_it")[0] == Colour.RED


def test_bug_that_one_of_the_named_tests_passes_is_not_caught(tree: Path) -> None:
    found, told = colour(tree, DIFF, "test_it", "test_other")
    assert found == Colour.UNTOLD
    assert told.startswith("1 of 2 failed, and not each")


@pytest.mark.parametrize(
    "test",
    [
        "import nothing_of_that_name\n\n\ndef test_it():\n    pass\n",
        (
            "import pytest\n\n\n@pytest.fixture\ndef broken():\n    raise OSError\n\n\n"
            "def test_it(broken):\n    pass\n"
        ),
        "import os\n\n\ndef test_it():\n    os._exit(1)\n",
        "import pytest\n\n\ndef test_it():\n    pytest.skip('not here')\n",
        "def test_of_another_name():\n    assert False\n",
    ],
    ids=["import", "set-up", "death", "skip", "missing"],
)
def test_failure_for_another_reason_is_not_red(tree: Path, test: str) -> None:
    (tree / "tests" / "test_it.py").write_text(test)
    assert colour(tree, None, "test_it")[0] == Colour.UNTOLD


def test_what_is_found_after_a_test_is_red(tree: Path) -> None:
    (tree / "tests" / "test_it.py").write_text(
        "import pytest\n\n\n@pytest.fixture\ndef checked():\n    yield\n    assert False\n\n\n"
        "@pytest.mark.parametrize('turn', [1, 2])\ndef test_it(checked, turn):\n    pass\n"
    )
    assert colour(tree, None, "test_it") == (Colour.RED, "2 of 2 failed")


def test_run_under_faults_is_red_where_each_check_found_it(tree: Path) -> None:
    with copy_of(tree, DIFF) as copy:
        outcome = run_chaos(copy, 7, ["seats_add_up", "audit: seats_add_up"])
        assert outcome.colour == Colour.RED
        assert outcome.found == {"seats_add_up": 13, "audit: seats_add_up": 1}
        assert outcome.told == "seats_add_up 13, audit: seats_add_up 1"
        missed = run_chaos(copy, 7, ["seats_add_up", "keys_book_once"])
        assert missed.colour == Colour.UNTOLD
        assert missed.told.endswith("nothing was found by keys_book_once")
    with copy_of(tree, None) as copy:
        assert run_chaos(copy, 7, ["seats_add_up"]).colour == Colour.GREEN


@pytest.mark.parametrize("ending", ["sys.exit(2)", "raise SystemError", "sys.exit(1)"])
def test_run_that_cannot_tell_is_not_red(tree: Path, ending: str) -> None:
    (tree / "scripts" / "chaos.py").write_text(f"import sys\nprint('void: no')\n{ending}\n")
    with copy_of(tree, None) as copy:
        assert run_chaos(copy, 1, []).colour == Colour.UNTOLD


def test_run_that_does_not_end_is_ended(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trials, "CHAOS_SECONDS", 1.0)
    (tree / "scripts" / "chaos.py").write_text("import threading\nthreading.Event().wait()\n")
    with copy_of(tree, None) as copy:
        outcome = run_chaos(copy, 1, [])
    assert outcome.colour == Colour.UNTOLD
    assert "chaos.py ended with None" in outcome.told


def bug_of(caught: str, diff: str = DIFF) -> Bug:
    return read_bug("some", HEAD.replace("tests/test_it.py::test_it", caught) + diff)


def test_bug_is_tried_by_all_that_has_to_catch_it(tree: Path) -> None:
    bug = bug_of("tests/test_it.py::test_it\nCaught by: chaos: seats_add_up")
    steps: list[str] = []
    options = parse([], [bug])

    honest = try_honest(tree, options, steps.append)
    planted = try_bug(tree, options, bug, steps.append)

    assert (honest.is_as_wanted, honest.name) == (True, HONEST)
    assert honest.seen == "tests: 0 of 1 failed; seed 1: passed; seed 2: passed"
    assert planted.is_as_wanted
    assert planted.seen == (
        "tests: 1 of 1 failed; seed 1: seats_add_up 13, audit: seats_add_up 1; "
        "seed 2: seats_add_up 13, audit: seats_add_up 1"
    )
    assert len(steps) == 6
    assert count_steps(options) == len(steps)


@pytest.mark.parametrize(
    ("caught", "diff", "failure"),
    [
        ("tests/test_it.py::test_other", DIFF, "tests: green: 0 of 1 failed"),
        ("chaos: keys_book_once", DIFF, "nothing was found by keys_book_once"),
        ("tests/test_it.py::test_it", DIFF.replace("return 1", "return 3"), "are there 0 times"),
    ],
    ids=["survives", "survives the run", "does not apply"],
)
def test_bug_that_is_not_caught_is_told(tree: Path, caught: str, diff: str, failure: str) -> None:
    bug = bug_of(caught, diff)
    trial = try_bug(tree, parse([], [bug]), bug, lambda _step: None)
    assert not trial.is_as_wanted
    assert failure in trial.failure


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["no-such-bug"], "no such bug: no-such-bug"),
        (["--by", "luck"], "invalid choice"),
        (["--write", "--by", "tests"], "--write needs all"),
        (["--write", "--seeds", "3"], "--write needs all"),
    ],
)
def test_a_bad_option_is_one_line_and_exit_2(
    arguments: list[str], fault: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        parse(arguments, BUGS)
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    assert fault in said
    assert said.count("\n") == 1


def test_bugs_are_chosen_by_name_and_by_what_catches_them() -> None:
    one = next(bug for bug in BUGS if not bug.checks)
    assert parse([one.name], BUGS).bugs == (one,)
    assert parse(["--by", "chaos"], BUGS).bugs == tuple(bug for bug in BUGS if bug.checks)
    assert parse([], BUGS).bugs == tuple(BUGS)


def test_list_is_shown_and_nothing_planted(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    shown = capsys.readouterr().out
    assert all(bug.name in shown for bug in BUGS)


@pytest.fixture
def document(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "RELIABILITY.md"
        path.write_text(text)
        return path

    return write


def test_list_is_written_and_what_was_seen_before_stays(document: Callable[[str], Path]) -> None:
    path = document(f"# Before\n\n{BEGIN}\n\nold\n{END}\n\nAfter\n")
    one, other = bug_of("tests/test_it.py::test_it"), bug_of("chaos: seats_add_up")
    bugs = [one, Bug("other", other.breaks, other.against, other.checks, other.tests, DIFF)]

    write_rows(path, bugs, {"some": "tests: 1 of 1 failed"})
    write_rows(path, bugs, {"other": "seed 1: seats_add_up 3"})

    assert path.read_text() == (
        f"# Before\n\n{BEGIN}\n\n"
        "| bug | what the code does then | against | caught by | seen |\n"
        "| --- | --- | --- | --- | --- |\n"
        "| [some](../tests/planted/some.patch) | b | a | `test_it.py::test_it` "
        "| tests: 1 of 1 failed |\n"
        "| [other](../tests/planted/other.patch) | b | a | short run: `seats_add_up` "
        "| seed 1: seats_add_up 3 |\n"
        f"\n{END}\n\nAfter\n"
    )


def test_document_without_a_place_for_the_list_stays(document: Callable[[str], Path]) -> None:
    path = document(f"{BEGIN} but no end\n")
    with pytest.raises(BadDocument, match="does not have the markers"):
        write_rows(path, BUGS, {})
    assert path.read_text() == f"{BEGIN} but no end\n"
