"""Holding the graphs of pi0 and pi0.5 against what the reference implementation recorded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from reflex.numerics import max_abs
from reflex_export.checkpoint import Checkpoint
from reflex_export.families import pi0, pi05
from reflex_export.families.common import FamilyGraphs, Precision
from reflex_export.reading import read_checkpoint
from support.checkpoints.altered import options_of
from support.checkpoints.golden import golden_case, golden_folder, guidance_feeds, observation_feeds, run_graphs
from support.checkpoints.numpy_pi import Policy, denoise, encode

__all__ = ["answer", "build", "differences", "graphs", "numpy_chunk", "random_observation", "recorded_checkpoint"]

Array = npt.NDArray[Any]
Run = Callable[[FamilyGraphs, int, Mapping[str, Array]], dict[str, Array]]
RECORDED_STEPS = (10, 4, 1, 5, 2)
GUIDED_RTOL = 1e-5


@cache
def recorded_checkpoint(name: str) -> Checkpoint:
    """A recorded checkpoint, through the reader."""
    return read_checkpoint(golden_folder(name))


def build(checkpoint: Checkpoint, **options: Any) -> FamilyGraphs:
    """The graphs of a checkpoint of either family."""
    families: Mapping[str, Callable[..., FamilyGraphs]] = {"pi0": pi0.build, "pi05": pi05.build}
    return families[checkpoint.family](checkpoint, **options)


@cache
def graphs(name: str, precision: Precision = "fp32") -> FamilyGraphs:
    """The graphs of a recorded checkpoint, for every step count that a case has."""
    return build(recorded_checkpoint(name), steps=RECORDED_STEPS, precision=precision, taps=True)


def answer(name: str, case: str, precision: Precision = "fp32", run: Run = run_graphs) -> dict[str, Array]:
    """Every tensor of the graphs' run on a recorded observation."""
    recorded, checkpoint = golden_case(name, case), recorded_checkpoint(name)
    horizon, width = recorded["noise"].shape[1:]
    feeds = observation_feeds(recorded, checkpoint) | guidance_feeds(recorded, horizon, width)
    return run(graphs(name, precision), int(recorded["num_steps"]), feeds)


def differences(name: str, case: str, found: Mapping[str, Array]) -> dict[str, float]:
    """The largest absolute difference of each kind of value to the recorded one, at valid positions."""
    recorded, checkpoint = golden_case(name, case), recorded_checkpoint(name)
    figures = {
        "x_t": max_abs(found["tap.x_t"][0], recorded["x_t"]),
        "v_t": max_abs(found["tap.v_t"][0], recorded["v_t"]),
        "actions_norm": max_abs(found["actions_normalized"], recorded["actions_norm"]),
        "actions": max_abs(found["actions"], recorded["actions"]),
    }
    if "pixel_values.0" in recorded:
        figures |= _prefix_differences(recorded, checkpoint, found)
    if "v_t_guided" in recorded:
        figures["v_t_guided"] = _guided_difference(found["tap.v_t_guided"][0], recorded["v_t_guided"])
        figures["x_after_step"] = max_abs(found["tap.x_after_step"][0], recorded["x_after_step"])
    return figures


def _prefix_differences(
    recorded: Mapping[str, Array], checkpoint: Checkpoint, found: Mapping[str, Array]
) -> dict[str, float]:
    """Of what the denoising sees; cases of real-time chunking do not hold it."""
    names = _names(checkpoint)
    return {
        "pixels": _worst_image(
            recorded, checkpoint, lambda i, camera: (f"pixel_values.{i}", found[f"pixels.{camera}"])
        ),
        "image_embeds": _worst_image(
            recorded,
            checkpoint,
            lambda i, camera: (f"image_embeds.{i}", found[f"tap.image_embeds.{names.index(camera)}"]),
        ),
        "keys": max_abs(*_valid(recorded, found, "prefix_keys", "prefix_k")),
        "values": max_abs(*_valid(recorded, found, "prefix_values", "prefix_v")),
    }


