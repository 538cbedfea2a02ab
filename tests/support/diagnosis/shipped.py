"""The policy that ships behind its real server, as it is or as a deployment broke it, and fresh demonstrations."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import numpy_helper

from reflex_learning.default_policy.commands import reflex_json
from reflex_learning.default_policy.demonstrations import demonstrate
from reflex_learning.default_policy.recipe import Recipe
from reflex_learning.reading.dataset import frames_of_episode, open_dataset
from reflex_learning.reading.stills import stills_of
from reflex_runner.simulation.axes import SIMULATED
from support.datasets.drafts import Columns, Draft
from support.diagnosis.breaking import ACTION, STATE, Recorded, hold_to
from support.diagnosis.demonstrations import counters
from support.server import running_server

__all__ = ["FRONT", "NAME", "ROLES", "Exported", "Shipped", "graph_file", "recorded", "repository_of", "serving"]

REPOSITORY: Final = Path(__file__).parents[3] / "model_repository"
NAME: Final = Recipe().name
FRONT: Final = "observation.images.front"
ROLES: Final = ("preprocess", "encoder", "denoise")
EPISODES: Final = 12
FIRST_SEED: Final = 300_000
"""Of no episode that the policy was trained on, and of none that it is evaluated on."""
Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Exported:
    """How an export was made otherwise: each value of a mean times `scale` plus `move`, and so on."""

    move: tuple[float, ...] = (0.0,) * 6
    scale: tuple[float, ...] = (1.0,) * 6
    none: bool = False
    """No statistics at all: mean 0 and deviation 1."""
    shuffled: bool = False
    """The last layer's weights in another order: as if it had been trained on something else."""


@dataclass
class Shipped(Recorded):
    """What the shipped policy is asked about."""

    exported: Exported | None = None

    @property
    def is_served_otherwise(self) -> bool:
        """Than with the policy as it ships, and no options."""
        others = self.exported, self.latency_s, self.executed != Recorded.executed, self.robot is not SIMULATED
        return any(others)


def recorded(seed: int = 0, **changes: Any) -> Draft:
    """Demonstrations as the policy was trained on, of other scenes: by the simulator's script, through `connect`."""
    recipe = dataclasses.replace(Recipe(), episodes=EPISODES, first_seed=FIRST_SEED + 1_000 * seed, **changes)
    with TemporaryDirectory() as folder:
        return _draft(Path(demonstrate(recipe, Path(folder), reflex_json)["dataset"]))


def _draft(root: Path) -> Draft:
    dataset, first = open_dataset(root), 0
    episodes: list[Columns] = []
    shown = []
    for episode in dataset.episodes:
        columns = frames_of_episode(dataset, episode.number).columns
        stills = stills_of(root, episode.data_file, FRONT, mode="RGB")
        numbers = {name: np.asarray(columns[name], np.float32) for name in (STATE, ACTION)}
        episodes.append(numbers | counters(np.arange(episode.length), episode.number, first, 0))
        shown.append([still.pixels for still in stills if still.episode == episode.number and still.pixels is not None])
        first += episode.length
    return Draft("image", episodes, {FRONT: shown}, [text for _, text in dataset.tasks])


@contextmanager
def serving(setup: Shipped, folder: Path) -> Iterator[str]:
    """The address of a server of it, until the end."""
    options = ["--policy", NAME, "--model-repository", str(repository_of(setup, folder))]
    if setup.latency_s:
        options += ["--inject-latency-ms", f"{1000 * setup.latency_s:g}"]
    with running_server(*options) as server:
        yield server.base_url


def repository_of(setup: Shipped, folder: Path) -> Path:
    """The shipped one, unless something about the policy is other than it ships."""
    others = setup.exported, setup.executed != Recorded.executed, setup.robot is not SIMULATED
    if not any(others):
        return REPOSITORY
    return _written(setup, folder / "repository")


def _written(setup: Shipped, repository: Path) -> Path:
    for model in (NAME, *(f"{NAME}_{role}" for role in ROLES)):
        shutil.copytree(REPOSITORY / model, repository / model)
    config = json.loads((repository / NAME / "reflex_config.json").read_text()) | {"n_action_steps": setup.executed}
    if setup.exported is not None:
        config["action_space"] |= _export(repository, setup.exported)
        _renew_canary(repository)
    (repository / NAME / "reflex_config.json").write_text(json.dumps(config))
    if setup.robot is not SIMULATED:
        hold_to(setup.robot, repository / NAME)
    return repository


def _export(repository: Path, exported: Exported) -> dict[str, list[float]]:
    """The graphs with other constants; what `/config` then tells of the actions."""
    encoder, denoise = (onnx.load(graph_file(repository, role)) for role in ROLES[1:])
    mean, deviation = _constants_behind(encoder, "state")
    _set(encoder, mean, deviation, exported)
    deviation, mean = _constants_behind(denoise, "actions_normalized")
    told = _set(denoise, mean, deviation, exported)
    if exported.shuffled:
        _shuffle(denoise)
    for role, graph in zip(ROLES[1:], (encoder, denoise), strict=True):
        onnx.save(graph, graph_file(repository, role))
    return {"offset": told[0].tolist(), "scale": told[1].tolist()}


def graph_file(repository: Path, role: str) -> Path:
    """ONNX."""
    return repository / f"{NAME}_{role}" / "1" / "model.onnx"


def _constants_behind(graph: onnx.ModelProto, name: str) -> list[str]:
    """Of the two steps of a normalisation, in their order."""
    found = []
    for _ in range(2):
        node = next(each for each in graph.graph.node if name in each.input)
        found.append(next(each for each in node.input if each != name))
        name = node.output[0]
    return found


def _set(graph: onnx.ModelProto, mean: str, deviation: str, exported: Exported) -> tuple[Array, Array]:
    named = {each.name: each for each in graph.graph.initializer}
    first, second = (numpy_helper.to_array(named[name]) for name in (mean, deviation))
    told = (first + np.array(exported.move), second * np.array(exported.scale))
    if exported.none:
        told = np.zeros_like(first), np.ones_like(second)
    for name, value in zip((mean, deviation), told, strict=True):
        named[name].CopyFrom(numpy_helper.from_array(value.astype(first.dtype), name))
    return told


def _shuffle(denoise: onnx.ModelProto) -> None:
    weight = next(each for each in denoise.graph.initializer if each.name == "model.action_head.weight")
    values = np.random.default_rng(3).permuted(numpy_helper.to_array(weight), axis=1)
    weight.CopyFrom(numpy_helper.from_array(values, weight.name))


def _renew_canary(repository: Path) -> None:
    """What these graphs answer, as an export writes it down; a server holds its own answer against that."""
    file = repository / NAME / "canary.npz"
    with np.load(file) as kept:
        canary = dict(kept)
    held = {name: value[None] for name, value in canary.items()}
    for role in ROLES:
        session = onnxruntime.InferenceSession(graph_file(repository, role))
        names = [each.name for each in session.get_outputs()]
        held |= zip(
            names, session.run(None, {each.name: held[each.name] for each in session.get_inputs()}), strict=True
        )
    np.savez(file, **canary | {"expected.actions": held["actions"][0]})
