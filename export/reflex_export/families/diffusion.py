"""Diffusion Policy: a residual network for every camera, and a U-Net that makes a trajectory of actions from noise.

The encoder graph gives the U-Net's condition, `global_cond`; the denoise graph is the whole reverse diffusion,
unrolled: DDPM, which draws new noise in every step but the last (`step_noise`), or DDIM, which draws none. With
n_obs_steps S over 1, images and state have a first axis for the last S observations, the newest last.

Shapes: S observation steps, T horizon of the trajectory, A action width, F features of one camera.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import onnx_ir as ir

from reflex_export.blocks.features import normalize_feature, unnormalize_feature
from reflex_export.blocks.resnet import BackboneNames, FeatureMap, ResNet, convolution
from reflex_export.blocks.reverse_diffusion import ReverseStep, reverse_steps
from reflex_export.blocks.transformer import wide_linear
from reflex_export.blocks.unet import UNet, UNetShape, step_embeddings, unet_shapes
from reflex_export.checkpoint import Camera, Checkpoint
from reflex_export.configs.diffusion import DiffusionConfig
from reflex_export.errors import CheckpointError, UnsupportedOptionError
from reflex_export.families.common import Arithmetic, FamilyGraphs, config_of, empty_graph
from reflex_export.families.observed import check_shapes, image_planes, refuse_relative_actions
from reflex_export.graph.graph import GraphBuilder, OnnxModel

__all__ = ["build"]


def build(
    checkpoint: Checkpoint, *, steps: Sequence[int], precision: Arithmetic = "fp32", taps: bool = False
) -> FamilyGraphs:
    """The graphs. Taps: `tap.image_embeds.<i>` [S, F]; `tap.x_t`, `tap.v_t` (the network's answer) and
    `tap.x_after_step` [N, T, A]."""
    _refuse_what_is_unsupported(checkpoint, steps)
    encoder = _build_encoder(checkpoint, precision, taps=taps)
    denoise = {count: _build_denoise(checkpoint, count, precision, taps=taps) for count in steps}
    return FamilyGraphs(_build_preprocess(checkpoint), encoder, denoise)


def _build_preprocess(checkpoint: Checkpoint) -> OnnxModel:
    """image.<camera> UINT8 [S, h, w, 3] -> pixels.<camera> FP32 [S, 3, H, W], normalised, resized and cropped."""
    g = GraphBuilder("preprocess")
    frames, resized = _frames(checkpoint), _config(checkpoint).resize_shape
    for camera in checkpoint.cameras:
        image = g.input(f"image.{camera.name}", "UINT8", (*frames, *((-1, -1) if resized else camera.shape[1:]), 3))
        planes = image_planes(g, image, None if resized else camera.shape, frames)
        pixels = normalize_feature(g, planes, checkpoint.images[camera.key])
        pixels = _cropped(g, _resized(g, pixels, resized), checkpoint, camera)
        shape = (*frames, 3, *_pixel_size(checkpoint, camera))
        g.output(g.op("Reshape", pixels, g.ints(-1, *shape)), f"pixels.{camera.name}", "FP32", shape)
    return g.build()


def _resized(g: GraphBuilder, pixels: ir.Value, size: Sequence[int] | None) -> ir.Value:
    """Bilinear, with antialiasing where it shrinks, whatever that does to the ratio."""
    if size is None:
        return pixels
    target = g.op("Concat", g.op("Shape", pixels, start=0, end=2), g.ints(*size), axis=0)
    # Without exclude_outside the rim would count the last pixel again for every place outside the image.
    return g.op(
        "Resize",
        pixels,
        None,
        None,
        target,
        mode="linear",
        coordinate_transformation_mode="half_pixel",
        antialias=1,
        exclude_outside=1,
    )


def _cropped(g: GraphBuilder, pixels: ir.Value, checkpoint: Checkpoint, camera: Camera) -> ir.Value:
    """The centre."""
    uncropped, size = _uncropped_size(checkpoint, camera), _pixel_size(checkpoint, camera)
    if size == uncropped:
        return pixels
    # Python's round, as torchvision uses it: half a pixel goes to the even side.
    begins = [round((whole - kept) / 2) for whole, kept in zip(uncropped, size, strict=True)]
    ends = [begin + kept for begin, kept in zip(begins, size, strict=True)]
    return g.op("Slice", pixels, g.ints(*begins), g.ints(*ends), g.ints(2, 3))


def _pixel_size(checkpoint: Checkpoint, camera: Camera) -> tuple[int, int]:
    """Height and width that the backbone sees."""
    config = _config(checkpoint)
    resized, ratio, crop = config.resize_shape, config.crop_ratio, config.crop_shape
    if resized is not None:
        # With a resize the ratio alone decides: lerobot overwrites crop_shape.
        return (int(resized[0] * ratio), int(resized[1] * ratio))
    return (crop[0], crop[1]) if crop is not None else camera.shape[1:]


def _uncropped_size(checkpoint: Checkpoint, camera: Camera) -> tuple[int, int]:
    resized = _config(checkpoint).resize_shape
    return camera.shape[1:] if resized is None else (resized[0], resized[1])


def _build_encoder(checkpoint: Checkpoint, precision: Arithmetic, *, taps: bool) -> OnnxModel:
    """pixels.<camera>, state -> global_cond FP32 [S * (state_dim + cameras * F)]."""
    g = empty_graph("encoder", checkpoint, precision)
    frames = _config(checkpoint).n_obs_steps
    features = [_camera_features(g, checkpoint, index) for index in range(len(checkpoint.cameras))]
    state = g.input("state", "FP32", (*_frames(checkpoint), checkpoint.state_dim))
    posture = normalize_feature(g, state, checkpoint.state)
    rows = g.op("Reshape", posture, g.ints(-1, frames, checkpoint.state_dim))
    condition = g.op("Concat", rows, *features, axis=2)
    width = _condition_width(checkpoint)
    g.output(g.op("Reshape", condition, g.ints(-1, width)), "global_cond", "FP32", (width,))
    if taps:
        for index, value in enumerate(features):
            shape = (frames, _feature_width(checkpoint))
            g.output(g.op("Identity", value), f"tap.image_embeds.{index}", "FP32", shape)
    return g.build()


def _camera_features(g: GraphBuilder, checkpoint: Checkpoint, index: int) -> ir.Value:
    """FP32 [B, S, F]: where in the picture each of the learnt keypoints is, through one layer."""
    config, camera, name = _config(checkpoint), checkpoint.cameras[index], _encoder_name(checkpoint, index)
    height, width = _pixel_size(checkpoint, camera)
    pixels = g.input(f"pixels.{camera.name}", "FP32", (*_frames(checkpoint), 3, height, width))
    images = g.halve(g.op("Reshape", pixels, g.ints(-1, 3, height, width)))
    names = BackboneNames.by_number(f"{name}.backbone")
    backbone = ResNet(g, config.vision_backbone, names, has_group_norm=config.use_group_norm)
    image = backbone(FeatureMap(images, 3, height, width))
    check_shapes(checkpoint, _head_shapes(name, image, config.spatial_softmax_num_keypoints))
    keypoints = g.halve(_spatial_softmax(g, image, f"{name}.pool"))
    features = g.op("Relu", wide_linear(g, keypoints, f"{name}.out"))
    return g.op("Reshape", features, g.ints(-1, config.n_obs_steps, _feature_width(checkpoint)))


def _spatial_softmax(g: GraphBuilder, image: FeatureMap, name: str) -> ir.Value:
    """FP32 [B * S, keypoints * 2]: each keypoint's expected place, x and y in -1..1."""
    keypoints, area = g.shape(f"{name}.nets.weight")[0], image.height * image.width
    scores = g.widen(convolution(g, image.value, f"{name}.nets"))
    attention = g.op("Softmax", g.op("Reshape", scores, g.ints(0, keypoints, area)), axis=-1)
    places = g.op("MatMul", attention, g.weight(f"{name}.pos_grid", "FP32"))
    return g.op("Reshape", places, g.ints(0, keypoints * 2))


def _head_shapes(name: str, image: FeatureMap, keypoints: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.pool.nets.weight", (keypoints, image.channels, 1, 1)
    yield f"{name}.pool.nets.bias", (keypoints,)
    yield f"{name}.pool.pos_grid", (image.height * image.width, 2)
    yield f"{name}.out.weight", (2 * keypoints, 2 * keypoints)
    yield f"{name}.out.bias", (2 * keypoints,)


def _build_denoise(checkpoint: Checkpoint, count: int, precision: Arithmetic, *, taps: bool) -> OnnxModel:
    """global_cond, noise FP32 [T, A], DDPM: step_noise FP32 [count - 1, T, A] -> actions, actions_normalized."""
    config = _config(checkpoint)
    g = empty_graph("denoise", checkpoint, precision)
    horizon, width, steps = config.horizon, checkpoint.action_dim, _steps(checkpoint, count)
    condition = g.input("global_cond", "FP32", (_condition_width(checkpoint),))
    x = g.op("Transpose", g.input("noise", "FP32", (horizon, width)), perm=[0, 2, 1])
    noises = _step_noises(g, steps, horizon, width)
    embeddings = step_embeddings(g, np.array([step.timestep for step in steps]))
    unet = UNet(g, _unet_shape(checkpoint), condition, embeddings)

    before, answers = [], []
    for index, step in enumerate(steps):
        before.append(x)
        answers.append(unet(x, index))
        noise = noises[index] if step.from_noise else None
        x = _step_back(g, checkpoint, step, x, answers[-1], noise)

    first = config.n_obs_steps - 1
    kept = g.op("Slice", x, g.ints(first), g.ints(first + config.n_action_steps), g.ints(2))
    normalized = g.op("Transpose", kept, perm=[0, 2, 1])
    shape = (config.n_action_steps, width)
    g.output(unnormalize_feature(g, normalized, checkpoint.action), "actions", "FP32", shape)
    g.output(normalized, "actions_normalized", "FP32", shape)
    if taps:
        stacks = {"tap.x_t": before, "tap.v_t": answers, "tap.x_after_step": [*before[1:], x]}
        for name, values in stacks.items():
            g.output(_stacked(g, values), name, "FP32", (count, horizon, width))
    return g.build()


def _step_noises(g: GraphBuilder, steps: Sequence[ReverseStep], horizon: int, width: int) -> Sequence[ir.Value]:
    """[B, A, T] for each step that draws noise; those are the first ones."""
    drawing = sum(1 for step in steps if step.from_noise)
    if not drawing:
        return ()
    noise = g.op("Transpose", g.input("step_noise", "FP32", (drawing, horizon, width)), perm=[0, 1, 3, 2])
    parts = g.op_n("Split", drawing, noise, axis=1, num_outputs=drawing) if drawing > 1 else (noise,)
    return [g.op("Squeeze", part, g.ints(1)) for part in parts]


def _step_back(
    g: GraphBuilder, checkpoint: Checkpoint, step: ReverseStep, x: ir.Value, answer: ir.Value, noise: ir.Value | None
) -> ir.Value:
    """x one step before."""
    config = _config(checkpoint)
    origin, eps = answer, answer
    if config.prediction_type == "epsilon":
        origin = _remainder(g, x, answer, step.noise, step.signal)
    elif step.from_eps:
        eps = _remainder(g, x, answer, step.signal, step.noise)
    if config.clip_sample:
        bound = config.clip_sample_range
        origin = g.op("Clip", origin, g.constant(-bound), g.constant(bound))
    terms = [(step.from_origin, origin), (step.from_current, x), (step.from_eps, eps), (step.from_noise, noise)]
    total, *rest = [g.op("Mul", value, g.constant(factor)) for factor, value in terms if factor and value is not None]
    for term in rest:
        total = g.op("Add", total, term)
    return total


def _remainder(g: GraphBuilder, x: ir.Value, known: ir.Value, known_share: np.float32, share: np.float32) -> ir.Value:
    """(x - known_share * known) / share: x is a mixture of two things, and this is the other."""
    rest = g.op("Sub", x, g.op("Mul", known, g.constant(known_share)))
    return g.op("Div", rest, g.constant(share))


def _stacked(g: GraphBuilder, values: Sequence[ir.Value]) -> ir.Value:
    """A [B, A, T] of each step -> [B, steps, T, A]."""
    rows = [g.op("Unsqueeze", value, g.ints(1)) for value in values]
    return g.op("Transpose", g.op("Concat", *rows, axis=1), perm=[0, 1, 3, 2])


def _steps(checkpoint: Checkpoint, count: int) -> tuple[ReverseStep, ...]:
    config = _config(checkpoint)
    return reverse_steps(
        config.noise_scheduler_type,
        count,
        train_steps=config.num_train_timesteps,
        beta_schedule=config.beta_schedule,
        beta_start=config.beta_start,
        beta_end=config.beta_end,
    )


def _unet_shape(checkpoint: Checkpoint) -> UNetShape:
    config = _config(checkpoint)
    return UNetShape(len(config.down_dims), config.horizon, config.n_groups, config.use_film_scale_modulation)


def _config(checkpoint: Checkpoint) -> DiffusionConfig:
    return config_of(checkpoint, DiffusionConfig)


def _frames(checkpoint: Checkpoint) -> tuple[int, ...]:
    """The axis of observation steps; a policy that looks at one has none."""
    frames = _config(checkpoint).n_obs_steps
    return (frames,) if frames > 1 else ()


def _encoder_name(checkpoint: Checkpoint, index: int) -> str:
    """One for each camera, or one for all: the files say which."""
    shared = "diffusion.rgb_encoder"
    return shared if f"{shared}.out.weight" in checkpoint.tensors.names() else f"{shared}.{index}"


def _condition_width(checkpoint: Checkpoint) -> int:
    features = len(checkpoint.cameras) * _feature_width(checkpoint)
    return _config(checkpoint).n_obs_steps * (checkpoint.state_dim + features)


def _feature_width(checkpoint: Checkpoint) -> int:
    """x and y of each keypoint."""
    return 2 * _config(checkpoint).spatial_softmax_num_keypoints


def _refuse_what_is_unsupported(checkpoint: Checkpoint, steps: Sequence[int]) -> None:
    refuse_relative_actions(checkpoint)
    _refuse_impossible_sizes(checkpoint)
    for count in steps:
        most = _config(checkpoint).num_train_timesteps
        if not 1 <= count <= most:
            raise UnsupportedOptionError(f"{count} denoising steps: this policy can take 1 to {most}")


def _refuse_impossible_sizes(checkpoint: Checkpoint) -> None:
    config, source = _config(checkpoint), checkpoint.source
    for camera in checkpoint.cameras:
        whole, kept = _uncropped_size(checkpoint, camera), _pixel_size(checkpoint, camera)
        if any(small > large for small, large in zip(kept, whole, strict=True)):
            raise CheckpointError(f"{source}: crop_shape {list(kept)} is larger than the image, {list(whole)}")
    check_shapes(checkpoint, unet_shapes(config, checkpoint.action_dim, _condition_width(checkpoint)))