def _guided_difference(found: Array, recorded: Array) -> float:
    """The largest absolute difference beyond a share of the value: guidance magnifies v and float32's rounding of it.

    Values reach 66, and the recorded ones are themselves 1e-4 from what float64 gives.
    """
    assert found.shape == recorded.shape
    return float((np.abs(found - recorded) - GUIDED_RTOL * np.abs(recorded)).max())


def _names(checkpoint: Checkpoint) -> list[str]:
    return [camera.name for camera in checkpoint.cameras if not camera.is_empty]


def _worst_image(
    recorded: Mapping[str, Array], checkpoint: Checkpoint, pair: Callable[[int, str], tuple[str, Array]]
) -> float:
    """Over the cameras that were there, in the order of the reference's prefix."""
    by_key = {camera.key: camera.name for camera in checkpoint.cameras}
    worst = 0.0
    for index, key in enumerate(recorded["camera_order_model"]):
        if recorded["img_masks"][0, index]:
            name, value = pair(index, by_key[str(key)])
            worst = max(worst, max_abs(value, recorded[name]))
    return worst


def _valid(
    recorded: Mapping[str, Array], found: Mapping[str, Array], name: str, recorded_name: str
) -> tuple[Array, Array]:
    """Ours and theirs at valid positions; the reference's prefix has absent cameras last, ours never moves them."""
    theirs = np.stack([recorded[f"{recorded_name}.{layer}"][0] for layer in range(found[name].shape[1])])
    ours = found[name][0][:, :, found["prefix_mask"][0]]
    return ours, theirs[:, :, recorded["prefix_pad_masks"][0]]


def random_observation(checkpoint: Checkpoint, *, seed: int, absent: tuple[str, ...] = ()) -> dict[str, Array]:
    """Raw inputs for a checkpoint of any size, without real-time chunking."""
    assert checkpoint.text is not None
    random = np.random.RandomState(seed)
    cameras = [camera for camera in checkpoint.cameras if not camera.is_empty]
    images = {f"image.{c.name}": random.randint(0, 256, (1, *c.shape[1:], 3)).astype(np.uint8) for c in cameras}
    length, used = checkpoint.text.max_tokens, checkpoint.text.max_tokens - 3
    shape = (1, options_of(checkpoint)["chunk_size"], options_of(checkpoint)["max_action_dim"])
    return {
        **images,
        "camera_mask": np.array([[camera.name not in absent for camera in cameras]]),
        "state": random.standard_normal((1, checkpoint.state_dim)).astype(np.float32),
        "tokens": random.randint(0, 250, (1, length)),
        "token_mask": np.arange(length)[None] < used,
        "noise": random.standard_normal(shape).astype(np.float32),
        "prev_chunk": np.zeros(shape, np.float32),
        "rtc_weights": np.zeros(shape[:2], np.float32),
        "rtc_max_guidance": np.zeros((1, 1), np.float32),
    }


def numpy_chunk(
    checkpoint: Checkpoint, known: Mapping[str, Array], normalized_state: Array, steps: int, fixed: int = 0
) -> Array:
    """The normalised chunk [T, A] by the independent implementation, from the pixels that the graphs computed."""
    tensors = checkpoint.tensors
    weights = {name.removeprefix("model."): tensors.load(name) for name in tensors.names()}
    policy = Policy(checkpoint.family, weights, options_of(checkpoint))
    present = zip(_names(checkpoint), known["camera_mask"][0], strict=True)
    pixels = [known[f"pixels.{name}"][0] for name, is_present in present if is_present]
    prefix = encode(policy, pixels, known["tokens"][0][known["token_mask"][0]])
    return denoise(policy, prefix, normalized_state, known["noise"][0], steps, (known["prev_chunk"][0], fixed))
