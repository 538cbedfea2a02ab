"""A class of the user's own is found beside robot.yaml, or refused with what to change in which line."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from reflex.errors import SetupError
from reflex_runner.connectors.build import build_connector

NUMBERS = itertools.count()
ARM = """
import numpy as np
from reflex.connector import Observation

class Arm:
    def __init__(self, port, *, speed=1.0):
        self.port, self.speed = port, speed
    def start(self): ...
    def get_observation(self): return Observation(np.zeros(6, np.float32))
    def apply_action(self, chunk): ...
    def safe_stop(self, reason=""): ...
    def stop(self): ...
"""
Write = Callable[..., str]


@pytest.fixture
def written(tmp_path: Path) -> Iterator[Write]:
    """Writes a module of the user's, under a name that no test had before, and gives that name."""
    before = sys.path[:]

    def write(text: str = ARM) -> str:
        name = f"own_arm_{next(NUMBERS)}"
        (tmp_path / f"{name}.py").write_text(text)
        return name

    yield write
    sys.path[:] = before
    for name in [name for name in sys.modules if name.startswith("own_arm_")]:
        del sys.modules[name]


def refusal(kind: str, cfg: dict[str, Any], folder: Path) -> str:
    with pytest.raises(SetupError) as refused:
        build_connector(kind, cfg, folder=folder)
    return str(refused.value)


def test_the_class_gets_its_settings_as_keyword_arguments(written: Write, tmp_path: Path) -> None:
    made: Any = build_connector(f"{written()}:Arm", {"port": "/dev/ttyUSB0", "speed": 2.0}, folder=tmp_path)

    assert (made.port, made.speed) == ("/dev/ttyUSB0", 2.0)
    assert made.get_observation().state.shape == (6,)


def test_a_module_in_a_package_and_its_neighbours_are_found(written: Write, tmp_path: Path) -> None:
    package = tmp_path / "own_arm_package"
    package.mkdir()
    (package / "arm.py").write_text(f"from {written()} import Arm as Base\nclass Nested:\n    class Arm(Base): ...\n")

    made: Any = build_connector("own_arm_package.arm:Nested.Arm", {"port": "x"}, folder=tmp_path)

    assert made.port == "x"


@pytest.mark.parametrize("kind", ["own arm:Arm", ":Arm", "own_arm:", "own_arm:Arm:x", "a..b:Arm", "/tmp/x:Arm"])
def test_what_is_no_module_and_class_is_told_how_to_write_it(kind: str, tmp_path: Path) -> None:
    assert "is no module:Class; write it as my_arm:MyArm for my_arm.py" in refusal(kind, {}, tmp_path)


def test_a_module_that_is_not_there_names_the_nearest_file(written: Write, tmp_path: Path) -> None:
    name = written()

    assert f"did you mean {name!r}?" in refusal(f"{name[:-1]}:Arm", {}, tmp_path)
    assert f"no module 'zzz' in {tmp_path} or on Python's path; the files there are {name}" in refusal(
        "zzz:Arm", {}, tmp_path
    )


def test_a_class_that_is_not_there_names_the_nearest(written: Write, tmp_path: Path) -> None:
    name = written()

    assert refusal(f"{name}:Amr", {}, tmp_path).endswith("has no class 'Amr'; did you mean 'Arm'?")
    assert refusal(f"{name}:np", {}, tmp_path).endswith("has no class 'np'; its classes are Observation, Arm")


@pytest.mark.parametrize("method", ["start", "get_observation", "apply_action", "safe_stop", "stop"])
def test_a_class_that_lacks_a_method_is_refused_by_its_name(method: str, written: Write, tmp_path: Path) -> None:
    name = written(ARM.replace(f"def {method}(", f"def my_{method}("))

    assert f"is no connector, for it has no {method};" in refusal(f"{name}:Arm", {"port": "x"}, tmp_path)


@pytest.mark.parametrize(
    ("instead", "wanted"),
    [
        ("def apply_action(self): ...", "apply_action(chunk)"),
        ("def safe_stop(self): ...", 'safe_stop(reason="")'),
        ("def safe_stop(self, reason): ...", 'safe_stop(reason="")'),
    ],
)
def test_a_method_that_cannot_be_called_is_told_before_anything_moves(
    instead: str, wanted: str, written: Write, tmp_path: Path
) -> None:
    name = written(f"{ARM}    {instead}\n")

    assert f"it must be possible to call {wanted}" in refusal(f"{name}:Arm", {"port": "x"}, tmp_path)


@pytest.mark.parametrize(
    ("cfg", "said"),
    [
        ({"prot": "x"}, "Arm takes no setting 'prot'; did you mean 'port'?"),
        ({"port": "x", "zzz": 1}, "Arm takes no setting 'zzz'; it takes port, speed"),
        ({}, "Arm: missing a required argument: 'port'; its settings stand beside kind"),
    ],
)
def test_settings_that_the_class_does_not_take_are_named(
    cfg: dict[str, Any], said: str, written: Write, tmp_path: Path
) -> None:
    assert refusal(f"{written()}:Arm", cfg, tmp_path).endswith(said)


def test_an_exception_in_the_constructor_is_told_with_the_users_line(written: Write, tmp_path: Path) -> None:
    name = written(ARM.replace("self.port, self.speed = port, speed", "self.speed = int(port)"))

    assert refusal(f"{name}:Arm", {"port": "x"}, tmp_path).endswith(
        f"ValueError: invalid literal for int() with base 10: 'x' ({name}.py, line 7, in __init__)"
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import sys\nsys.exit('no arm today')\n", "SystemExit: no arm today ({name}.py, line 2, in <module>)"),
        ("\nimport nothing_like_this\n", "No module named 'nothing_like_this' ({name}.py, line 2, in <module>)"),
        ("class Arm:\n    def\n", "SyntaxError: invalid syntax ({name}.py, line 2)"),
        ("1 / 0\n", "ZeroDivisionError: division by zero ({name}.py, line 1, in <module>)"),
    ],
)
def test_a_file_that_cannot_be_imported_is_told_with_its_line(
    text: str, said: str, written: Write, tmp_path: Path
) -> None:
    name = written(text)

    assert refusal(f"{name}:Arm", {}, tmp_path).endswith(said.format(name=name))


def test_a_file_with_the_name_of_another_module_is_to_be_renamed(written: Write, tmp_path: Path) -> None:
    written()
    (tmp_path / "json.py").write_text(ARM)

    assert refusal("json:Arm", {}, tmp_path).endswith("has the name of another module, json; rename the file")
