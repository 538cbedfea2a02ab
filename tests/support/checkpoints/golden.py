"""The recorded checkpoints and values of the reference implementations, and running graphs against them.

They lie in `tests/golden`, whose README says how they were made. Without them a test fails; it never skips.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest
from _pytest.mark import ParameterSet

from reflex_export.checkpoint import Checkpoint
from reflex_export.errors import MissingTensorError
from reflex_export.families.common import FamilyGraphs
from reflex_export.graph.graph import OnnxModel
from reflex_export.reading import read_checkpoint

Array = npt.NDArray[Any]
GOLDEN = Path(__file__).resolve().parents[2] / "golden"


class ArrayTensors:
    """A `TensorSource` over arrays in memory."""

    def __init__(self, arrays: Mapping[str, Array]) -> None:
        self._arrays = dict(arrays)

    def names(self) -> frozenset[str]:
        return frozenset(self._arrays)

    def shape(self, name: str) -> tuple[int, ...]:
        return self.load(name).shape

    def load(self, name: str) -> Array:
        if name not in self._arrays:
            raise MissingTensorError(f"the checkpoint has no tensor {name}")
        return self._arrays[name]


def golden_folder(name: str) -> Path:
    """`smolvla`, `variants/pi0_basekeys`, ...; FileNotFoundError where the recordings are absent."""
    folder = GOLDEN / name
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is absent; it belongs to the repository: git checkout -- tests/golden")
    return folder


def golden_cases(name: str) -> list[str]:
    """Names of the recorded cases, for `parametrize`; FileNotFoundError where there is none."""
    found = sorted(path.stem for path in golden_folder(name).glob("case_*.npz"))
    if not found:
        raise FileNotFoundError(f"{GOLDEN / name} holds no case_*.npz: git checkout -- tests/golden")
    return found


def variants_in_whole_runs(cases: Iterable[tuple[str, str]]) -> list[ParameterSet]:
    """For `parametrize`: a variant goes the way of the recording it is of, with other keys or lengths."""
    return [
        pytest.param(name, case, marks=pytest.mark.slow if name.startswith("variants/") else ()) for name, case in cases
    ]


@cache
def golden_case(name: str, case: str) -> dict[str, Array]:
    """Everything that a case recorded, and `x_t` of real-time chunking: what the step before left."""
    with np.load(golden_folder(name) / f"{case}.npz", allow_pickle=False) as recorded:
        arrays = {key: recorded[key] for key in recorded.files}
    if "x_after_step" in arrays:
        arrays["x_t"] = np.concatenate([arrays["noise"], arrays["x_after_step"][:-1]])
    return arrays


@cache
def golden_checkpoint(name: str) -> Checkpoint:
    """The checkpoint beside the cases."""
    return read_checkpoint(golden_folder(name))


def run_model(model: OnnxModel, feeds: Mapping[str, Array]) -> dict[str, Array]:
    """One graph on the CPU, on one thread: what it needs is taken from `feeds`; all its outputs."""
    session = _session(model.content)
    names = [value.name for value in session.get_outputs()]
    inputs = {value.name: feeds[value.name] for value in session.get_inputs()}
    return dict(zip(names, session.run(names, inputs), strict=True))


@lru_cache(maxsize=64)
def _session(content: bytes) -> onnxruntime.InferenceSession:
    """Loading a graph takes ten times as long as running it, and most graphs are run for several cases."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def run_graphs(graphs: FamilyGraphs, steps: int, feeds: Mapping[str, Array]) -> dict[str, Array]:
    """Preprocess, encoder and denoise one after the other; every tensor that was there."""
    known = dict(feeds)
    for model in (graphs.preprocess, graphs.encoder, graphs.denoise[steps]):
        known.update(run_model(model, known))
    return known


def observation_feeds(case: Mapping[str, Array], checkpoint: Checkpoint) -> dict[str, Array]:
    """The raw inputs of a case as clients send them, with the batch axis; an absent camera is one black pixel."""
    cameras = [camera for camera in checkpoint.cameras if not camera.is_empty]
    present = [f"image.{camera.key}" in case for camera in cameras]
    absent = np.zeros((1, 1, 3), np.uint8)
    feeds = {f"image.{camera.name}": case.get(f"image.{camera.key}", absent)[None] for camera in cameras}
    feeds |= {"camera_mask": np.array([present]), "state": case["state_raw"][None]}
    if "tokens" in case:
        feeds |= _padded_tokens(case, checkpoint)
    if "noise" in case:
        feeds["noise"] = case["noise"]
    return feeds


def guidance_feeds(case: Mapping[str, Array], horizon: int, width: int) -> dict[str, Array]:
    """The inputs of real-time chunking: the recorded ones, or zeros."""
    feeds = {
        "prev_chunk": np.zeros((1, horizon, width), np.float32),
        "rtc_weights": np.zeros((1, horizon), np.float32),
        "rtc_max_guidance": np.zeros((1, 1), np.float32),
    }
    if "rtc.prev_chunk_left_over" in case:
        previous = case["rtc.prev_chunk_left_over"].reshape(-1, case["rtc.prev_chunk_left_over"].shape[-1])
        feeds["prev_chunk"][0, : previous.shape[0], : previous.shape[1]] = previous
        feeds["rtc_weights"][0] = case["rtc.weights"].reshape(-1, horizon)[0]
        feeds["rtc_max_guidance"][0, 0] = case["rtc.max_guidance_weight"]
    return feeds


def _padded_tokens(case: Mapping[str, Array], checkpoint: Checkpoint) -> dict[str, Array]:
    """Tokens and mask, [1, max_tokens]: some recordings are padded to their own length only."""
    assert checkpoint.text is not None
    missing = ((0, 0), (0, checkpoint.text.max_tokens - case["tokens"].shape[1]))
    return {
        "tokens": np.pad(case["tokens"], missing, constant_values=checkpoint.text.pad_id),
        "token_mask": np.pad(case["token_mask"], missing, constant_values=False),
    }
