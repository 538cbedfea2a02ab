"""What pi0 and pi0.5 share: a PaliGemma whose keys and values an action expert of the same depth attends to.

The prefix is [patches of each camera ..., instruction]; its tokens see one another, and invalid ones (an absent camera,
padding) are seen by nobody and take no position. The reference moves absent cameras to the end; since they take no
position, that changes no number, and the order here is always config.json's. Empty cameras are never valid and are left
out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from reflex_export.blocks.gemma import HALF_STREAM, GemmaStack
from reflex_export.blocks.resize import build_resizing_preprocess
from reflex_export.blocks.vision import VisionTower
from reflex_export.checkpoint import Camera, Checkpoint, Text
from reflex_export.configs.pi import PiConfig, Placement
from reflex_export.errors import CheckpointError, TensorShapeError
from reflex_export.families.common import Arithmetic, config_of, empty_graph
from reflex_export.graph.graph import GraphBuilder, OnnxModel

__all__ = ["PaliGemma", "read_paligemma"]

VISION_HEADS: Final = 16
"""SigLIP so400m's: a constant of the reference's code, which no checkpoint has."""
VISION_EPSILON: Final = 1e-6


@dataclass(frozen=True)
class PaliGemma:
    """A checkpoint of one of the two families, with the geometry of its parts, and what is computed in."""

    checkpoint: Checkpoint
    arithmetic: Arithmetic
    root: str
    """`model.` in files that a policy saved, nothing in the published base files."""
    cameras: tuple[Camera, ...]
    """Those that a client can send."""
    image_size: tuple[int, int]
    """Height and width."""
    picture_place: Placement
    text: Text
    tower: VisionTower
    projector: str
    embedding: str
    language: GemmaStack
    expert: GemmaStack
    horizon: int
    action_channels: int
    """Of noise and velocity: max_action_dim."""
    periods: tuple[float, float]
    """Shortest and longest of the time embedding."""

    @property
    def prefix_tokens(self) -> int:
        """Valid or not, always this many, so that requests can be batched."""
        return len(self.cameras) * self.tower.patches + self.text.max_tokens

    @property
    def cache_shape(self) -> tuple[int, int, int, int]:
        """Of prefix_keys, and of prefix_values, without the batch axis."""
        return (self.language.layers, 1, self.prefix_tokens, self.language.head_dim)

    @property
    def stream(self) -> float:
        """What both residual streams are multiplied by: see `blocks.gemma`."""
        return self.expert.stream

    def graph(self, name: str) -> GraphBuilder:
        """An empty graph over the checkpoint's tensors."""
        return empty_graph(name, self.checkpoint, self.arithmetic)

    def preprocess(self) -> OnnxModel:
        """image.<camera> -> pixels.<camera>, where it lies in the frame."""
        return build_resizing_preprocess([camera.name for camera in self.cameras], self.image_size, self.picture_place)

    def either(self, *names: str) -> str:
        """The first of some names, given without the root, under which the checkpoint has a linear layer."""
        present = self.checkpoint.tensors.names()
        rooted = [self.root + name for name in names]
        return next((name for name in rooted if f"{name}.weight" in present), rooted[0])


def read_paligemma(checkpoint: Checkpoint, arithmetic: Arithmetic) -> PaliGemma:
    """The parts of a checkpoint; refuses by name what the graphs would not compute."""
    tensors, config = checkpoint.tensors, config_of(checkpoint, PiConfig)
    root = "model." if any(name.startswith("model.paligemma_with_expert.") for name in tensors.names()) else ""
    stem, expert = f"{root}paligemma_with_expert.paligemma", f"{root}paligemma_with_expert.gemma_expert.model"
    tower = VisionTower.of(
        tensors,
        f"{stem}.model.vision_tower.vision_model",
        heads=VISION_HEADS,
        epsilon=VISION_EPSILON,
        image_size=config.image_size,
    )
    stream = 1.0 if arithmetic == "fp32" else HALF_STREAM
    own_embedding = f"{stem}.model.language_model.embed_tokens.weight"
    policy = PaliGemma(
        checkpoint=checkpoint,
        arithmetic=arithmetic,
        root=root,
        cameras=tuple(camera for camera in checkpoint.cameras if not camera.is_empty),
        image_size=config.image_size,
        picture_place=config.picture_place,
        text=_text(checkpoint),
        tower=tower,
        projector=f"{stem}.model.multi_modal_projector.linear",
        # The published base files keep one of two tied tensors, under the output layer's name.
        embedding=own_embedding if own_embedding in tensors.names() else f"{stem}.lm_head.weight",
        language=replace(GemmaStack.of(tensors, f"{stem}.model.language_model", heads_of=expert), stream=stream),
        expert=replace(GemmaStack.of(tensors, expert), stream=stream),
        horizon=config.chunk_size,
        action_channels=config.max_action_dim,
        periods=(config.min_period, config.max_period),
    )
    _check(policy)
    return policy


def _text(checkpoint: Checkpoint) -> Text:
    if checkpoint.text is None:
        raise CheckpointError(f"{checkpoint.source}: a {checkpoint.family} policy needs its tokenizer")
    return checkpoint.text


def _check(p: PaliGemma) -> None:
    """What the graphs rely on beyond single tensors' shapes."""
    if p.tower.patches != p.tower.position_rows:
        raise TensorShapeError(
            f"image_resolution {list(p.image_size)} gives {p.tower.patches} patches, but the vision tower has "
            f"positions for {p.tower.position_rows}; fetch config.json and the weights of the same policy"
        )
    if p.language.layers != p.expert.layers:
        raise TensorShapeError(
            f"the language model has {p.language.layers} layers and the action expert {p.expert.layers}; each of the "
            "expert's attends to one of the language model's, so fetch the checkpoint again"
        )
    if not p.cameras:
        raise CheckpointError(f"{p.checkpoint.source} has no camera that a client could send")
