"""What an ONNX operator is in PyTorch, of those that the exported encoders and denoises have.

Each takes the node's attributes and its inputs (None where one is left out), and gives one tensor or a tuple. Shapes,
axes and the like are constants of the graphs: `NUMBERS` says which inputs come as lists of numbers, not as tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import torch
from torch.nn import functional

__all__ = ["NUMBERS", "OPERATORS"]

Attributes = Mapping[str, Any]
Operator = Callable[..., Any]

TYPES: Final[Mapping[int, torch.dtype]] = {
    1: torch.float32,
    6: torch.int32,
    7: torch.int64,
    9: torch.bool,
    10: torch.float16,
    11: torch.float64,
}
"""By ONNX' number."""


NUMBERS: Final[Mapping[str, tuple[int, ...]]] = {
    "CumSum": (1,),
    "Expand": (1,),
    "Pad": (1, 2, 3),
    "ReduceMean": (1,),
    "ReduceSum": (1,),
    "Reshape": (1,),
    "Slice": (1, 2, 3, 4),
    "Split": (1,),
    "Squeeze": (1,),
    "Tile": (1,),
    "Unsqueeze": (1,),
}
"""By operator, the places of such inputs; a compiler would stop at a tensor whose content is asked for."""

Numbers = list[int]


def _reshape(attributes: Attributes, value: Any, shape: Numbers) -> Any:  # noqa: ANN401
    wanted = list(shape)
    if not attributes.get("allowzero"):
        wanted = [value.shape[axis] if size == 0 else size for axis, size in enumerate(wanted)]
    return value.reshape(wanted)


def _slice(
    _: Attributes,
    value: Any,  # noqa: ANN401
    starts: Numbers,
    ends: Numbers,
    axes: Numbers | None = None,
    steps: Numbers | None = None,
) -> Any:  # noqa: ANN401
    cut = [slice(None)] * value.dim()
    along = axes if axes is not None else range(value.dim())
    strides = steps if steps is not None else [1] * len(starts)
    for axis, start, end, stride in zip(along, starts, ends, strides, strict=False):
        cut[axis] = slice(start, end, stride)
    return value[tuple(cut)]


def _split(attributes: Attributes, value: Any, sizes: Numbers | None = None) -> Any:  # noqa: ANN401
    axis = attributes.get("axis", 0)
    if sizes is None:
        return value.chunk(attributes["num_outputs"], axis)
    return value.split(sizes, axis)


def _reduced(function: Operator) -> Operator:
    def reduce(attributes: Attributes, value: Any, axes: Numbers | None = None) -> Any:  # noqa: ANN401
        along = axes if axes is not None else attributes.get("axes") or list(range(value.dim()))
        return function(value, dim=list(along), keepdim=bool(attributes.get("keepdims", 1)))

    return reduce


def _unsqueeze(_: Attributes, value: Any, axes: Numbers) -> Any:  # noqa: ANN401
    rank = value.dim() + len(axes)
    for axis in sorted(axis % rank for axis in axes):
        value = value.unsqueeze(axis)
    return value


def _squeeze(_: Attributes, value: Any, axes: Numbers | None = None) -> Any:  # noqa: ANN401
    return value.squeeze() if axes is None else value.squeeze(tuple(axes))


def _gather(attributes: Attributes, value: Any, indices: Any) -> Any:  # noqa: ANN401
    axis = attributes.get("axis", 0) % value.dim()
    found = value.index_select(axis, indices.reshape(-1).to(value.device))
    return found.reshape(*value.shape[:axis], *indices.shape, *value.shape[axis + 1 :])


def _pad(_: Attributes, value: Any, pads: Numbers, fill: list[float] | None = None, axes: Numbers | None = None) -> Any:  # noqa: ANN401
    along = axes if axes is not None else list(range(value.dim()))
    before, after = pads[: len(along)], pads[len(along) :]
    by_axis = {axis % value.dim(): pair for axis, *pair in zip(along, before, after, strict=True)}
    wanted = [size for axis in reversed(range(value.dim())) for size in by_axis.get(axis, [0, 0])]
    return functional.pad(value, wanted, value=0.0 if fill is None else fill[0])


def _conv(attributes: Attributes, value: Any, weight: Any, bias: Any = None) -> Any:  # noqa: ANN401
    return functional.conv2d(value, weight, bias, attributes.get("strides", 1), 0, 1, attributes.get("group", 1))


def _layer_norm(attributes: Attributes, value: Any, scale: Any, bias: Any = None) -> Any:  # noqa: ANN401
    return functional.layer_norm(value, scale.shape, scale, bias, attributes.get("epsilon", 1e-5))


def _rms_norm(attributes: Attributes, value: Any, scale: Any) -> Any:  # noqa: ANN401
    return functional.rms_norm(value, scale.shape, scale, attributes.get("epsilon", 1e-5))


def _gelu(attributes: Attributes, value: Any) -> Any:  # noqa: ANN401
    told = attributes.get("approximate", b"none")
    return functional.gelu(value, approximate=told.decode() if isinstance(told, bytes) else told)


