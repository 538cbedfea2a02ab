from __future__ import annotations

from pathlib import Path

import pytest

from reflex.errors import SetupError
from reflex_frontend.embedded.locate import find_libpython, find_python_bin, find_stub, locate


def test_every_part_is_found_in_this_environment() -> None:
    found = locate()
    assert found.server.is_file()
    assert (found.python_bin / "python3").exists()
    assert found.libpython.name.startswith("libpython3.")


def test_a_python_without_a_stub_is_told_which_ones_have_one(tmp_path: Path) -> None:
    stub = tmp_path / "python_backend_stubs" / "3.11" / "triton_python_backend_stub"
    stub.parent.mkdir(parents=True)
    stub.touch()
    assert find_stub(tmp_path, "3.11") == stub
    with pytest.raises(SetupError, match=r"no Python stub for Python 3\.99 \(it has 3\.11\)"):
        find_stub(tmp_path, "3.99")


def test_a_missing_libpython_is_reported_with_the_ways_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"apt install libpython3\.11.*--enable-shared"):
        find_libpython("3.11", (tmp_path,))


def test_an_interpreter_that_is_not_the_folders_python3_is_refused(tmp_path: Path) -> None:
    for name in ("python3", "python3.11"):
        (tmp_path / name).write_text(name)
    assert find_python_bin(str(tmp_path / "python3")) == tmp_path
    with pytest.raises(SetupError, match="virtual environment"):
        find_python_bin(str(tmp_path / "python3.11"))
