"""The scripts that the chart carries, run for real: TensorRT for RTX builds engines on any machine, without a GPU."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from helm.chart import CHART, REPOSITORY
from support.server import running_server

BUILD = CHART / "files" / "build_engines.py"
WAIT = CHART / "files" / "wait_for_engines.py"
ACT = CHART / "files" / "act_test.py"
BUILD_TIMEOUT_S = 90.0
HIT_S = 2.0
KEY = "default/abc"


def run(script: Path, *arguments: str, timeout_s: float = BUILD_TIMEOUT_S) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(script), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)


def build_arguments(source: Path, storage: Path) -> list[str]:
    return [f"--source={source}", f"--storage={storage}", f"--key={KEY}", "--engine=tensorrt-rtx", "--policy=demo"]


def started_build(source: Path, storage: Path) -> subprocess.Popen[str]:
    """In a process group of its own, so that it can be killed whole, as a node kills a container."""
    command = [sys.executable, str(BUILD), *build_arguments(source, storage)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)


def places(storage: Path) -> list[Path]:
    """Repositories with engines, finished or not."""
    return sorted(path for path in (storage / KEY).iterdir() if path.is_dir())


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository as a volume gives it: read-only, with what a file system keeps for itself."""
    folder = tmp_path_factory.mktemp("source") / "repository"
    shutil.copytree(REPOSITORY / "model_repository", folder)
    (folder / "lost+found").mkdir(mode=0)
    (folder / "demo" / "config.pbtxt").chmod(0o444)
    return folder


@pytest.fixture(scope="module")
def storage(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """After a build was killed half-way, and then two were started at once."""
    folder = tmp_path_factory.mktemp("storage")
    killed = started_build(source, folder)
    wait_for_partial(folder)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    assert not (folder / KEY / "current").exists()
    both = [started_build(source, folder) for _ in range(2)]
    said = [build.communicate(timeout=BUILD_TIMEOUT_S)[1] for build in both]
    assert [build.returncode for build in both] == [0, 0], said
    (folder / "said").write_text("\n".join(said), encoding="utf-8")
    return folder


def wait_for_partial(storage: Path) -> None:
    deadline = time.monotonic() + BUILD_TIMEOUT_S
    while not list(storage.glob(f"{KEY}/.*.partial")):
        assert time.monotonic() < deadline, "the build never began"
        time.sleep(0.02)


def test_two_builds_at_once_build_once(storage: Path) -> None:
    said = (storage / "said").read_text(encoding="utf-8")

    assert said.count("engines: built in") == 1
    assert said.count("engines: found, nothing to build") == 1


def test_a_killed_build_leaves_no_half_engine(storage: Path) -> None:
    [place] = places(storage)

    assert (storage / KEY / "current").read_text(encoding="utf-8").strip() == place.name
    assert {path.parent.parent.name for path in place.glob("*/1/model.plan")} == {"demo_encoder", "demo_denoise"}
    assert (place / "demo" / "1").is_dir()


def test_the_second_run_is_a_look_at_one_folder(source: Path, storage: Path) -> None:
    before = places(storage)
    started = time.monotonic()

    done = run(BUILD, *build_arguments(source, storage))

    assert time.monotonic() - started < HIT_S
    assert done.returncode == 0, done.stderr
    assert "nothing to build" in done.stderr
    assert places(storage) == before


def test_a_changed_policy_gets_another_folder_and_the_old_one_stays(
    source: Path, storage: Path, tmp_path: Path
) -> None:
    changed = tmp_path / "changed"
    shutil.copytree(source, changed, ignore=shutil.ignore_patterns("lost+found"))
    (changed / "README.md").write_text("another description\n", encoding="utf-8")
    before = places(storage)

    done = run(BUILD, *build_arguments(changed, storage))

    assert done.returncode == 0, done.stderr
    assert "engines: built in" in done.stderr
    assert len(places(storage)) == len(before) + 1
    assert set(before) < set(places(storage))


@pytest.mark.parametrize("name", ["nothing", "empty"])
def test_a_source_without_a_policy_is_a_sentence_and_no_traceback(name: str, storage: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()

    done = run(BUILD, *build_arguments(tmp_path / name, storage))

    assert done.returncode == 1
    assert "check modelRepository" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_build_without_its_tensorrt_says_where_it_comes_from(source: Path, storage: Path) -> None:
    arguments = [argument.replace("tensorrt-rtx", "tensorrt") for argument in build_arguments(source, storage)]

    done = run(BUILD, *arguments)

    assert done.returncode == 1
    assert "NVIDIA's container" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_waiting_pod_serves_what_is_current_and_keeps_it(storage: Path, tmp_path: Path) -> None:
    link = tmp_path / "repository"
    arguments = [f"--shelf={storage / KEY}", f"--link={link}", "--job=cell-engines", "--timeout=5"]

    assert run(WAIT, *arguments).returncode == 0
    assert run(WAIT, *arguments).returncode == 0, "the init container may start again"
    assert link.resolve().parent == (storage / KEY).resolve()
    assert (link / "demo" / "reflex_config.json").is_file()


def test_a_pod_without_engines_says_what_it_waits_for_and_gives_up(tmp_path: Path) -> None:
    started = time.monotonic()

    done = run(WAIT, f"--shelf={tmp_path}", f"--link={tmp_path / 'link'}", "--job=cell-engines", "--timeout=1")

    assert done.returncode == 1
    assert time.monotonic() - started < 5
    assert "waiting for job/cell-engines" in done.stderr
    assert "kubectl logs job/cell-engines" in done.stderr
    assert not (tmp_path / "link").exists()


def test_the_helm_test_passes_on_a_server_that_answers() -> None:
    with running_server() as server:
        done = run(ACT, server.base_url)

    assert done.returncode == 0, done.stderr
    assert "passed" in done.stderr


def test_the_helm_test_fails_with_a_sentence_where_nobody_listens() -> None:
    done = run(ACT, "http://127.0.0.1:9")

    assert done.returncode == 1
    assert "FAILED" in done.stderr
    assert "Traceback" not in done.stderr
