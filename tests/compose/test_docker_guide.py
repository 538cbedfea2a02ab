"""The commands of docs/docker.md that this machine can run, in their order, and what compose.yaml becomes for the rest.

What differs from a reader's terminal: the port, the project's name, and that the folders of the reader lie elsewhere.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from compose.engine import PROJECT, REPOSITORY, Engine
from docs.documents import blocks_of
from reflex.model_repository import model_file
from support.server import free_port
from support.waiting import let_pass

GUIDE = REPOSITORY / "docs" / "docker.md"
GOLDEN = REPOSITORY / "tests" / "golden" / "smolvla"
BLOCKS = [block.code for block in blocks_of(GUIDE) if block.language == "bash"]
COMMAND_TIMEOUT_S = 180.0
REVOKED_S = 1.0


@pytest.fixture(scope="module")
def reader(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Engine, Path]]:
    """An engine for the reader's commands, and the folder where the models and the checkpoint lie."""
    folder = tmp_path_factory.mktemp("a guide")
    for parent in (folder, folder.parent, folder.parent.parent):
        parent.chmod(0o755)  # user 10001 of the containers reads below it
    engine = engine.with_environment(COMPOSE_PROJECT_NAME=PROJECT, REFLEX_PORT=str(free_port()))
    yield engine, folder
    engine.compose("down", "--volumes", check=False)


def run_block(beginning: str, reader: tuple[Engine, Path]) -> str:
    """The block that begins so, as it is but for places; its output."""
    engine, folder = reader
    [code] = [block for block in BLOCKS if block.startswith(beginning)]
    models, keys, key = (shlex.quote(str(folder / name)) for name in ("models", "keys", "arm-1.key"))
    code = code.replace("./models", models).replace("mkdir -p models", f"mkdir -p {models}")
    code = code.replace("./keys", keys).replace("./arm-1.key", key)
    code = code.replace("./my_checkpoint", shlex.quote(str(GOLDEN)))
    code = code.replace(":8000", f":{engine.environment['REFLEX_PORT']}")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", code], cwd=REPOSITORY, env=engine.environment,
        capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S,
    )  # fmt: skip
    assert done.returncode == 0, f"{code}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def test_up_act_down(reader: tuple[Engine, Path]) -> None:
    assert '"num_actions":50' in run_block("docker compose up --detach --wait\ncurl", reader)


def test_a_key_opens_the_server_and_none_does_once_the_file_is_replaced(reader: tuple[Engine, Path]) -> None:
    engine, folder = reader
    assert '"num_actions":50' in run_block("mkdir -p ./keys", reader)
    key = (folder / "arm-1.key").read_text(encoding="utf-8").strip()
    url = f"http://127.0.0.1:{engine.environment['REFLEX_PORT']}/config"

    assert httpx.get(url).status_code == 401
    assert httpx.get(url, headers={"X-Reflex-Key": key}).status_code == 200
    emptied = folder / "keys" / "emptied"
    emptied.touch(mode=0o644)
    emptied.rename(folder / "keys" / "api-keys")
    let_pass(REVOKED_S)  # the promise itself

    assert httpx.get(url, headers={"X-Reflex-Key": key}).status_code == 401


def test_beyond_loopback_nothing_is_served_without_keys(reader: tuple[Engine, Path]) -> None:
    engine, _ = reader
    opened = engine.with_environment(REFLEX_BIND="0.0.0.0")

    said = opened.compose("run", "--rm", "--no-deps", "--no-TTY", "frontend", check=False)

    assert "--api-keys" in said
    assert "--insecure" in said


def test_a_checkpoint_becomes_a_policy_of_the_readers_own_and_is_served(reader: tuple[Engine, Path]) -> None:
    run_block("mkdir -p models", reader)
    assert model_file(reader[1] / "models", "pick_cup_denoise").stat().st_uid == os.getuid()

    run_block("REFLEX_MODELS=./models REFLEX_POLICY=pick_cup", reader)

    log = reader[0].compose("logs", "--no-color", "frontend")
    assert "serves pick_cup@" in log


def test_the_gpu_profile_renders_to_nvidias_container_with_a_gpu(engine: Engine) -> None:
    chosen = engine.with_environment(NVIDIA_TRITON_RELEASE="26.08", REFLEX_GPU="GPU-1234", REFLEX_POLICY="pick_cup")

    rendered = yaml.safe_load(chosen.docker("compose", "--profile", "gpu", "config").stdout)["services"]["triton-gpu"]

    [device] = rendered["deploy"]["resources"]["reservations"]["devices"]
    assert rendered["image"] == "nvcr.io/nvidia/tritonserver:26.08-py3"
    assert (device["driver"], device["device_ids"]) == ("nvidia", ["GPU-1234"])
    assert rendered["environment"]["REFLEX_POLICY"] == "pick_cup"
    assert rendered["volumes"][0]["read_only"] is True
    assert "ports" not in rendered
    assert (rendered["shm_size"], rendered["pids_limit"]) == ("1073741824", 2048)


def test_the_profile_without_nvidias_container_renders_to_a_server_with_a_gpu_on_the_base_of_ones_choice(
    engine: Engine,
) -> None:
    chosen = engine.with_environment(CUDA_BASE="my/base:1", REFLEX_GPU="GPU-1234", REFLEX_DEVICE="cuda")

    services = yaml.safe_load(chosen.docker("compose", "--profile", "gpu-rtx", "config").stdout)["services"]
    rendered = services["frontend-gpu"]

    [device] = rendered["deploy"]["resources"]["reservations"]["devices"]
    assert (device["driver"], device["device_ids"]) == ("nvidia", ["GPU-1234"])
    assert rendered["build"]["args"] == {"CUDA_BASE": "my/base:1"}
    assert rendered["environment"]["REFLEX_DEVICE"] == "cuda"
    assert "REFLEX_TRITON" not in rendered["environment"]


def test_engines_are_built_in_the_tensorrt_of_the_same_release(engine: Engine) -> None:
    chosen = engine.with_environment(NVIDIA_TRITON_RELEASE="26.08")

    rendered = yaml.safe_load(chosen.docker("compose", "--profile", "export", "config").stdout)["services"]["engines"]

    assert rendered["build"]["args"]["TENSORRT_IMAGE"] == "nvcr.io/nvidia/tensorrt:26.08-py3"
    assert [mount["target"] for mount in rendered["volumes"]] == ["/models", "/cache"]
    assert rendered["deploy"]["resources"]["reservations"]["devices"][0]["capabilities"] == ["gpu"]


def test_a_plain_up_starts_no_gpu_and_no_observability(engine: Engine) -> None:
    assert set(engine.docker("compose", "config", "--services").stdout.split()) == {"frontend", "control", "triton"}
