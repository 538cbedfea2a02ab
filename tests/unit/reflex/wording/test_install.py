from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest

from reflex.wording import install
from reflex.wording.install import (
    fresh_environment_line,
    install_line,
    install_line_elsewhere,
    pip_line,
    reinstall_line,
    requirement,
)
from reflex.wording.origin import Origin

ROOT = Path(__file__).parents[4]
WHEEL = Origin()


@pytest.fixture
def own_pip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: str(Path(sys.executable).with_name(name)))


@pytest.mark.usefixtures("own_pip")
def test_in_a_checkout_the_line_installs_the_checkout_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)

    assert install_line("serve", "embedded") == "pip install -e '.[serve,embedded]'"
    assert reinstall_line() == "pip install --force-reinstall --no-deps -e ."


@pytest.mark.usefixtures("own_pip")
def test_away_from_the_checkout_the_line_says_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    assert install_line("otel") == f"pip install -e '{ROOT}[otel]'"
    assert shlex.split(install_line("otel"))[-1] == f"{ROOT}[otel]"


@pytest.mark.usefixtures("own_pip")
def test_from_a_wheel_the_line_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install, "find_origin", lambda: WHEEL)

    assert install_line("tensorrt") == "pip install 'reflex-act[tensorrt]'"
    assert reinstall_line() == "pip install --force-reinstall --no-deps reflex-act"
    assert install_line_elsewhere("export") == "pip install 'reflex-act[export]'"
    assert fresh_environment_line("3.12", "serve") == "uv venv --python 3.12 && uv pip install 'reflex-act[serve]'"


@pytest.mark.parametrize(
    ("origin", "line"),
    [
        (Origin(Path("/opt/it's a clone")), ["/opt/it's a clone[serve]"]),
        (Origin(Path("/opt/clone"), is_editable=True), ["-e", "/opt/clone[serve]"]),
        (Origin(Path("/opt/r-1-py3-none-any.whl")), ["/opt/r-1-py3-none-any.whl[serve]"]),
        (Origin(url="git+https://a.example/r.git@v1"), ["reflex-act[serve] @ git+https://a.example/r.git@v1"]),
        (WHEEL, ["reflex-act[serve]"]),
    ],
)
def test_a_shell_reads_the_requirement_as_it_is_meant(origin: Origin, line: list[str]) -> None:
    assert shlex.split(requirement("serve", origin=origin)) == line


def test_a_current_directory_that_was_removed_does_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()

    assert str(ROOT) in install_line("serve")


def test_a_pip_of_another_python_on_path_is_not_the_one_that_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: f"/another/bin/{name}")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)

    assert pip_line("install", "x") == f"{shlex.quote(sys.executable)} -m pip install x"


def test_an_environment_without_pip_is_filled_by_uv_where_that_is(monkeypatch: pytest.MonkeyPatch) -> None:
    there = {"uv": "/usr/bin/uv"}
    monkeypatch.setattr("shutil.which", there.get)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert pip_line("install", "x") == f"uv pip install --python {shlex.quote(sys.executable)} x"

    there.clear()
    assert pip_line("install", "x") == f"{shlex.quote(sys.executable)} -m pip install x"
