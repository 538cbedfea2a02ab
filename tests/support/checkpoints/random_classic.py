"""ACT and Diffusion Policy checkpoints of any size with random weights, in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from reflex_export.checkpoint import Camera, Checkpoint, Normalizer
from reflex_export.configs import parse_config
from support.checkpoints.golden import ArrayTensors
from support.checkpoints.numpy_classic import DEPTHS

__all__ = ["random_act", "random_diffusion"]

Array = npt.NDArray[Any]
Shapes = Iterator[tuple[str, tuple[int, ...]]]
IMAGES = "observation.images."


def random_act(
    seed: int = 0, *, cameras: Mapping[str, tuple[int, int]], storage: Any = np.float32, **options: Any
) -> Checkpoint:
    """`options` replace entries of config.json, and state_dim, action_dim and planes (channels of the stages)."""
    sizes = {"state_dim": 5, "action_dim": 4, "planes": (8, 8, 12, 16), **options}
    config = {
        "type": "act",
        "n_obs_steps": 1,
        "chunk_size": 7,
        "vision_backbone": "resnet18",
        "replace_final_stride_with_dilation": False,
        "pre_norm": False,
        "dim_model": 24,
        "n_heads": 3,
        "dim_feedforward": 40,
        "feedforward_activation": "relu",
        "n_encoder_layers": 2,
        "n_decoder_layers": 1,
        "latent_dim": 6,
        "temporal_ensemble_coeff": None,
        **options,
    }
    shapes = dict(_act(config, sizes))
    modes = {"state": "MEAN_STD", "action": "MEAN_STD", "images": "MEAN_STD"}
    return _checkpoint(seed, config, shapes, cameras, sizes, modes, storage)


def random_diffusion(
    seed: int = 0, *, cameras: Mapping[str, tuple[int, int]], storage: Any = np.float32, **options: Any
) -> Checkpoint:
    """As `random_act`; `keypoints` too."""
    sizes = {"state_dim": 3, "action_dim": 2, "planes": (16, 16, 16, 32), "keypoints": 5, **options}
    config = {
        "type": "diffusion",
        "n_obs_steps": 2,
        "horizon": 8,
        "n_action_steps": 4,
        "vision_backbone": "resnet18",
        "resize_shape": None,
        "crop_ratio": 1.0,
        "crop_shape": None,
        "use_group_norm": True,
        "use_separate_rgb_encoder_per_camera": True,
        "down_dims": [8, 16],
        "kernel_size": 3,
        "n_groups": 4,
        "diffusion_step_embed_dim": 8,
        "use_film_scale_modulation": True,
        "noise_scheduler_type": "DDPM",
        "num_train_timesteps": 20,
        "beta_schedule": "squaredcos_cap_v2",
        "beta_start": 1e-4,
        "beta_end": 0.02,
        "prediction_type": "epsilon",
        "clip_sample": True,
        "clip_sample_range": 1.0,
        "num_inference_steps": None,
        **options,
        "spatial_softmax_num_keypoints": sizes["keypoints"],
    }
    size = config["resize_shape"] or next(iter(cameras.values()))
    crop = config["crop_shape"] if config["resize_shape"] is None else [int(s * config["crop_ratio"]) for s in size]
    shapes = dict(_diffusion(config, sizes, len(cameras), crop or size))
    modes = {"state": "MIN_MAX", "action": "MIN_MAX", "images": "MEAN_STD"}
    return _checkpoint(seed, config, shapes, cameras, sizes, modes, storage)


def _checkpoint(
    seed: int,
    config: dict[str, Any],
    shapes: Mapping[str, tuple[int, ...]],
    cameras: Mapping[str, tuple[int, int]],
    sizes: Mapping[str, Any],
    modes: Mapping[str, Any],
    storage: Any,
) -> Checkpoint:
    random = np.random.RandomState(seed)
    tensors = {name: _draw(name, shape, random).astype(storage) for name, shape in shapes.items()}
    sizes_only = {"state_dim", "action_dim", "planes", "keypoints"}
    listed = tuple(Camera(f"{IMAGES}{name}", name, (3, *size)) for name, size in cameras.items())
    return Checkpoint(
        family=config["type"],
        config=parse_config(config["type"], {key: value for key, value in config.items() if key not in sizes_only}),
        tensors=ArrayTensors(tensors),
        cameras=listed,
        state_dim=sizes["state_dim"],
        action_dim=sizes["action_dim"],
        state=Normalizer(modes["state"], _statistics(random, (sizes["state_dim"],))),
        action=Normalizer(modes["action"], _statistics(random, (sizes["action_dim"],))),
        images={camera.key: Normalizer(modes["images"], _statistics(random, (3, 1, 1))) for camera in listed},
        text=None,
        source=f"random {config['type']}",
    )


def _statistics(random: np.random.RandomState, shape: tuple[int, ...]) -> dict[str, Array]:
    mean, spread = random.uniform(-0.5, 0.5, shape), random.uniform(0.3, 1.0, shape)
    ranges = {"mean": mean, "std": spread, "min": mean - 3 * spread, "max": mean + 3 * spread}
    return {name: values.astype(np.float32) for name, values in ranges.items()}


def _draw(name: str, shape: tuple[int, ...], random: np.random.RandomState) -> Array:
    noise: Array = random.standard_normal(shape)
    if name.endswith("pos_grid"):
        return noise.clip(-1, 1)
    if name.endswith("running_var"):
        return np.asarray(np.exp(0.3 * noise))
    if len(shape) == 1:
        return 0.1 * noise + (1.0 if name.endswith("weight") else 0.0)
    return np.asarray(1.4 * noise / np.sqrt(np.prod(shape[1:])))


def _linear(name: str, out: int, into: int, *kernel: int) -> Shapes:
    yield f"{name}.weight", (out, into, *kernel)
    yield f"{name}.bias", (out,)


def _norm(name: str, channels: int, *, is_batch: bool = False) -> Shapes:
    for part in ("weight", "bias", *(("running_mean", "running_var") if is_batch else ())):
        yield f"{name}.{part}", (channels,)


def _resnet(kind: str, planes: Sequence[int], stem: Sequence[str], stages: Sequence[str], *, is_batch: bool) -> Shapes:
    yield f"{stem[0]}.weight", (planes[0], 3, 7, 7)
    yield from _norm(stem[1], planes[0], is_batch=is_batch)
    into = planes[0]
    for name, width, depth in zip(stages, planes, DEPTHS[kind], strict=True):
        bottleneck = kind == "resnet50"
        out = 4 * width if bottleneck else width
        for block in range(depth):
            at = f"{name}.{block}"
            layers = ((width, into, 1), (width, width, 3), (out, width, 1)) if bottleneck else None
            for part, (o, i, k) in enumerate(layers or ((width, into, 3), (width, width, 3)), start=1):
                yield f"{at}.conv{part}.weight", (o, i, k, k)
                yield from _norm(f"{at}.bn{part}", o, is_batch=is_batch)
            if block == 0 and (name != stages[0] or into != out):
                yield f"{at}.downsample.0.weight", (out, into, 1, 1)
                yield from _norm(f"{at}.downsample.1", out, is_batch=is_batch)
            into = out


def _act(config: Mapping[str, Any], sizes: Mapping[str, Any]) -> Shapes:
    width, kind = config["dim_model"], config["vision_backbone"]
    stages = [f"model.backbone.layer{stage}" for stage in range(1, 5)]
    yield from _resnet(kind, sizes["planes"], ("model.backbone.conv1", "model.backbone.bn1"), stages, is_batch=True)
    features = sizes["planes"][-1] * (4 if kind == "resnet50" else 1)
    yield from _linear("model.encoder_img_feat_input_proj", width, features, 1, 1)
    yield from _linear("model.encoder_latent_input_proj", width, config["latent_dim"])
    yield from _linear("model.encoder_robot_state_input_proj", width, sizes["state_dim"])
    yield "model.encoder_1d_feature_pos_embed.weight", (2, width)
    yield "model.decoder_pos_embed.weight", (config["chunk_size"], width)
    yield from _linear("model.action_head", sizes["action_dim"], width)
    yield from _linear("model.vae_encoder_latent_output_proj", 2 * config["latent_dim"], width)
    for part, norms, attentions in (("encoder", 2, ["self_attn"]), ("decoder", 3, ["self_attn", "multihead_attn"])):
        for layer in range(config[f"n_{part}_layers"]):
            at = f"model.{part}.layers.{layer}"
            for attention in attentions:
                yield f"{at}.{attention}.in_proj_weight", (3 * width, width)
                yield f"{at}.{attention}.in_proj_bias", (3 * width,)
                yield from _linear(f"{at}.{attention}.out_proj", width, width)
            yield from _linear(f"{at}.linear1", config["dim_feedforward"], width)
            yield from _linear(f"{at}.linear2", width, config["dim_feedforward"])
            for norm in range(1, norms + 1):
                yield from _norm(f"{at}.norm{norm}", width)
    yield from _norm("model.decoder.norm", width)
    if config["pre_norm"]:
        yield from _norm("model.encoder.norm", width)


def _diffusion(config: Mapping[str, Any], sizes: Mapping[str, Any], cameras: int, image: Sequence[int]) -> Shapes:
    keypoints, kind = sizes["keypoints"], config["vision_backbone"]
    features = sizes["planes"][-1] * (4 if kind == "resnet50" else 1)
    area = int(np.prod([-(-side // 32) for side in image]))
    is_separate = config["use_separate_rgb_encoder_per_camera"]
    for at in (
        [f"diffusion.rgb_encoder.{index}" for index in range(cameras)] if is_separate else ["diffusion.rgb_encoder"]
    ):
        stem, stages = (f"{at}.backbone.0", f"{at}.backbone.1"), [f"{at}.backbone.{child}" for child in range(4, 8)]
        yield from _resnet(kind, sizes["planes"], stem, stages, is_batch=not config["use_group_norm"])
        yield from _linear(f"{at}.pool.nets", keypoints, features, 1, 1)
        yield f"{at}.pool.pos_grid", (area, 2)
        yield from _linear(f"{at}.out", 2 * keypoints, 2 * keypoints)
    condition = config["n_obs_steps"] * (sizes["state_dim"] + cameras * 2 * keypoints)
    yield from _unet(config, sizes["action_dim"], condition)


def _unet(config: Mapping[str, Any], action_dim: int, condition: int) -> Shapes:
    at, embed, kernel = "diffusion.unet", config["diffusion_step_embed_dim"], config["kernel_size"]
    yield from _linear(f"{at}.diffusion_step_encoder.1", 4 * embed, embed)
    yield from _linear(f"{at}.diffusion_step_encoder.3", embed, 4 * embed)

    def block(name: str, into: int, out: int) -> Shapes:
        for part, source in (("conv1", into), ("conv2", out)):
            yield from _linear(f"{name}.{part}.block.0", out, source, kernel)
            yield from _norm(f"{name}.{part}.block.1", out)
        film = 2 * out if config["use_film_scale_modulation"] else out
        yield from _linear(f"{name}.cond_encoder.1", film, embed + condition)
        if into != out:
            yield from _linear(f"{name}.residual_conv", out, into, 1)

    widths = [action_dim, *config["down_dims"]]
    levels = len(config["down_dims"])
    for level in range(levels):
        yield from block(f"{at}.down_modules.{level}.0", widths[level], widths[level + 1])
        yield from block(f"{at}.down_modules.{level}.1", widths[level + 1], widths[level + 1])
        if level < levels - 1:
            yield from _linear(f"{at}.down_modules.{level}.2", widths[level + 1], widths[level + 1], 3)
    for index in range(2):
        yield from block(f"{at}.mid_modules.{index}", widths[-1], widths[-1])
    for up in range(levels - 1):
        out, into = widths[levels - 1 - up], 2 * widths[levels - up]
        yield from block(f"{at}.up_modules.{up}.0", into, out)
        yield from block(f"{at}.up_modules.{up}.1", out, out)
        yield from _linear(f"{at}.up_modules.{up}.2", out, out, 4)
    yield from _linear(f"{at}.final_conv.0.block.0", widths[1], widths[1], kernel)
    yield from _norm(f"{at}.final_conv.0.block.1", widths[1])
    yield from _linear(f"{at}.final_conv.1", action_dim, widths[1], 1)
