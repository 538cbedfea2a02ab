"""A policy's models on disk: which there are, and that the forms of one graph share their weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from reflex.export_options import ExportOptions
from reflex.model_repository import CUDA_MODEL_FILE, cuda_model_file, model_file
from reflex.policy_config import PolicyConfig
from reflex_export.exporting import variants
from reflex_export.exporting.pipeline import export_checkpoint
from reflex_export.families.common import Arithmetic
from reflex_export.families.family_graphs import build_graphs
from reflex_export.graph import onnx_model
from reflex_export.graph.onnx_model import DATA_FILE
from reflex_export.publishing.staged import staging
from support.checkpoints.golden import golden_checkpoint


def exported(repository: Path, family: str, steps: tuple[int, ...] = (2, 1)) -> tuple[PolicyConfig, ...]:
    options = ExportOptions(repository, "arm", "so101", precision="fp16", steps=steps, check=False)
    return export_checkpoint(golden_checkpoint(family), options).policies


@pytest.fixture
def weights_lie_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """As those of every policy of a published size do."""
    monkeypatch.setattr(onnx_model, "_EXTERNAL_FROM_BYTES", 1)


def opened(path: Path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


@pytest.mark.usefixtures("weights_lie_outside")
@pytest.mark.parametrize("family", ["smolvla", "pi0", "pi05"])
def test_a_denoise_has_a_form_for_cuda_that_reads_the_same_weights(family: str, tmp_path: Path) -> None:
    for policy in exported(tmp_path, family, steps=(2, 3)):
        model = policy.component("denoise")
        own = cuda_model_file(tmp_path, model)
        assert own is not None
        assert {path.name for path in own.parent.iterdir()} == {"model.onnx", DATA_FILE, CUDA_MODEL_FILE}
        assert own.stat().st_size < (own.parent / DATA_FILE).stat().st_size
        sessions = [opened(path) for path in (model_file(tmp_path, model), own)]
        feeds = {value.name: made_up(value) for value in sessions[0].get_inputs()}
        masked, counted = (session.run(["actions_normalized"], feeds)[0] for session in sessions)
        np.testing.assert_allclose(counted, masked, atol=5e-3)
        assert np.isfinite(counted).all()


@pytest.mark.usefixtures("weights_lie_outside")
def test_no_other_model_has_one(tmp_path: Path) -> None:
    for family, steps in {"smolvla": (2, 1), "pi0": (2, 1), "act": (1,)}.items():
        exported(tmp_path / family, family, steps=steps)
    found = [path.relative_to(tmp_path).parts[:2] for path in tmp_path.rglob(CUDA_MODEL_FILE)]
    with_masks = {("pi0", "arm-1steps_denoise")}  # its only step is the one that needs them
    of_families = {(family, f"{arm}_denoise") for family in ("smolvla", "pi0") for arm in ("arm", "arm-1steps")}
    assert set(found) == of_families - with_masks


@pytest.mark.usefixtures("weights_lie_outside")
@pytest.mark.parametrize("arithmetic", ["fp32", "fp16_mlp"])
def test_attention_in_fp32_has_none_for_it_gains_nothing(arithmetic: Arithmetic) -> None:
    graphs = build_graphs(golden_checkpoint("pi05"), (2,), arithmetic)
    assert graphs.denoise[2].external
    assert variants._for_cuda(graphs, 2) is None


@pytest.mark.usefixtures("weights_lie_outside")
def test_a_policys_hash_covers_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    both = exported(tmp_path / "both", "pi0")
    monkeypatch.setattr(variants, "_for_cuda", lambda _graphs, _steps: None)
    one = exported(tmp_path / "one", "pi0")
    assert both[0].policy_hash != one[0].policy_hash


@pytest.mark.usefixtures("weights_lie_outside")
def test_a_form_that_reads_other_weights_is_never_written(tmp_path: Path) -> None:
    mine, others = (build_graphs(golden_checkpoint(name), (2,), "fp16").denoise[2] for name in ("pi05", "smolvla"))
    with staging(tmp_path) as staged, pytest.raises(ValueError, match="the form for CUDA has other weights"):
        staged.write_model("arm_denoise", "denoise", mine, 4, for_cuda=others)


def test_weights_within_the_graph_are_not_written_twice(tmp_path: Path) -> None:
    exported(tmp_path, "smolvla")
    assert list(tmp_path.rglob(CUDA_MODEL_FILE)) == []


def made_up(value: onnxruntime.NodeArg) -> np.ndarray[tuple[int, ...], np.dtype[np.generic]]:
    """For a batch of two, of which each second token of the prefix is padding."""
    shape = (2, *value.shape[1:])
    if value.type == "tensor(bool)":
        return np.broadcast_to(np.arange(shape[1]) % 2 == 0, shape).copy()
    drawn = 0.1 * np.random.default_rng(0).standard_normal(shape)
    return drawn.astype(np.float16 if value.type == "tensor(float16)" else np.float32)
