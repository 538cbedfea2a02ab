from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from reflex.gpus.driver import Driver, Gpu, read_driver
from support.gpus.standin import H200, RTX_4090, T4, Standin, write_library


def test_the_driver_names_its_cards_and_what_they_can(tmp_path: Path) -> None:
    library = Standin([H200, T4, RTX_4090], cuda=13010).write(tmp_path / "libcuda.so.1")
    release = tmp_path / "version"
    release.write_text("580.95.05\n")

    found = read_driver(str(library), release)

    assert (found.cuda, found.release, found.problem) == ((13, 1), "580.95.05", None)
    assert found.gpus == tuple(
        Gpu(index, card.name, card.capability, card.memory_bytes) for index, card in enumerate([H200, T4, RTX_4090])
    )
    assert str(found.gpus[0]) == "NVIDIA H200, compute capability 9.0, 141 GiB"


@pytest.mark.parametrize(
    ("result", "problem"),
    [(100, "no device"), (802, "not ready"), (803, "mismatch"), (804, "mismatch"), (999, "lost"), (46, "lost")],
)
def test_a_driver_that_fails_is_told_by_the_number_of_its_error(tmp_path: Path, result: int, problem: str) -> None:
    library = Standin(results={"cuInit": result}).write(tmp_path / "libcuda.so.1")
    found = read_driver(str(library), tmp_path / "none")
    assert (found.problem, found.gpus, found.cuda, found.release) == (problem, (), (13, 0), None)
    assert str(result) in found.error


def test_a_card_that_is_lost_while_it_is_asked_is_no_card(tmp_path: Path) -> None:
    library = Standin(results={"cuDeviceGetCount": 999}).write(tmp_path / "libcuda.so.1")
    assert read_driver(str(library)).problem == "lost"


def test_a_driver_that_counts_no_card_has_none(tmp_path: Path) -> None:
    assert read_driver(str(Standin([]).write(tmp_path / "libcuda.so.1"))).problem == "no device"


def test_a_library_of_that_name_that_is_none_of_nvidias_is_no_driver(tmp_path: Path) -> None:
    library = tmp_path / "libcuda.so.1"
    library.write_bytes(write_library(library.name, {"hello": b"\xc3"}))
    assert read_driver(str(library)).problem == "lost"
    library.with_name("text").write_text("not a library")
    assert read_driver(str(library.with_name("text"))).problem == "absent"


def test_the_loader_is_asked_for_the_library_by_its_name(tmp_path: Path) -> None:
    Standin([H200]).write(tmp_path / "libcuda.so.1")
    code = "from reflex.gpus.driver import read_driver; print(read_driver().gpus[0].name)"
    run = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"LD_LIBRARY_PATH": str(tmp_path)}, capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    assert run.stdout == "NVIDIA H200\n"


def test_a_machine_without_a_driver_says_what_is_not_there() -> None:
    found = read_driver("libcuda-of-nobody.so.1")
    assert found == Driver(problem="absent", error=found.error)
    assert "libcuda-of-nobody.so.1" in found.error
