"""A policy that was fitted on demonstrations: its answer depends on pictures, state and instruction.

    pixels -> where it is red, and how much     |
    state, normalised                           | -> random ReLU features -> ridge regression -> chunk
    tokens -> mean of random embeddings         |

Everything is an ONNX graph, and it was fitted on what those graphs compute.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import onnxruntime
from tokenizers import Tokenizer

from reflex.policy_config import (
    ActionSpaceConfig,
    CameraConfig,
    CanaryConfig,
    NormalizationConfig,
    PolicyConfig,
    PromptConfig,
)
from reflex_export.blocks.resize import resize_with_padding
from reflex_export.demo_data.tokenizer import PAD_ID, build_tokenizer
from reflex_export.graph.graph import GraphBuilder, OnnxModel
from reflex_export.publishing.staged import StagedModel, identity_of, staging, write_contract
from reflex_export.publishing.triton_config import ensemble_inputs
from reflex_runner.simulation.eyes import CAMERAS
from support.datasets.drafts import Draft
from support.diagnosis.demonstrations import FEATURES

__all__ = ["HORIZON", "Fitted", "Statistics", "fit", "graphs_of", "tokens_of", "write_fitted_policy"]

HORIZON, AXES, MAX_TOKENS, VOCABULARY = 16, 6, 48, 512
SIDE = 64
SEEN = len(CAMERAS) * 3
HIDDEN, WORDS = 900, 12
RIDGE: Final = 3e-3
THRESHOLD: Final = 0.3
IMPORTANCE: Final = np.tile([1.5, 2.5, 2.5], len(CAMERAS))
"""Of what is seen: where something is red says more than how much of it there is."""
SEED: Final = 5
Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Statistics:
    """Mean and standard deviation of state and actions; what a server computes with may be others than were fitted."""

    state_mean: Array
    state_std: Array
    action_mean: Array
    action_std: Array


@dataclass(frozen=True)
class Fitted:
    """Weights of the graphs."""

    statistics: Statistics
    seen_mean: Array
    gain: Array
    words: Array
    first: Array
    first_bias: Array
    second: Array
    noise: float = 0.0
    """How far the noise of a request moves the whole chunk, in standard deviations."""


@functools.cache
def _tokenizer() -> Tokenizer:
    return Tokenizer.from_str(build_tokenizer())


@functools.cache
def tokens_of(text: str) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """As the frontend has them, for the style `newline`."""
    found = _tokenizer().encode(text + "\n").ids[:MAX_TOKENS]
    tokens, mask = np.full(MAX_TOKENS, PAD_ID, np.int64), np.zeros(MAX_TOKENS, np.bool_)
    tokens[: len(found)], mask[: len(found)] = found, True
    return tokens, mask


def fit(draft: Draft) -> Fitted:
    """By least squares."""
    random = np.random.default_rng(SEED)
    states, actions = (draft.all_of(name).astype(np.float64) for name in ("observation.state", "action"))
    statistics = Statistics(
        *(np.asarray(each, np.float32) for each in (states.mean(0), states.std(0), actions.mean(0), actions.std(0)))
    )
    seen = _seen(draft)
    mean = seen.mean(0)
    gain = IMPORTANCE / (seen.std(0) + 1e-3)
    words = random.standard_normal((VOCABULARY, WORDS)) * 2
    texts = {number: _words(text, words) for number, text in enumerate(draft.tasks)}
    inputs = np.concatenate(
        [
            (seen - mean) * gain,
            (states - statistics.state_mean) / statistics.state_std,
            np.stack([texts[int(n)] for n in draft.all_of("task_index")]),
        ],
        axis=1,
    )
    first = random.standard_normal((inputs.shape[1], HIDDEN)) / np.sqrt(inputs.shape[1]) * 1.2
    bias = random.uniform(-1, 1, HIDDEN)
    features = _features(inputs, first, bias)
    targets = (_chunks(draft) - statistics.action_mean) / statistics.action_std
    gram = features.T @ features / len(features) + RIDGE * np.eye(features.shape[1])
    second = np.linalg.solve(gram, features.T @ targets.reshape(len(targets), -1) / len(features))
    return Fitted(
        statistics, _single(mean), _single(gain), _single(words), _single(first), _single(bias), _single(second)
    )


def _single(values: Any) -> Array:
    return np.asarray(values, np.float32)


def _features(inputs: Any, first: Any, bias: Any) -> Any:
    return np.concatenate([np.maximum(inputs @ first + bias, 0), inputs, np.ones((len(inputs), 1))], axis=1)


def _words(text: str, words: Any) -> Any:
    tokens, mask = tokens_of(text)
    return words[tokens[mask]].mean(0)


def _chunks(draft: Draft) -> Any:
    """[frames, steps, axes]; after the end the last action goes on."""
    made = []
    for columns in draft.episodes:
        actions = columns["action"]
        made += [actions[np.minimum(frame + np.arange(HORIZON), len(actions) - 1)] for frame in range(len(actions))]
    return np.stack(made)


def _seen(draft: Draft) -> Any:
    """[frames, values] of the graph that looks."""
    session = onnxruntime.InferenceSession(_preprocess().content)
    shown = [draft.pictures[name] for name in FEATURES]
    made = []
    for number in range(len(draft.episodes)):
        feed = {f"image.{camera}": np.stack(of[number]) for camera, of in zip(CAMERAS, shown, strict=True)}
        made.append(session.run(None, feed)[0])
    return np.concatenate(made)


def graphs_of(fitted: Fitted) -> tuple[OnnxModel, OnnxModel, OnnxModel]:
    """Preprocess, encoder, denoise."""
    return _preprocess(), _encoder(fitted), _denoise(fitted)


def _preprocess() -> OnnxModel:
    g = GraphBuilder("preprocess")
    images = [g.input(f"image.{camera}", "UINT8", (-1, -1, 3)) for camera in CAMERAS]
    seen = [part for image in images for part in _where_red(g, resize_with_padding(g, image, (SIDE, SIDE), "centred"))]
    g.output(g.op("Concat", *seen, axis=1), "seen", "FP32", (SEEN,))
    return g.build()


def _where_red(g: GraphBuilder, pixels: ir.Value) -> list[ir.Value]:
    """[B, 3, side, side] in -1..1 to how much of it is red, and the middle of that."""
    red, green, blue = (g.op("Slice", pixels, g.ints(channel), g.ints(channel + 1), g.ints(1)) for channel in range(3))
    redness = g.op("Relu", g.op("Sub", g.op("Sub", red, g.op("Max", green, blue)), g.constant(THRESHOLD)))
    flat = g.op("Flatten", redness, axis=1)
    total = g.op("ReduceSum", flat, g.ints(1), keepdims=1)
    across, down = np.meshgrid(*[np.linspace(-1, 1, SIDE)] * 2)
    middles = g.op("MatMul", flat, g.constant(np.stack([across.ravel(), down.ravel()], axis=1)))
    return [g.op("Sqrt", total), g.op("Div", middles, g.op("Add", total, g.constant(1.0)))]


def _encoder(fitted: Fitted) -> OnnxModel:
    g = GraphBuilder("encoder", {"words": fitted.words})
    seen = g.input("seen", "FP32", (SEEN,))
    g.input("camera_mask", "BOOL", (len(CAMERAS),))
    state = g.input("state", "FP32", (AXES,))
    tokens = g.input("tokens", "INT64", (MAX_TOKENS,))
    mask = g.op("Cast", g.input("token_mask", "BOOL", (MAX_TOKENS,)), to=int(ir.DataType.FLOAT))
    looked = g.op("Mul", g.op("Sub", seen, g.constant(fitted.seen_mean)), g.constant(fitted.gain))
    statistics = fitted.statistics
    posed = g.op("Div", g.op("Sub", state, g.constant(statistics.state_mean)), g.constant(statistics.state_std))
    words = g.op("Mul", g.op("Gather", g.weight("words"), tokens, axis=0), g.op("Unsqueeze", mask, g.ints(2)))
    count = g.op("Max", g.op("ReduceSum", mask, g.ints(1), keepdims=1), g.constant(1.0))
    told = g.op("Div", g.op("ReduceSum", words, g.ints(1), keepdims=0), count)
    g.output(g.op("Concat", looked, posed, told, axis=1), "inputs", "FP32", (SEEN + AXES + WORDS,))
    return g.build()


def _denoise(fitted: Fitted) -> OnnxModel:
    g = GraphBuilder("denoise", {"first": fitted.first, "second": fitted.second})
    inputs = g.input("inputs", "FP32", (SEEN + AXES + WORDS,))
    noise = g.input("noise", "FP32", (HORIZON, AXES))
    hidden = g.op("Relu", g.op("Add", g.op("MatMul", inputs, g.weight("first")), g.constant(fitted.first_bias)))
    one = g.op(
        "Add", g.op("Mul", g.op("Slice", inputs, g.ints(0), g.ints(1), g.ints(1)), g.constant(0.0)), g.constant(1.0)
    )
    flat = g.op("MatMul", g.op("Concat", hidden, inputs, one, axis=1), g.weight("second"))
    chunk = g.op("Reshape", flat, g.ints(-1, HORIZON, AXES))
    moved = g.op("Mul", g.op("Slice", noise, g.ints(0), g.ints(1), g.ints(1)), g.constant(fitted.noise))
    normalized = g.op("Add", chunk, moved)
    statistics = fitted.statistics
    g.output(
        g.op("Add", g.op("Mul", normalized, g.constant(statistics.action_std)), g.constant(statistics.action_mean)),
        "actions",
        "FP32",
        (HORIZON, AXES),
    )
    return g.build()


def write_fitted_policy(
    repository: Path, fitted: Fitted, name: str = "fitted", mode: str = "MEAN_STD", executed: int = HORIZON
) -> PolicyConfig:
    """As an export would."""
    tokenizer = build_tokenizer()
    with staging(repository) as staged:
        roles = ("preprocess", "encoder", "denoise")
        models = tuple(
            staged.write_model(f"{name}_{role}", role, graph, 4)
            for role, graph in zip(roles, graphs_of(fitted), strict=True)
        )
        config = config_of(fitted, models, name, mode, executed)
        for model in models:
            staged.write_component_config(model, config.export_id)
        write_contract(staged.write_ensemble(name, models, config.export_id), config, _canary(fitted), tokenizer)
        staged.publish()
    return config


def config_of(
    fitted: Fitted, models: Sequence[StagedModel], name: str = "fitted", mode: Any = "MEAN_STD", executed: int = HORIZON
) -> PolicyConfig:
    """`reflex_config.json` of it."""
    identity, components = identity_of(tuple(models), {"name": name}), [model.component for model in models]
    statistics, zeros = fitted.statistics, (0.0,) * AXES
    return PolicyConfig(
        schema_version=1,
        policy_id=name,
        policy_hash=identity.policy_hash,
        export_id=identity.export_id,
        family="fitted",
        trained=True,
        description="Fitted by least squares on scripted demonstrations: for tests with simulated arms only.",
        embodiment="so101_sim",
        cameras=tuple(CameraConfig(name=camera, required=True) for camera in CAMERAS),
        state_dim=AXES,
        action_dim=AXES,
        noise_dim=AXES,
        horizon=HORIZON,
        n_action_steps=executed,
        denoising_steps=1,
        prompt=PromptConfig(style="newline", max_tokens=MAX_TOKENS, pad_id=PAD_ID),
        precision="fp32",
        engine="onnx",
        inference_mode="onnx_cpu",
        components={model.component.role: model.name for model in models},
        normalization=tuple(
            NormalizationConfig(feature=feature, mode=mode, statistics=() if mode == "IDENTITY" else ("mean", "std"))
            for feature in ("observation.state", "action")
        ),
        action_space=ActionSpaceConfig(
            scale=tuple(map(float, statistics.action_std)), offset=tuple(map(float, statistics.action_mean)),
            still=zeros, relative=(False,) * AXES,
        ),
        inputs=ensemble_inputs(components),
        outputs=components[-1].outputs,
        canary=CanaryConfig(tolerance=1.0),
    )  # fmt: skip


def _canary(fitted: Fitted) -> Mapping[str, npt.NDArray[Any]]:
    tokens, mask = tokens_of("pick up the cube")
    given: dict[str, Any] = {f"image.{camera}": np.full((48, 64, 3), 128, np.uint8) for camera in CAMERAS}
    given |= {
        "camera_mask": np.ones(len(CAMERAS), np.bool_),
        "state": fitted.statistics.state_mean,
        "tokens": tokens,
        "token_mask": mask,
    }
    given["noise"] = np.zeros((HORIZON, AXES), np.float32)
    return given | {"expected.actions": InProcess(fitted).run(given)}


class InProcess:
    """The same graphs without a server; what it was shown once it need not look at again."""

    def __init__(self, fitted: Fitted) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._sessions = [onnxruntime.InferenceSession(graph.content, options) for graph in graphs_of(fitted)]
        self._seen: dict[object, Any] = {}

    def run(self, given: Mapping[str, Any], shown: object = None) -> Array:
        """Inputs of the ensemble to actions [steps, axes]; `shown` is equal where the pictures are."""
        held = {name: value[None] for name, value in given.items()}
        for number, session in enumerate(self._sessions):
            if number == 0 and shown is not None and shown in self._seen:
                held["seen"] = self._seen[shown]
                continue
            names = [each.name for each in session.get_outputs()]
            answer = session.run(None, {each.name: held[each.name] for each in session.get_inputs()})
            held |= dict(zip(names, answer, strict=True))
            if number == 0 and shown is not None:
                self._seen[shown] = held["seen"]
        return np.asarray(held["actions"][0], np.float32)


def with_statistics(fitted: Fitted, statistics: Statistics) -> Fitted:
    """The same weights, exported with others."""
    return replace(fitted, statistics=statistics)
