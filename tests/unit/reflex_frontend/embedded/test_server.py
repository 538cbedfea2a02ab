from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from reflex.errors import RepositoryError, SetupError
from reflex.gpus import Libraries, Machine, Serving, read_driver
from reflex_frontend.embedded import EmbeddedOptions, EmbeddedTriton, server
from reflex_frontend.embedded.device import DeviceInUse
from reflex_frontend.embedded.log import TritonLog
from reflex_frontend.embedded.private_repository import PrivateRepository
from reflex_frontend.embedded.run_folder import RunFolder
from support.fakes import policy_config
from support.gpus.standin import H200, Standin
from support.waiting import HANGS_S, eventually


def _triton(repository: Path, model: str) -> EmbeddedTriton:
    return EmbeddedTriton(EmbeddedOptions(model_repository=repository, models=(model,)))


def test_a_model_that_is_not_there_is_reported_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(RepositoryError, match="has no model 'demo'"):
        asyncio.run(_triton(tmp_path, "demo").start())


@pytest.mark.parametrize("name", ["../demo", "a b", "x;rm", "a/b"])
def test_a_model_name_that_a_shell_would_read_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(RepositoryError, match="model name"):
        asyncio.run(_triton(tmp_path, name).start())


def test_stop_without_start_does_nothing(tmp_path: Path) -> None:
    triton = _triton(tmp_path, "demo")
    asyncio.run(triton.stop())
    assert (triton.pid, triton.is_running, triton.failure, triton.restarts) == (None, False, None, 0)
    with pytest.raises(RuntimeError, match="start"):
        _ = triton.grpc_address


SERVING = 'I1121 03:42:54.379729 4506 grpc_server.cc:2558] "Started GRPCInferenceService at 127.0.0.1:18001"\n'
FAILED = "E1121 03:44:52.872535 5848 model_lifecycle.cc:642] \"failed to load '{}' version 1: Internal: {}\"\n"
ALL_THERE = Libraries("1.31.1", "13.0", ("onnxruntime-gpu",), (), "0.5.0", 13)
NO_MEMORY = "device cuda: the GPU's memory ran out; see who"


class Ended:
    """A process that has ended, with its log."""

    def __init__(self, log: str) -> None:
        self.log = TritonLog()
        self.log.feed(log.encode())
        self.pid, self.exit_code, self.uptime_s = 1, -9, 60.0


def _after(tmp_path: Path, log: str, *, parts: tuple[str, ...] = ()) -> tuple[str | None, str | None, bool]:
    """What failed, the device from then on, and whether `auto` goes on looking, when a process of A ended."""
    library = Standin((H200,)).write(tmp_path / "libcuda.so.1")
    machine = Machine(read_driver(str(library)), ALL_THERE)
    device = DeviceInUse("auto", machine)
    triton = EmbeddedTriton(EmbeddedOptions(model_repository=tmp_path, models=("a",), device=device))
    triton._parts = {"a": frozenset(parts)}
    triton._note_exit(Ended(log))  # type: ignore[arg-type]
    return triton._failure, device.name, device.may_step_down


def test_a_policy_is_served_from_the_file_that_its_denoise_says(tmp_path: Path) -> None:
    config, machine = policy_config(), Machine(read_driver(str(Standin((H200,)).write(tmp_path / "cuda"))), ALL_THERE)
    device = DeviceInUse("cuda", machine)
    triton = EmbeddedTriton(EmbeddedOptions(model_repository=tmp_path, models=("a",), device=device))
    before = device.serving(config)
    triton._child = Ended("reflex: small_denoise runs on cuda from model.cuda.onnx, as CUDA graphs\n")  # type: ignore[assignment]

    assert before == Serving("NVIDIA H200", "cuda")
    assert device.serving(config) == Serving("NVIDIA H200", "cuda", "model.cuda.onnx")


@pytest.mark.parametrize("why", [NO_MEMORY, "model.onnx is missing; export the policy again"])
def test_a_rollout_that_failed_says_nothing_of_the_device_of_what_goes_on(tmp_path: Path, why: str) -> None:
    assert _after(tmp_path, SERVING + FAILED.format("b", why)) == (None, "cuda", True)
    lost = FAILED.format("a", "its model a_denoise: device cuda: the GPU is lost (CUDA failure 999)")
    assert _after(tmp_path, SERVING + lost + FAILED.format("b", why))[1] == "cpu"


def test_a_part_of_an_own_model_that_no_longer_comes_up_is_the_devices_fault(tmp_path: Path) -> None:
    log = SERVING + FAILED.format("a_encoder", NO_MEMORY)
    assert _after(tmp_path, log) == (None, "cuda", True)
    assert _after(tmp_path, log, parts=("a_encoder",))[1] == "cpu"


def test_a_start_that_failed_is_told_of_whatever_model_it_was(tmp_path: Path) -> None:
    assert _after(tmp_path, FAILED.format("b", NO_MEMORY))[1] == "cpu"
    assert _after(tmp_path, FAILED.format("b", "no")) == ("model 'b': no", "cuda", False)


def test_a_disk_that_hangs_holds_up_neither_the_loop_nor_the_end_of_the_watch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    released, looks = threading.Event(), []

    def hang(_: PrivateRepository) -> bool:
        looks.append(threading.current_thread())
        return not released.wait(HANGS_S)

    async def watched() -> None:
        triton = _triton(tmp_path, "demo")
        triton._private = PrivateRepository(tmp_path, tmp_path / "run")
        for _watch in range(3):
            watch = asyncio.create_task(triton._watch_repository())
            await eventually(lambda: looks, "it looks")
            for _ in range(5):
                await asyncio.sleep(0)
            assert not released.is_set()
            watch.cancel()
            await asyncio.wait((watch,), timeout=HANGS_S)
            assert watch.cancelled()
        assert len(looks) == 1
        assert looks[0].daemon

    monkeypatch.setattr(server, "REFRESH_S", 0.0)
    monkeypatch.setattr(PrivateRepository, "is_outdated", hang)
    asyncio.run(watched())
    released.set()


def test_a_repository_that_cannot_be_listed_is_told_with_what_to_look_at(tmp_path: Path) -> None:
    triton = _triton(tmp_path / "gone", "demo")
    triton._private = PrivateRepository(tmp_path / "gone", tmp_path / "run")
    folder = RunFolder(str(tmp_path))
    try:
        with pytest.raises(SetupError, match=r"gone cannot be shown to Triton: .*No such file.*; see whether its disk"):
            asyncio.run(triton._spawn(folder))
    finally:
        folder.remove()
