"""`make mutants` plants the faults that it says, tells survivors from others, and leaves the working tree alone."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from mutants.mutation import Mutant, chosen, mutants_of
from mutants.planted import PLANTED, Plant
from mutants.targets import EXPLAINED, TARGETS
from mutants.trial import HEAVY
from support.waiting import PROCESS_S

REPOSITORY = Path(__file__).parents[2]

DOOR = '''"""Who may pass."""


def may_pass(age: int, *, is_known: bool) -> bool:
    return age >= 18 and is_known
'''
WEAK_TEST = """from door import may_pass


def test_the_young_and_strangers_stay_outside():
    assert may_pass(18, is_known=True)
    assert not may_pass(3, is_known=True)
    assert not may_pass(30, is_known=False)
"""
PLANT_IN_DOOR = """import sys
from pathlib import Path
from mutants import trial
from mutants.__main__ import main
from mutants.targets import Target
trial.HEAVY = ()  # a door needs none of it
sys.exit(main(["--per-module", "0"], [Target("src/door.py", ("tests/test_door.py",))], Path(sys.argv[1])))
"""
ENDLESS_DOOR = """import sys
from pathlib import Path
from mutants.targets import Target
from mutants.trial import Trial, run_trials
target, scratch = Target("src/door.py", ("tests/test_door.py",)), Path(sys.argv[2])
scratch.mkdir()
reached = scratch / "reached"
endless = f"open({str(reached)!r}, 'x').close()\\nwhile True: pass"
for limit_s in (1.5, 4.0, 60.0):  # on a busy machine the tests may not have come to the fault in the first of them
    (outcome,) = run_trials([Trial(target, endless, limit_s)], Path(sys.argv[1]), scratch, 1)
    print(outcome.exit_code, limit_s <= outcome.took_s < limit_s + 30, reached.exists())
    if reached.exists():
        break
"""


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A repository with one door and a weak test of it."""
    for name, content in {"src/door.py": DOOR, "tests/test_door.py": WEAK_TEST}.items():
        path = tmp_path / "house" / name
        path.parent.mkdir(parents=True)
        path.write_text(content, encoding="utf-8")
    return tmp_path / "house"


def run(script: str, *arguments: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY / "tests")}
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PROCESS_S, check=False)


@pytest.mark.slow
def test_a_fault_that_no_test_notices_is_shown_and_fails_and_no_file_is_touched(house: Path) -> None:
    told = run(PLANT_IN_DOOR, house)

    assert told.returncode == 1, told.stderr
    assert told.stdout.count("survived: ") == 1
    assert "survived: src/door.py:5 in may_pass" in told.stdout
    assert "-    return age >= 18 and is_known\n+    return age >= 17 and is_known\nnot explained" in told.stdout
    assert told.stdout.splitlines()[-2].split()[:6] == ["all", "6", "5", "0", "1", "0"]
    assert {str(path.relative_to(house)): path.read_text() for path in house.rglob("*") if path.is_file()} == {
        "src/door.py": DOOR, "tests/test_door.py": WEAK_TEST,
    }  # fmt: skip


@pytest.mark.slow
def test_a_fault_that_never_ends_is_ended(house: Path, tmp_path: Path) -> None:
    told = run(ENDLESS_DOOR, house, tmp_path / "scratch")

    assert told.stdout.splitlines()[-1] == "None True True", told.stderr


def test_what_trials_have_imported_beforehand_is_there_to_import() -> None:
    assert [name for name in HEAVY if find_spec(name) is None] == []


def faults(code: str) -> set[str]:
    """The changed lines."""
    return {mutant.after for mutant in mutants_of("door.py", code)}


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("x = a < b <= c", {"x = a <= b <= c", "x = a < b < c"}),
        ("x = a is b", {"x = a is not b"}),
        ("x = a and b or c", {"x = (a and b) and c", "x = a or b or c"}),
        ("x = not a", {"x = (a)"}),
        ("x = a if b else c", {"x = a if not (b) else c"}),
        ("x = 3", {"x = 4", "x = 2"}),
        ("x = 0.5", {"x = 1.5", "x = -0.5"}),
        ("x = a * b - c", {"x = a / b - c", "x = a * b + c"}),
        ("x += a", {"pass", "x -= a"}),
        ("x = min(a, b)", {"x = max(a, b)"}),
        ("x = np.maximum(a, b)", {"x = np.minimum(a, b)"}),
        ("stop()", {"pass"}),
        ("self.x = a", {"pass"}),
        ("raise E", {"pass"}),
        ("def f(): return a", {"def f(): return None"}),
        ("def f() -> bool: return a", {"def f() -> bool: return True", "def f() -> bool: return False"}),
    ],
)
def test_each_kind_of_fault_is_planted(code: str, expected: set[str]) -> None:
    assert faults(code) == expected


@pytest.mark.parametrize(
    "code",
    [
        '"""A text with 3 < 4."""',
        "x = f'{3 + 4}'",
        "x: Annotated[int, 3] = a",
        "@cache(3)\ndef f(): ...",
        "class C(Base, flag=3): ...",
        "__all__ = ['a'] + ['b']",
        "x = True",
    ],
)
def test_what_is_no_behaviour_is_left_alone(code: str) -> None:
    assert faults(code) == set()


def test_the_rest_of_the_text_stays_as_it_is() -> None:
    code = "x = [  # ä\n    1 if a\n    else b,\n]\n"

    (negated,) = [one for one in mutants_of("door.py", code) if "not" in one.source]

    assert negated.source == code.replace("if a", "if not (a)")
    assert (negated.line, negated.diff(code)) == (
        2,
        "@@ -1,3 +1,3 @@\n x = [  # ä\n-    1 if a\n+    1 if not (a)\n     else b,",
    )


def test_the_choice_is_the_same_each_time_and_an_edit_elsewhere_does_not_move_it() -> None:
    code = "".join(f"def f{number}(): return {number}\n" for number in range(30))

    def picked(text: str, seed: int = 1) -> list[tuple[str, ...]]:
        return [mutant.identity for mutant in chosen(mutants_of("door.py", text), 10, seed)]

    assert picked(code) == picked(code) == picked(f"# A comment.\n\n{code}")
    assert picked(code) != picked(code, seed=2)
    assert len(picked(code)) == 10


def test_every_target_has_faults_and_tests_that_are_there() -> None:
    for target in TARGETS:
        assert len(every_mutant(target.path)) >= 10
        assert all((REPOSITORY / test).exists() for test in target.tests)
    assert len({target.name for target in TARGETS}) == len(TARGETS)


def test_every_explained_fault_can_still_be_planted() -> None:
    for identity, reason in EXPLAINED.items():
        assert identity in {mutant.identity for mutant in every_mutant(identity[0])}
        assert reason


def every_mutant(path: str) -> list[Mutant]:
    return mutants_of(path, (REPOSITORY / path).read_text(encoding="utf-8"))


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.name)
def test_a_planted_fault_fits_the_module_as_it_is_and_the_module_is_a_target(plant: Plant) -> None:
    source = (REPOSITORY / plant.path).read_text(encoding="utf-8")
    assert source.count(plant.before) == 1
    compile(plant.in_source(source).source, plant.path, "exec")
    assert plant.path in {target.path for target in TARGETS}
