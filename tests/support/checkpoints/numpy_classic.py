"""ACT and Diffusion Policy in plain NumPy, float64, one observation at a time, and random checkpoints of any size.

Written from the formulas, not from the graphs: loops where the graphs fold, precompute or reshape.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from reflex_export.checkpoint import Checkpoint, Normalizer
from support.checkpoints.altered import options_of

Array = npt.NDArray[Any]
Tensors = Mapping[str, Array]
DEPTHS = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3), "resnet50": (3, 4, 6, 3)}


def windows(x: Array, kernel: Sequence[int], stride: int) -> Array:
    """x [C, *size] -> [C, *places, *kernel]."""
    axes = tuple(range(1, x.ndim))
    view: Any = np.lib.stride_tricks.sliding_window_view
    seen: Array = view(x, tuple(kernel), axis=axes)[(slice(None), *(slice(None, None, stride),) * len(axes))]
    return seen


def convolve(x: Array, weight: Array, bias: Array | None = None, *, stride: int = 1, padding: int = 0) -> Array:
    """x [C, *size] of one or two axes."""
    axes = x.ndim - 1
    padded = np.pad(x, ((0, 0), *((padding, padding),) * axes), mode="constant")
    size, kernel = "xy"[:axes], "kl"[:axes]
    seen = windows(padded, weight.shape[2:], stride)
    out: Array = np.einsum(f"c{size}{kernel},oc{kernel}->o{size}", seen, weight)
    return out if bias is None else out + column(bias, axes)


def column(vector: Array, axes: int) -> Array:
    """[C] -> [C, 1, ...]."""
    return vector.reshape(-1, *(1,) * axes)


def grow(x: Array, weight: Array, bias: Array) -> Array:
    """A transposed convolution with stride 2 and padding 1: x [C, T] -> [O, 2 T]."""
    length, kernel = x.shape[1], weight.shape[2]
    out: Array = np.zeros((weight.shape[1], 2 * length + kernel - 2))
    for place in range(length):
        out[:, 2 * place : 2 * place + kernel] += np.einsum("c,cok->ok", x[:, place], weight)
    kept: Array = out[:, 1 : 1 + 2 * length] + bias[:, None]
    return kept


def group_norm(x: Array, tensors: Tensors, name: str, groups: int) -> Array:
    rows = x.reshape(groups, -1)
    rows = (rows - rows.mean(axis=1, keepdims=True)) / np.sqrt(rows.var(axis=1, keepdims=True) + 1e-5)
    axes = x.ndim - 1
    out: Array = rows.reshape(x.shape) * column(tensors[f"{name}.weight"], axes)
    return out + column(tensors[f"{name}.bias"], axes)


def batch_norm(x: Array, tensors: Tensors, name: str) -> Array:
    mean, variance, weight, bias = (
        column(tensors[f"{name}.{part}"], 2) for part in ("running_mean", "running_var", "weight", "bias")
    )
    out: Array = (x - mean) / np.sqrt(variance + 1e-5) * weight + bias
    return out


def mish(x: Array) -> Array:
    out: Array = x * np.tanh(np.log1p(np.exp(x)))
    return out


def relu(x: Array) -> Array:
    out: Array = np.maximum(x, 0)
    return out


def gelu(x: Array) -> Array:
    out: Array = x * 0.5 * (1 + np.vectorize(math.erf)(x / np.sqrt(2)))
    return out


def softmax(x: Array) -> Array:
    exponentials = np.exp(x - x.max(axis=-1, keepdims=True))
    out: Array = exponentials / exponentials.sum(axis=-1, keepdims=True)
    return out


def layer_norm(x: Array, tensors: Tensors, name: str) -> Array:
    normal: Array = (x - x.mean(axis=-1, keepdims=True)) / np.sqrt(x.var(axis=-1, keepdims=True) + 1e-5)
    return normal * tensors[f"{name}.weight"] + tensors[f"{name}.bias"]


def linear(x: Array, tensors: Tensors, name: str) -> Array:
    out: Array = x @ tensors[f"{name}.weight"].T + tensors[f"{name}.bias"]
    return out


def normalize(x: Array, normalizer: Normalizer) -> Array:
    s, eps = normalizer.statistics, normalizer.eps
    if normalizer.mode == "IDENTITY":
        return x
    if normalizer.mode == "MEAN_STD":
        return (x - s["mean"]) / (s["std"] + eps)
    extent: Array = np.where(s["max"] == s["min"], eps, s["max"] - s["min"])
    return 2 * (x - s["min"]) / extent - 1


def backbone(x: Array, tensors: Tensors, kind: str, stem: Sequence[str], stages: Sequence[str]) -> Array:
    """The last map of a residual network; group norm where there are no running statistics."""

    def norm(y: Array, name: str) -> Array:
        if f"{name}.running_mean" in tensors:
            return batch_norm(y, tensors, name)
        return group_norm(y, tensors, name, y.shape[0] // 16)

    x = relu(norm(convolve(x, tensors[f"{stem[0]}.weight"], stride=2, padding=3), stem[1]))
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)), constant_values=-np.inf)
    x = windows(padded, (3, 3), 2).max(axis=(-1, -2))
    for stage, name in enumerate(stages):
        for block in range(DEPTHS[kind][stage]):
            at, stride = f"{name}.{block}", 2 if stage and not block else 1
            strides = (1, stride, 1) if kind == "resnet50" else (stride, 1)
            y, skip = x, x
            for part, step in enumerate(strides, start=1):
                weight = tensors[f"{at}.conv{part}.weight"]
                y = norm(convolve(y, weight, stride=step, padding=weight.shape[2] // 2), f"{at}.bn{part}")
                y = relu(y) if part < len(strides) else y
            if f"{at}.downsample.0.weight" in tensors:
                skip = norm(convolve(x, tensors[f"{at}.downsample.0.weight"], stride=stride), f"{at}.downsample.1")
            x = relu(y + skip)
    return x


def act_actions(checkpoint: Checkpoint, images: Mapping[str, Array], state: Array) -> Array:
    """Normalised actions [T, A] for images [H, W, 3] by camera key."""
    config, tensors = options_of(checkpoint), doubles(checkpoint)
    heads = config["n_heads"]

    def attend(q: Array, k: Array, v: Array, name: str) -> Array:
        width = q.shape[1]
        weights = np.split(tensors[f"{name}.in_proj_weight"], 3)
        biases = np.split(tensors[f"{name}.in_proj_bias"], 3)
        q, k, v = (x @ w.T + b for x, w, b in zip((q, k, v), weights, biases, strict=True))
        size = width // heads
        mixed = [
            softmax(q[:, part] @ k[:, part].T / np.sqrt(size)) @ v[:, part]
            for part in (slice(head * size, (head + 1) * size) for head in range(heads))
        ]
        return linear(np.concatenate(mixed, axis=1), tensors, f"{name}.out_proj")

    def add(x: Array, part: Callable[[Array], Array], norm: str) -> Array:
        if config["pre_norm"]:
            return x + part(layer_norm(x, tensors, norm))
        return layer_norm(x + part(x), tensors, norm)

    def feed(name: str, x: Array) -> Array:
        inner = linear(x, tensors, f"{name}.linear1")
        active = gelu(inner) if config["feedforward_activation"] == "gelu" else relu(inner)
        return linear(active, tensors, f"{name}.linear2")

    latent_dim = tensors["model.encoder_latent_input_proj.weight"].shape[1]
    latent = linear(np.zeros(latent_dim), tensors, "model.encoder_latent_input_proj")
    posture = linear(normalize(state, checkpoint.state), tensors, "model.encoder_robot_state_input_proj")
    tokens, places = [latent, posture], list(tensors["model.encoder_1d_feature_pos_embed.weight"])
    for camera in checkpoint.cameras:
        planes = normalize(images[camera.key].transpose(2, 0, 1) / 255, checkpoint.images[camera.key])
        names = [f"model.backbone.layer{stage}" for stage in range(1, 5)]
        stem = ("model.backbone.conv1", "model.backbone.bn1")
        found = backbone(planes, tensors, config["vision_backbone"], stem, names)
        name = "model.encoder_img_feat_input_proj"
        projected = convolve(found, tensors[f"{name}.weight"], tensors[f"{name}.bias"])
        for row in range(projected.shape[1]):
            for column in range(projected.shape[2]):
                tokens.append(projected[:, row, column])
                places.append(_place(row, column, projected.shape))
    x, position = np.array(tokens), np.array(places)

    def attend_self(at: str, place: Array) -> Callable[[Array], Array]:
        return lambda y: attend(y + place, y + place, y, f"{at}.self_attn")

    for layer in range(config["n_encoder_layers"]):
        at = f"model.encoder.layers.{layer}"
        x = add(x, attend_self(at, position), f"{at}.norm1")
        x = add(x, partial(feed, at), f"{at}.norm2")
    memory = layer_norm(x, tensors, "model.encoder.norm") if config["pre_norm"] else x
    query = tensors["model.decoder_pos_embed.weight"]

    def attend_memory(at: str) -> Callable[[Array], Array]:
        return lambda y: attend(y + query, memory + position, memory, f"{at}.multihead_attn")

    x = np.zeros_like(query)
    for layer in range(config["n_decoder_layers"]):
        at = f"model.decoder.layers.{layer}"
        x = add(x, attend_self(at, query), f"{at}.norm1")
        x = add(x, attend_memory(at), f"{at}.norm2")
        x = add(x, partial(feed, at), f"{at}.norm3")
    return linear(layer_norm(x, tensors, "model.decoder.norm"), tensors, "model.action_head")


def _place(row: int, column: int, shape: tuple[int, ...]) -> Array:
    """Sine and cosine in turns, for the row and then for the column, of one token."""
    width, rows, columns = shape
    values = []
    for index, count in ((row, rows), (column, columns)):
        turn = (index + 1) / (count + 1e-6) * 2 * np.pi
        for channel in range(width // 2):
            angle = turn / 10_000 ** (2 * (channel // 2) / (width // 2))
            values.append(np.sin(angle) if channel % 2 == 0 else np.cos(angle))
    return np.array(values)


def diffusion_condition(checkpoint: Checkpoint, pixels: Mapping[str, Array], state: Array) -> Array:
    """global_cond for normalised, resized and cropped pixels [S, 3, H, W] by camera key and a raw state [S, D]."""
    config, tensors = options_of(checkpoint), doubles(checkpoint)
    rows = []
    for step in range(config["n_obs_steps"]):
        rows.append(normalize(state[step], checkpoint.state))
        for index, camera in enumerate(checkpoint.cameras):
            at = "diffusion.rgb_encoder"
            at = f"{at}.{index}" if f"{at}.{index}.out.weight" in tensors else at
            names = [f"{at}.backbone.{child}" for child in range(4, 8)]
            stem = (f"{at}.backbone.0", f"{at}.backbone.1")
            found = backbone(pixels[camera.key][step], tensors, config["vision_backbone"], stem, names)
            scores = convolve(found, tensors[f"{at}.pool.nets.weight"], tensors[f"{at}.pool.nets.bias"])
            places = softmax(scores.reshape(scores.shape[0], -1)) @ tensors[f"{at}.pool.pos_grid"]
            rows.append(relu(linear(places.reshape(-1), tensors, f"{at}.out")))
    return np.concatenate(rows)


def unet(checkpoint: Checkpoint, x: Array, timestep: int, condition: Array) -> Array:
    """The network's answer [T, A]."""
    config, tensors = options_of(checkpoint), doubles(checkpoint)
    at = "diffusion.unet"
    half = config["diffusion_step_embed_dim"] // 2
    angles = timestep * np.exp(-np.log(10_000) / (half - 1) * np.arange(half))
    time = np.concatenate([np.sin(angles), np.cos(angles)])
    time = linear(
        mish(linear(time, tensors, f"{at}.diffusion_step_encoder.1")), tensors, f"{at}.diffusion_step_encoder.3"
    )
    known = mish(np.concatenate([time, condition]))

    def conv(y: Array, name: str, stride: int = 1) -> Array:
        weight = tensors[f"{name}.weight"]
        return convolve(y, weight, tensors[f"{name}.bias"], stride=stride, padding=weight.shape[2] // 2)

    def conv_block(y: Array, name: str, groups: int) -> Array:
        return mish(group_norm(conv(y, f"{name}.block.0"), tensors, f"{name}.block.1", groups))

    def block(y: Array, name: str) -> Array:
        out = conv_block(y, f"{name}.conv1", config["n_groups"])
        film = linear(known, tensors, f"{name}.cond_encoder.1")[:, None]
        channels = out.shape[0]
        scaled = config["use_film_scale_modulation"]
        out = film[:channels] * out + film[channels:] if scaled else out + film
        out = conv_block(out, f"{name}.conv2", config["n_groups"])
        return out + (conv(y, f"{name}.residual_conv") if f"{name}.residual_conv.weight" in tensors else y)

    y, skips, levels = x.T, [], len(config["down_dims"])
    for level in range(levels):
        name = f"{at}.down_modules.{level}"
        y = block(block(y, f"{name}.0"), f"{name}.1")
        skips.append(y)
        y = conv(y, f"{name}.2", stride=2) if level < levels - 1 else y
    y = block(block(y, f"{at}.mid_modules.0"), f"{at}.mid_modules.1")
    for level in range(levels - 1):
        name = f"{at}.up_modules.{level}"
        y = block(block(np.concatenate([y, skips.pop()]), f"{name}.0"), f"{name}.1")
        y = grow(y, tensors[f"{name}.2.weight"], tensors[f"{name}.2.bias"])
    y = conv_block(y, f"{at}.final_conv.0", 8)
    return conv(y, f"{at}.final_conv.1").T


def diffuse(checkpoint: Checkpoint, steps: int, x: Array, condition: Array, step_noise: Array | None) -> Array:
    """The whole normalised trajectory [T, A], by the formulas of the DDPM and DDIM papers."""
    config = options_of(checkpoint)
    train, jump = config["num_train_timesteps"], config["num_train_timesteps"] // steps
    if config["beta_schedule"] == "squaredcos_cap_v2":
        bar = np.cos((np.arange(train + 1) / train + 0.008) / 1.008 * np.pi / 2) ** 2
        betas = np.minimum(1 - bar[1:] / bar[:-1], 0.999)
    elif config["beta_schedule"] == "linear":
        betas = np.linspace(config["beta_start"], config["beta_end"], train)
    else:
        betas = np.linspace(config["beta_start"] ** 0.5, config["beta_end"] ** 0.5, train) ** 2
    alphas = np.cumprod(1 - betas)
    for index, t in enumerate(range((steps - 1) * jump, -1, -jump)):
        now, before = alphas[t], alphas[t - jump] if t else 1.0
        answer = unet(checkpoint, x, t, condition)
        if config["prediction_type"] == "epsilon":
            eps, origin = answer, (x - np.sqrt(1 - now) * answer) / np.sqrt(now)
        else:
            eps, origin = (x - np.sqrt(now) * answer) / np.sqrt(1 - now), answer
        if config["clip_sample"]:
            origin = origin.clip(-config["clip_sample_range"], config["clip_sample_range"])
        if config["noise_scheduler_type"] == "DDIM":
            x = np.sqrt(before) * origin + np.sqrt(1 - before) * eps
            continue
        alpha = now / before
        x = (np.sqrt(before) * (1 - alpha) * origin + np.sqrt(alpha) * (1 - before) * x) / (1 - now)
        if t:
            assert step_noise is not None
            x = x + np.sqrt((1 - before) / (1 - now) * (1 - alpha)) * step_noise[index]
    return x


def doubles(checkpoint: Checkpoint) -> dict[str, Array]:
    return {name: checkpoint.tensors.load(name).astype(np.float64) for name in checkpoint.tensors.names()}