def _gemm(attributes: Attributes, left: Any, right: Any, bias: Any = None) -> Any:  # noqa: ANN401
    left = left.T if attributes.get("transA") else left
    right = right.T if attributes.get("transB") else right
    product = (left @ right) * attributes.get("alpha", 1.0) if attributes.get("alpha", 1.0) != 1 else left @ right
    return product if bias is None else product + bias * attributes.get("beta", 1.0)


def _cumsum(attributes: Attributes, value: Any, axis: Numbers) -> Any:  # noqa: ANN401
    total = value.cumsum(axis[0])
    return total - value if attributes.get("exclusive") else total


def _rotary(attributes: Attributes, value: Any, cosine: Any, sine: Any, positions: Any = None) -> Any:  # noqa: ANN401
    """Halves of each head are rotated against each other, as Gemma's and Llama's are."""
    shape, heads = value.shape, attributes.get("num_heads", 0)
    if value.dim() == 3:
        value = value.reshape(shape[0], shape[1], heads, -1).transpose(1, 2)
    if positions is not None:
        cosine, sine = cosine[positions], sine[positions]
    half = cosine.shape[-1]
    cosine, sine = cosine.unsqueeze(1), sine.unsqueeze(1)
    first, second, rest = value[..., :half], value[..., half : 2 * half], value[..., 2 * half :]
    turned = torch.cat([first * cosine - second * sine, first * sine + second * cosine, rest], -1)
    return turned.transpose(1, 2).reshape(shape) if len(shape) == 3 else turned


def _attention(attributes: Attributes, query: Any, key: Any, value: Any, mask: Any = None, *more: Any) -> Any:  # noqa: ANN401
    past_key, past_value, valid = (*more, None, None, None)[:3]
    query_heads, key_heads = attributes.get("q_num_heads", 0), attributes.get("kv_num_heads", 0)
    is_flat = query.dim() == 3
    if is_flat:
        query, key, value = _heads(query, query_heads), _heads(key, key_heads), _heads(value, key_heads)
    if past_key is not None:
        key, value = torch.cat([past_key, key], 2), torch.cat([past_value, value], 2)
    if valid is not None:
        columns = torch.arange(key.shape[2], device=key.device)
        mask = (columns[None, :] < valid[:, None])[:, None, None, :]
    answer = functional.scaled_dot_product_attention(
        query,
        key,
        value,
        attn_mask=mask,
        is_causal=bool(attributes.get("is_causal", 0)),
        scale=attributes.get("scale"),
        enable_gqa=query.shape[1] != key.shape[1],
    )
    return answer.transpose(1, 2).flatten(2) if is_flat else answer


def _heads(value: Any, count: int) -> Any:  # noqa: ANN401
    return value.reshape(value.shape[0], value.shape[1], count, -1).transpose(1, 2)


def _plain(function: Operator) -> Operator:
    return lambda _attributes, *values: function(*values)


OPERATORS: Final[Mapping[str, Operator]] = {
    **{name: _plain(getattr(torch, name.lower())) for name in ("Abs", "Cos", "Neg", "Sigmoid", "Sin", "Sqrt", "Where")},
    "Add": _plain(torch.add),
    "And": _plain(torch.logical_and),
    "Attention": _attention,
    "Cast": lambda attributes, value: value.to(TYPES[attributes["to"]]),
    "Concat": lambda attributes, *values: torch.cat(values, attributes["axis"]),
    "Conv": _conv,
    "CumSum": _cumsum,
    "Div": _plain(torch.div),
    "Equal": _plain(torch.eq),
    "Exp": _plain(torch.exp),
    "Expand": lambda _, value, shape: value * torch.ones(shape, dtype=value.dtype, device=value.device),
    "Gather": _gather,
    "Gelu": _gelu,
    "Gemm": _gemm,
    "Identity": _plain(lambda value: value),
    "LayerNormalization": _layer_norm,
    "Less": _plain(torch.lt),
    "MatMul": _plain(torch.matmul),
    "Max": _plain(torch.maximum),
    "Min": _plain(torch.minimum),
    "Mul": _plain(torch.mul),
    "Not": _plain(torch.logical_not),
    "Or": _plain(torch.logical_or),
    "Pad": _pad,
    "Pow": _plain(torch.pow),
    "RMSNormalization": _rms_norm,
    "Reciprocal": _plain(torch.reciprocal),
    "ReduceMean": _reduced(torch.mean),
    "ReduceSum": _reduced(torch.sum),
    "Reshape": _reshape,
    "RotaryEmbedding": _rotary,
    "Slice": _slice,
    "Softmax": lambda attributes, value: value.softmax(attributes.get("axis", -1)),
    "Split": _split,
    "Squeeze": _squeeze,
    "Sub": _plain(torch.sub),
    "Tanh": _plain(torch.tanh),
    "Tile": lambda _, value, repeats: value.tile(repeats),
    "Transpose": lambda attributes, value: value.permute(attributes["perm"]),
    "Unsqueeze": _unsqueeze,
}
