from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from reflex.triton_wheel import (
    PYTHON_VERSION,
    WHEEL,
    find_libpython,
    pytriton_folder,
    stub_of,
    stub_versions,
    triton_root,
)


def test_the_installed_package_has_a_stub_for_this_python() -> None:
    pytriton = pytriton_folder()

    assert pytriton is not None
    assert stub_of(triton_root(pytriton), PYTHON_VERSION).is_file()
    assert PYTHON_VERSION in stub_versions(triton_root(pytriton))


def test_the_wheel_is_the_one_that_the_extra_asks_for() -> None:
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]

    assert WHEEL in project["optional-dependencies"]["embedded"]
    assert WHEEL in project["optional-dependencies"]["gpu"]


def test_a_package_that_is_not_installed_has_no_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)

    assert pytriton_folder() is None


def test_a_version_whose_stub_is_missing_does_not_count(tmp_path: Path) -> None:
    for version in ("3.12", "3.11", "3.10"):
        stub_of(tmp_path, version).parent.mkdir(parents=True)
    for version in ("3.12", "3.11"):
        stub_of(tmp_path, version).touch()

    assert stub_versions(tmp_path) == ["3.11", "3.12"]


def test_the_shared_library_is_taken_from_the_first_folder_that_has_it(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
        (folder / "libpython3.12.so.1.0").touch()
    (second / "libpython3.11.so.1.0").touch()

    assert find_libpython("3.12", (first, second)) == first / "libpython3.12.so.1.0"
    assert find_libpython("3.11", (first, second)) == second / "libpython3.11.so.1.0"
    assert find_libpython("3.13", (first, second)) is None


def test_this_pythons_library_is_found_without_naming_a_folder() -> None:
    found = find_libpython(PYTHON_VERSION)

    assert found is not None
    assert found.is_file()
