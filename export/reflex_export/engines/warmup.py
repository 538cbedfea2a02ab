"""What config.pbtxt says for an engine, which Triton would not do by itself: CUDA graphs, and a first run."""

from __future__ import annotations

from reflex_export.engines.onnx_file import GraphInput
from reflex_export.engines.profile import Profile

__all__ = ["engine_blocks"]


def engine_blocks(inputs: tuple[GraphInput, ...], profile: Profile, max_batch: int) -> list[str]:
    """What config.pbtxt says for an engine: CUDA graphs, and a warm-up with zeros at the least and greatest batch."""
    sizes = sorted({1, max(1, max_batch)})
    warmups = [_warmup(inputs, profile, size, is_batched=max_batch > 0) for size in sizes]
    return ["optimization { cuda { graphs: true } }", *warmups]


def _warmup(inputs: tuple[GraphInput, ...], profile: Profile, batch: int, *, is_batched: bool) -> str:
    lines = [_zeros(tensor, profile[tensor.name].optimum, is_batched=is_batched) for tensor in inputs]
    return "\n".join(
        [
            "model_warmup [ {",
            f'  name: "batch of {batch}"',
            f"  batch_size: {batch if is_batched else 0}",
            *lines,
            "} ]",
        ]
    )


def _zeros(tensor: GraphInput, shape: tuple[int, ...], *, is_batched: bool) -> str:
    dims = ", ".join(str(size) for size in (shape[1:] if is_batched else shape))
    value = f"data_type: TYPE_{tensor.datatype} dims: [ {dims} ] zero_data: true"
    return f'  inputs {{ key: "{tensor.name}" value {{ {value} }} }}'
