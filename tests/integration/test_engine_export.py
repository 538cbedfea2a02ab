"""`reflex export --engine tensorrt-rtx`: engines beside the ONNX, or nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from docs.documents import REPOSITORY
from integration.engine_builds import BUILD_S, worker_of
from reflex.policy_config import read_policy_config
from reflex_frontend.policy.policy import load_policy


def export_with_engines(repository: Path, home: Path, *options: str) -> subprocess.Popen[str]:
    """`reflex export --engine tensorrt-rtx` of the demo's checkpoint, with a cache of its own."""
    source = REPOSITORY / "export" / "demo_checkpoint"
    where = ["--name", "arm", "--embodiment", "franka", "--repository", str(repository)]
    return subprocess.Popen(
        [sys.executable, "-m", "reflex.cli", "export", str(source), *where, "--engine", "tensorrt-rtx", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={"HOME": str(home), "PATH": ""},
    )


@pytest.mark.slow
def test_an_export_with_engines_publishes_them_beside_the_onnx(tmp_path: Path) -> None:
    with export_with_engines(tmp_path / "models", tmp_path, "--steps", "1", "--json") as process:
        output, errors = process.communicate(timeout=BUILD_S)

    assert (process.returncode, errors) == (0, "")
    (engines,) = json.loads(output)["engines"]
    assert [Path(part["plan"]) for part in engines["components"]] == [
        tmp_path / "models" / f"arm_{role}" / "1" / "model.plan" for role in ("encoder", "denoise")
    ]
    for part in engines["components"]:
        plan = Path(part["plan"])
        assert plan.stat().st_size == part["plan_bytes"]
        assert {path.name for path in plan.parent.iterdir()} == {"model.onnx", "model.plan", "engine.json"}
    described = read_policy_config(tmp_path / "models" / "arm")
    # Triton itself has no backend for these plans: what is served, and so what is said, is the ONNX.
    assert (described.engine, described.precision, described.inference_mode) == ("onnx", "fp32", "onnx_cpu")
    assert load_policy(tmp_path / "models", "arm").config == described


@pytest.mark.slow
def test_an_export_whose_engines_fail_publishes_nothing(tmp_path: Path) -> None:
    with export_with_engines(tmp_path / "models", tmp_path, "--steps", "10") as process:
        worker_of(process).kill()
        _, errors = process.communicate(timeout=BUILD_S)

    assert process.returncode == 1
    assert "killed, probably because memory ran out" in errors
    assert not (tmp_path / "models").exists()


@pytest.mark.slow
def test_a_dry_run_with_engines_publishes_nothing(tmp_path: Path) -> None:
    with export_with_engines(tmp_path / "models", tmp_path, "--steps", "1", "--dry-run") as process:
        _, errors = process.communicate(timeout=BUILD_S)

    assert process.returncode == 0, errors
    assert not (tmp_path / "models").exists()
