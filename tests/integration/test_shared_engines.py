"""`reflex engines build --shared` for real, as processes: TensorRT for RTX builds on any machine, without a GPU."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from integration.engine_builds import copy_of_demo
from reflex.shared_engines import current_engines
from support.promise import Promise
from support.waiting import HANGS_S, wait_until

pytestmark = pytest.mark.slow

BUILD_TIMEOUT_S = 90.0
HIT_CPU_S = 1.0
"""Of all that the command does."""


@dataclass(frozen=True)
class Machine:
    """One that mounts a folder for engines; `source` is the repository, as a volume gives it."""

    source: Path
    shared: Path
    cache: Path

    def command(self, *more: str) -> list[str]:
        build = [sys.executable, "-m", "reflex.cli", "engines", "build", str(self.source)]
        return [*build, f"--shared={self.shared}", f"--cache={self.cache}", "--engine=tensorrt-rtx", *more]

    def start(self) -> subprocess.Popen[str]:
        """In a process group of its own, so that it can be killed whole, as a node kills a container."""
        return subprocess.Popen(self.command(), stderr=subprocess.PIPE, text=True, start_new_session=True)

    def build(self, *more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*more), capture_output=True, text=True, timeout=BUILD_TIMEOUT_S, check=False
        )  # fmt: skip

    def partials(self) -> list[Path]:
        return list(self.shared.glob(".*.partial"))

    def places(self) -> set[Path]:
        return {path for path in self.shared.iterdir() if path.is_dir()}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Read-only, with what a file system keeps for itself."""
    folder = copy_of_demo(tmp_path_factory.mktemp("source"))
    (folder / "lost+found").mkdir(mode=0)
    (folder / "demo" / "config.pbtxt").chmod(0o444)
    return folder


@pytest.fixture(scope="module")
def killed_then_two(source: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Machine, list[str]]:
    """After a build was killed half-way and two were started at once; and what these two said."""
    folder = tmp_path_factory.mktemp("shared")
    machine = Machine(source, folder / "l40s", folder / "cache")
    killed = machine.start()
    wait_for_partial(machine)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate(timeout=HANGS_S)
    assert current_engines(machine.shared) is None
    both = [machine.start() for _ in range(2)]
    said = [build.communicate(timeout=BUILD_TIMEOUT_S)[1] for build in both]
    assert [build.returncode for build in both] == [0, 0], said
    return machine, said


@pytest.fixture
def machine(killed_then_two: tuple[Machine, list[str]], tmp_path: Path) -> Machine:
    """One with the engines in its folder, which the test alone changes; the cache is everybody's."""
    built, _ = killed_then_two
    return Machine(built.source, Path(shutil.copytree(built.shared, tmp_path / "shared")), built.cache)


def wait_for_partial(machine: Machine) -> None:
    wait_until(machine.partials, "a build begins")


def children_cpu_s() -> float:
    """Of all child processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_two_builds_at_once_build_once(killed_then_two: tuple[Machine, list[str]]) -> None:
    said = "\n".join(killed_then_two[1])

    assert said.count("engines: built in") == 1
    assert said.count("engines: found, nothing to build") == 1
    assert said.count("engines: waiting for another build") == 1


def test_a_killed_build_leaves_no_half_engine(killed_then_two: tuple[Machine, list[str]]) -> None:
    machine, _ = killed_then_two
    [place] = machine.places()

    assert current_engines(machine.shared) == place
    assert {path.parent.parent.name for path in place.glob("*/1/model.plan")} == {"demo_encoder", "demo_denoise"}
    assert (place / "demo" / "1").is_dir(), "Triton wants an ensemble's version folder, although it is empty"


def test_the_second_run_is_a_look_at_one_folder(machine: Machine, promise: Promise) -> None:
    before = machine.places()
    before_s = children_cpu_s()

    with promise.beside_neighbours() as neighbours:
        done = machine.build("--json")

    promise("engines that are there cost a look", neighbours.without(children_cpu_s() - before_s), at_most=HIT_CPU_S)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == {"place": str(current_engines(machine.shared)), "built": False, "engines": []}
    assert machine.places() == before


def test_another_policy_gets_another_folder_and_the_old_one_stays(machine: Machine, tmp_path: Path) -> None:
    changed = Path(shutil.copytree(machine.source, tmp_path / "changed", ignore=shutil.ignore_patterns("lost+found")))
    (changed / "README.md").write_text("another description\n", encoding="utf-8")
    [before] = machine.places()

    done = Machine(changed, machine.shared, machine.cache).build("--json")

    assert done.returncode == 0, done.stdout
    answer = json.loads(done.stdout)
    assert answer["built"]
    assert Path(answer["engines"][0]["components"][0]["plan"]).is_file(), "the plan's place is the final one"
    assert machine.places() == {before, Path(answer["place"])}
    assert current_engines(machine.shared) == Path(answer["place"])


def test_engines_of_one_policy_are_not_taken_for_those_of_all(machine: Machine) -> None:
    before = machine.places()

    assert machine.build("--policy=demo").returncode == 0
    assert len(machine.places() - before) == 1


def test_a_build_that_is_told_to_end_takes_its_half_folder_away(machine: Machine, tmp_path: Path) -> None:
    other = Machine(machine.source, tmp_path / "other", tmp_path / "cache")
    build = other.start()
    wait_for_partial(other)

    build.terminate()
    said = build.communicate(timeout=HANGS_S)[1]

    assert build.returncode == 130
    assert said.endswith(f"reflex: interrupted; {other.shared} is as it was\n")
    assert other.partials() == []
    assert current_engines(other.shared) is None


def test_a_build_without_its_tensorrt_says_where_it_comes_from(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hidden = "raise ModuleNotFoundError(\"No module named 'tensorrt'\", name='tensorrt')\n"
    (tmp_path / "tensorrt.py").write_text(hidden, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)

    done = machine.build("--engine=tensorrt")

    assert done.returncode == 1
    assert "NVIDIA's container" in done.stderr
    assert "Traceback" not in done.stderr
