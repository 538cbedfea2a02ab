"""Every recorded checkpoint, read and held against what the reference recorded beside it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from tokenizers import Tokenizer

from reflex_export.checkpoint import Checkpoint, Normalizer, Text
from reflex_export.reading import read_checkpoint
from support.checkpoints.golden import golden_cases, golden_folder

VLA = ("smolvla", "pi0", "pi05", "variants/smolvla_longest", "variants/pi0_basekeys", "variants/pi05_basekeys")
ALL = (*VLA, "act", "diffusion")
CASES = [(name, case) for name in ALL for case in golden_cases(name)]
PLAIN_CASES = [(name, case) for name, case in CASES if "rtc" not in case]

Array = npt.NDArray[Any]


def normalize(x: Array, normalizer: Normalizer) -> Array:
    statistics, eps = normalizer.statistics, np.float32(normalizer.eps)
    if not statistics or normalizer.mode == "IDENTITY":
        return x
    if normalizer.mode == "MEAN_STD":
        return np.asarray((x - statistics["mean"]) / (statistics["std"] + eps))
    low, high = {"MIN_MAX": ("min", "max"), "QUANTILES": ("q01", "q99"), "QUANTILE10": ("q10", "q90")}[normalizer.mode]
    span = statistics[high] - statistics[low]
    return np.asarray(2 * (x - statistics[low]) / np.where(span == 0, eps, span) - 1)


def prompt_of(checkpoint: Checkpoint, task: str, state: Array) -> str:
    if checkpoint.family != "pi05":
        return task if task.endswith("\n") else f"{task}\n"
    bins = np.digitize(state, np.linspace(-1, 1, 257)[:-1]) - 1
    cleaned = task.strip().replace("_", " ").replace("\n", " ")
    return f"Task: {cleaned}, State: {' '.join(map(str, bins))};\nAction: "


def tokenise(text: Text, prompt: str) -> tuple[Array, Array]:
    tokenizer = Tokenizer.from_str(text.tokenizer_json)
    tokenizer.enable_truncation(text.max_tokens, direction=text.truncation_side)
    ids = tokenizer.encode(prompt).ids
    padding = [text.pad_id] * (text.max_tokens - len(ids))
    mask = np.arange(text.max_tokens) < len(ids)
    assert text.padding_side == "right"
    return np.array(ids + padding), mask


@pytest.mark.slow
@pytest.mark.parametrize(("name", "case"), CASES)
def test_state_is_normalised_as_the_reference_did(name: str, case: str) -> None:
    checkpoint = read_checkpoint(golden_folder(name))
    recorded = np.load(golden_folder(name) / f"{case}.npz")
    normalised = normalize(recorded["state_raw"], checkpoint.state)
    assert normalised.dtype == np.float32
    np.testing.assert_allclose(normalised, recorded["state_normalized"][0], rtol=1e-6, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "case"), [(name, case) for name, case in CASES if name in VLA])
def test_prompt_becomes_the_recorded_tokens(name: str, case: str) -> None:
    checkpoint = read_checkpoint(golden_folder(name))
    assert checkpoint.text is not None
    recorded = np.load(golden_folder(name) / f"{case}.npz")
    prompt = prompt_of(checkpoint, str(recorded["task"]), recorded["state_normalized"][0])
    assert prompt == str(recorded["prompt"])
    tokens, mask = tokenise(checkpoint.text, prompt)
    # Padding to the longest prompt records a shorter row; the rest is padding.
    length = recorded["tokens"].shape[1]
    np.testing.assert_array_equal(tokens[:length], recorded["tokens"][0])
    np.testing.assert_array_equal(mask[:length], recorded["token_mask"][0])
    assert not mask[length:].any()


@pytest.mark.slow
@pytest.mark.parametrize(("name", "case"), PLAIN_CASES)
def test_actions_are_unnormalised_as_the_reference_did(name: str, case: str) -> None:
    checkpoint = read_checkpoint(golden_folder(name))
    recorded = np.load(golden_folder(name) / f"{case}.npz")
    expected = recorded["actions"][0]
    back = normalize(expected, checkpoint.action)
    # A joint whose range is zero keeps nothing of its normalised value.
    spread = checkpoint.action.statistics
    low, high = {"MEAN_STD": ("std", "std"), "MIN_MAX": ("min", "max")}.get(checkpoint.action.mode, ("q01", "q99"))
    moves = spread["std"] > 0 if low == "std" else spread[high] > spread[low]
    assert moves.any()
    np.testing.assert_allclose(back[:, moves], recorded["actions_norm"][0][:, moves], atol=1e-4)


@pytest.mark.parametrize("name", ALL)
def test_cameras_come_in_the_order_of_the_config(name: str) -> None:
    checkpoint = read_checkpoint(golden_folder(name))
    inputs = json.loads((golden_folder(name) / "config.json").read_text())["input_features"]
    assert [camera.key for camera in checkpoint.cameras] == [key for key in inputs if key != "observation.state"]
    assert [list(camera.shape) for camera in checkpoint.cameras] == [inputs[c.key]["shape"] for c in checkpoint.cameras]
    assert not any(camera.is_empty for camera in checkpoint.cameras)


@pytest.mark.parametrize("name", ALL)
def test_everything_else_is_read(name: str) -> None:
    checkpoint = read_checkpoint(golden_folder(name))
    assert checkpoint.family == json.loads((golden_folder(name) / "config.json").read_text())["type"]
    assert (checkpoint.state_dim, checkpoint.action_dim) == ((2, 2) if name == "diffusion" else (6, 6))
    assert (checkpoint.text is None) == (name not in VLA)
    assert (checkpoint.vlm_config is None) == ("smolvla" not in name)
    assert checkpoint.relative_actions is None
    assert (checkpoint.source, checkpoint.revision) == (name.rpartition("/")[2], None)
    expected = "IDENTITY" if name in VLA else "MEAN_STD"
    assert {normalizer.mode for normalizer in checkpoint.images.values()} == {expected}
    assert all(n.statistics["mean"].shape == (3, 1, 1) for n in checkpoint.images.values() if n.mode == "MEAN_STD")
