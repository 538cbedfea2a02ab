"""What is wrong with a start is said before anything is started."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NoReturn

import pytest
import uvloop
from typer.testing import CliRunner

from reflex.cli import app
from reflex.errors import SetupError
from reflex.gpus import Driver, Libraries, Machine
from reflex_frontend import beforehand
from reflex_frontend.beforehand import Beforehand, look_beforehand
from reflex_frontend.callers import watched_file
from reflex_frontend.policy.shipped import shipped_repository
from reflex_frontend.serve import _serve
from reflex_frontend.settings import Settings
from reflex_frontend.triton.backend import TritonBackend
from support.motion.heads import head_for, written
from support.waiting import HANGS_S

SHIPPED = shipped_repository()
WRONG: Mapping[str, tuple[list[str], str]] = {
    "no key file": (["--api-keys", "{}/absent"], "the key file cannot be read"),
    "a pipe without end": (["--api-keys", "{}/pipe"], "is no file, but a pipe"),
    "a key file without keys": (["--api-keys", "{}/file"], "holds no key"),
    "recordings on a file": (["--record", "{}/file"], "--record: the directory cannot be made"),
    "recordings under a file": (["--record", "{}/file/under"], "--record: the directory cannot be made"),
    "no extra": (["--otel-endpoint", "http://127.0.0.1:9"], "traces need OpenTelemetry, which is not installed"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_cannot_work_is_said_before_triton_is_started(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def started(_: TritonBackend) -> None:
        pytest.fail("Triton was started")

    monkeypatch.setattr(TritonBackend, "start", started)
    monkeypatch.delitem(sys.modules, "reflex_frontend.observing.spans", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe")
    options, sentence = WRONG[what]

    ended = CliRunner().invoke(app, ["serve", "--port", "0", *(option.format(tmp_path) for option in options)])

    assert ended.exit_code == 1
    assert sentence in ended.stderr


def look(**options: object) -> Beforehand:
    return asyncio.run(look_beforehand(Settings.load(options)))


def test_what_can_work_is_let_through(tmp_path: Path) -> None:
    found = look(record=str(tmp_path / "new" / "folder"))

    assert (tmp_path / "new" / "folder").is_dir()
    assert found.keys is None
    assert [config.policy_id for config in found.policy_set.configs] == ["demo"]


def test_a_correction_head_that_is_none_or_fits_no_policy_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="cannot be read"):
        look(a2c2_checkpoint=str(tmp_path / "head.safetensors"))
    with pytest.raises(SetupError, match="--a2c2-checkpoint does nothing here: it was trained on demo, sha256:demo"):
        look(a2c2_checkpoint=str(written(tmp_path, head_for())))


def test_kept_observations_need_room_for_one() -> None:
    with pytest.raises(
        SetupError, match=r"--prefix-cache-mb 0\.04 has no room for one observation of demo, which becomes"
    ):
        look(prefix_cache_mb=0.04)
    assert look(prefix_cache_mb=1).policy_set.slots["a"].stages is not None


def test_a_device_that_is_named_and_does_not_work_is_refused_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(beforehand, "read_machine", lambda: Machine(Driver(problem="no device"), Libraries()))
    with pytest.raises(SetupError, match=r"--device cuda: the driver finds no GPU .* or serve with --device cpu"):
        look(device="cuda")
    found = look(device="auto").device
    assert found.name == "cpu"
    assert [sentence.partition(":")[0] for sentence in found.passed_over] == ["trt-rtx", "cuda"]
    assert look(triton="grpc://gpu-box").device.name is None
    with pytest.raises(SetupError, match="--device is what the embedded Triton computes on"):
        look(triton="grpc://gpu-box", device="cuda")


def test_a_driver_that_hangs_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = threading.Event()
    monkeypatch.setattr(beforehand, "DRIVER_S", 0.01)
    monkeypatch.setattr(beforehand, "read_machine", answers.wait)
    with pytest.raises(SetupError, match="NVIDIA's driver has not answered"):
        look()
    assert look(device="cpu").device.name == "cpu"
    answers.set()


def test_engines_of_tensorrt_are_refused_by_the_embedded_triton_alone(tmp_path: Path) -> None:
    shutil.copytree(SHIPPED, tmp_path / "models", ignore=shutil.ignore_patterns("pick_*", "sim_*"))
    config = tmp_path / "models" / "demo" / "reflex_config.json"
    config.write_text(config.read_text().replace('"engine": "onnx"', '"engine": "tensorrt"'))
    with pytest.raises(SetupError, match="demo runs as engines of TensorRT"):
        look(model_repository=tmp_path / "models")
    assert look(model_repository=tmp_path / "models", triton="grpc://gpu-box").device.name is None


def test_a_folder_is_no_key_file(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="--api-keys"):
        look(api_keys=str(tmp_path))


@pytest.fixture
def dead_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[DeadDisk]:
    disk = DeadDisk()
    monkeypatch.setattr(watched_file, "read_key_file", disk.read)
    monkeypatch.setattr(beforehand, "prepare_directory", disk.read)
    monkeypatch.setattr(beforehand, "load_policy_set", disk.read)
    yield disk
    disk.is_back.set()


class DeadDisk:
    """What asks it waits until it is back; `then` is done meanwhile."""

    def __init__(self) -> None:
        self.is_back = threading.Event()
        self.then: Callable[[], None] = lambda: None

    def read(self, *_asked: object) -> NoReturn:
        self.then()
        assert self.is_back.wait(HANGS_S)
        raise OSError(errno.EIO, "too late")


@pytest.mark.parametrize("option", ["api_keys", "record"])
def test_a_disk_that_does_not_answer_ends_the_start_in_words(
    option: str, dead_disk: DeadDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beforehand, "DISK_S", 0.1)
    named = f"--{option.replace('_', '-')} /mnt/gone"
    with pytest.raises(SetupError, match=f"^{named}: its disk has not answered for 0.1 s; see whether it is mounted"):
        look(**{option: "/mnt/gone"})
    assert not dead_disk.is_back.is_set()


@pytest.mark.parametrize("option", ["api_keys", "record", None])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_start_that_waits_for_a_disk_can_be_stopped(
    number: signal.Signals, option: str | None, dead_disk: DeadDisk
) -> None:
    def send_signal() -> None:
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            dead_disk.is_back.set()  # nobody would hear it
        else:
            os.kill(os.getpid(), number)

    dead_disk.then = send_signal
    settings = Settings.load({} if option is None else {option: "/mnt/gone"})
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(_serve(settings)) == 0
    assert not dead_disk.is_back.is_set()
