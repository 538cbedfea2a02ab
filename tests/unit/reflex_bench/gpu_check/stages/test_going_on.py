"""What fails in a stage is said, and the next is measured: one operator or one full memory costs no other figure."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from onnxruntime.capi import onnxruntime_pybind11_state as ort

from reflex_bench.gpu_check.plan import SMALL
from reflex_bench.gpu_check.policies import MadePolicy
from reflex_bench.gpu_check.rows import LeftOut, Row
from reflex_bench.gpu_check.stages import act, chunks, parity
from reflex_export.checking.parity import GATES, Parity
from support.waiting import HANGS_S

PLAN = replace(SMALL, policies=[("smolvla", 1), ("pi0", 1)], batches=(1, 2), is_small=False)


def made(_plan: object, _golden: object, scratch: Path, family: str, cameras: int) -> MadePolicy:
    (scratch / f"{family}-{cameras}").mkdir()
    return MadePolicy(scratch / f"{family}-{cameras}", family, cameras)


def heard(emitted: list[Row | LeftOut]) -> list[str]:
    return [one.why if isinstance(one, LeftOut) else one.what for one in emitted]


def test_a_batch_that_does_not_fit_costs_neither_the_smaller_one_nor_the_next_policy(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Pair:
        note = ""

        def __init__(self, *_: object) -> None: ...

        def measure(self, batch: int, _rounds: int) -> tuple[float, float, float]:
            if batch > 1:
                raise ort.RuntimeException("CUDA failure 2: out of memory")
            return 1.0, 2.0, 3.0

    monkeypatch.setattr(chunks, "make_policy", made)
    monkeypatch.setattr(chunks, "GraphPair", Pair)
    monkeypatch.setattr(MadePolicy, "encoder", Path("encoder"))
    monkeypatch.setattr(MadePolicy, "denoise", lambda _: Path("denoise"))
    monkeypatch.setattr(MadePolicy, "denoise_on", lambda _, __: Path("denoise"))
    emitted: list[Row | LeftOut] = []

    chunks.measure_chunks(PLAN, ["cuda"], None, tmp_path, tmp_path, emitted.append)

    parts = [f"cuda, batch 1: {part}" for part in chunks.PARTS]
    full = "cuda: CUDA failure 2: out of memory"
    assert heard(emitted) == [
        f"{family}, 1 camera(s), {one}" for family in ("smolvla", "pi0") for one in (*parts, full)
    ]


@pytest.mark.parametrize("breaks_at", [1, 2])
def test_a_form_for_cuda_that_fails_is_left_out_and_its_figures_are_not_mixed_with_the_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, breaks_at: int
) -> None:
    class Pair:
        note = ""

        def __init__(self, _encoder: Path, denoise: Path, _way: str) -> None:
            self.is_cudas = denoise.name == "model.cuda.onnx"

        def measure(self, batch: int, _rounds: int) -> tuple[float, float, float]:
            if self.is_cudas and batch >= breaks_at:
                raise ort.NotImplemented("no such attention")
            return 1.0, 2.0 if self.is_cudas else 4.0, 3.0

    monkeypatch.setattr(chunks, "make_policy", made)
    monkeypatch.setattr(chunks, "GraphPair", Pair)
    monkeypatch.setattr(MadePolicy, "encoder", Path("encoder"))
    monkeypatch.setattr(MadePolicy, "denoise", lambda _: Path("model.onnx"))
    monkeypatch.setattr(MadePolicy, "denoise_on", lambda _, __: Path("model.cuda.onnx"))
    emitted: list[Row | LeftOut] = []

    chunks.measure_chunks(replace(PLAN, policies=[("pi0", 1)]), ["cuda"], None, tmp_path, tmp_path, emitted.append)

    rows = {(row.keys["part"], row.keys["batch"]): row.value for row in emitted if isinstance(row, Row)}
    assert rows["denoise with masks", 1] == 4.0
    assert [rows.get(("denoise", batch)) for batch in (1, 2)] == ([4.0, 4.0] if breaks_at == 1 else [2.0, None])
    assert "pi0, 1 camera(s), cuda: the denoise without masks: no such attention" in heard(emitted)


def test_a_policy_that_cannot_be_made_leaves_nothing_and_the_next_is_made(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(*given: Any) -> MadePolicy:
        made(*given)
        (tmp_path / f"{given[3]}-checkpoint").mkdir()
        raise OSError("No space left on device")

    monkeypatch.setattr(chunks, "make_policy", fail)
    emitted: list[Row | LeftOut] = []

    chunks.measure_chunks(PLAN, ["cuda"], None, tmp_path, tmp_path, emitted.append)

    assert heard(emitted) == [
        f"{family}, 1 camera(s): it could not be made: No space left on device" for family in ("smolvla", "pi0")
    ]
    assert list(tmp_path.iterdir()) == []


def test_a_way_or_a_graph_that_fails_costs_no_other_checkpoint_its_parity(monkeypatch: pytest.MonkeyPatch) -> None:
    good = Parity(GATES["fp32"], "recorded cases")

    def build(checkpoint: str, *_: object) -> object:
        if checkpoint == "b":
            raise NotImplementedError("no such arithmetic")
        one = SimpleNamespace(counted=None, denoise={4: None}, preprocess=None, encoder=None)
        return one if checkpoint == "a" else SimpleNamespace(**{**vars(one), "counted": lambda _steps: None})

    def measure(checkpoint: str, *rest: object) -> object:
        if checkpoint == "a" and rest[-1] == "cuda":
            raise ort.NotImplemented("Could not find an implementation for RotaryEmbedding(23)")
        return good

    monkeypatch.setattr(parity, "_policies", lambda *_: [(name, name, 4, []) for name in "abc"])
    monkeypatch.setattr(parity, "build_graphs", build)
    monkeypatch.setattr(parity, "_parity", measure)
    emitted: list[Row | LeftOut] = []

    parity.measure_parity(replace(PLAN, arithmetics=("fp32",)), ["cuda", "trt-rtx"], Path(), emitted.append)

    assert heard(emitted) == [
        "a, 4 step(s), fp32, cuda: Could not find an implementation for RotaryEmbedding(23)",
        "a, 4 step(s), fp32, trt-rtx",
        "b, 4 step(s), fp32: its graphs: no such arithmetic",
        "c, 4 step(s), fp32, cuda",
        "c, 4 step(s), fp32, trt-rtx",
    ]


def test_a_server_that_does_not_start_costs_the_other_familys_act_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def serve(_plan: object, policy: MadePolicy, *_: object) -> None:
        raise RuntimeError(f"{policy.family} did not become ready:\nmuch\nout of memory")

    monkeypatch.setattr(act, "make_policy", made)
    monkeypatch.setattr(act, "_serve", serve)
    emitted: list[Row | LeftOut] = []

    act.measure_act(PLAN, "cuda", lambda *_: None, tmp_path, tmp_path, emitted.append)

    assert heard(emitted) == [
        f"{family}, 1 camera(s): /act: {family} did not become ready: ... out of memory"
        for family in ("smolvla", "pi0")
    ]


def test_what_only_serving_needs_is_asked_for_when_act_is_measured() -> None:
    """A machine may have the packages of the other stages alone: `make gpu-pack ARGS=--no-wheels`."""
    code = (
        "import sys\n"
        "sys.modules |= dict.fromkeys(('simplejpeg', 'orjson', 'tritonclient', 'uvicorn', 'typer', 'torch'))\n"
        "import reflex_bench.gpu_check.__main__"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=HANGS_S, check=False)

    assert (done.returncode, done.stderr) == (0, "")
