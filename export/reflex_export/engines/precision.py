"""In which types an engine computes, layer by layer: from the typed network, and from the finished plan where possible.

The network is strongly typed: TensorRT may fuse its layers, but not change a tensor's type. So the network proves the
plan's types without a GPU. The inspector reads them from the plan, which has to be loaded on a GPU for that.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

from reflex_export.engines.errors import PrecisionError
from reflex_export.engines.record import LayerPrecision

__all__ = ["Precision", "check_graph", "check_precision", "network_precision", "plan_types"]

Precision = Literal["fp32", "fp16", "bf16"]

TYPE_NAMES: Final[Mapping[str, str]] = {"FLOAT": "fp32", "HALF": "fp16"}
"""Of TensorRT's names; the others are used as they are, in lower case."""
FORMAT_WORDS: Final[Mapping[str, str]] = {
    "half": "fp16", "fp16": "fp16", "float": "fp32", "fp32": "fp32", "bf16": "bf16", "bfloat16": "bf16",
    "int64": "int64", "int32": "int32", "int8": "int8", "uint8": "uint8", "bool": "bool", "fp8": "fp8",
}  # fmt: skip
"""Words of the inspector's free text, like `Half` or `Row major linear FP16 format`."""
PRODUCTS: Final = frozenset({"MATRIX_MULTIPLY", "CONVOLUTION", "DECONVOLUTION", "EINSUM", "ATTENTION_INPUT"})
LEAST_SHARE: Final[Mapping[Precision, float]] = {"fp32": 0.5, "fp16": 0.1, "bf16": 0.1}
"""Of the graph's multiplications. FP16 with attention in FP32 has 13 to 70 % FP16, where the MLPs are small least."""
KEPT_SHARE: Final = 0.9
"""Of the graph's own share: the parser may fold products of constants, and no more."""


def network_precision(trt: Any, network: Any) -> LayerPrecision:  # noqa: ANN401 - TensorRT's bindings carry no types
    """The types of a parsed network at batch 1; `trt` is TensorRT's module. Rows of all requests together, whose number
    is open, are then counted as those of one.
    """
    inputs = [network.get_input(index) for index in range(network.num_inputs)]
    shapes = [tuple(tensor.shape) for tensor in inputs]
    for tensor, shape in zip(inputs, shapes, strict=True):
        tensor.shape = (1, *shape[1:]) if shape[:1] == (-1,) else shape
    try:
        return _counted(trt, network)
    finally:
        for tensor, shape in zip(inputs, shapes, strict=True):
            tensor.shape = shape


def _counted(trt: Any, network: Any) -> LayerPrecision:  # noqa: ANN401
    layers: Counter[str] = Counter()
    products: Counter[str] = Counter()
    multiplications: Counter[str] = Counter()
    float32_products = []
    for layer in _layers(network):
        layers[_type_name(layer.get_output(0).dtype)] += 1
        if layer.type.name in PRODUCTS:
            datatype = _type_name(layer.get_input(0).dtype)
            products[datatype] += 1
            multiplications[datatype] += _multiplications(trt, layer)
            float32_products += [layer.name] if datatype == "fp32" else []
    exceptions = tuple(float32_products) if len(products) > 1 else ()
    return LayerPrecision(dict(layers), dict(products), dict(multiplications), exceptions)


def check_graph(promised: Mapping[str, int], wanted: Precision, name: str) -> None:
    """`PrecisionError` when a graph asks for next to no arithmetic of the type that its policy claims."""
    if promised and _share(promised, wanted) < LEAST_SHARE[wanted]:
        raise PrecisionError(
            f"{name} is said to be {wanted}, but its multiplications are {_shares(promised)}. The types come from the "
            f"ONNX graph: export the policy again with --precision {wanted}"
        )


def check_precision(found: LayerPrecision, promised: Mapping[str, int], wanted: Precision, name: str) -> None:
    """`PrecisionError` unless the network computes as much in the wanted type as the graph asks for.

    Where nothing could be counted in the graph, the network is held to what `check_graph` asks of graphs.
    """
    demanded = KEPT_SHARE * _share(promised, wanted) if promised else LEAST_SHARE[wanted]
    if not found.products or found.share_of(wanted) >= demanded:
        return
    counted = f"but the engine's multiplications are {_shares(found.multiplications)}"
    if not promised:
        raise PrecisionError(
            f"{name} is said to be {wanted}, {counted}, and none could be counted in its graph. Serve the ONNX, or "
            "export the policy again"
        )
    raise PrecisionError(
        f"{name} asks for {_shares(promised)}, {counted}: TensorRT changed the types. Try another version of it, serve "
        "the ONNX, or export the policy again with --precision fp32"
    )


def plan_types(inspection: str) -> dict[str, int]:
    """Layers by the type of their first output, from the inspector's JSON; those without details are left out.

    For the record, not for a verdict: one fused layer can be the whole engine, and show its output's type only.
    """
    try:
        content = json.loads(inspection)
    except ValueError:
        return {}
    layers = content.get("Layers", []) if isinstance(content, dict) else []
    types: Counter[str] = Counter()
    for layer in layers:
        outputs = layer.get("Outputs") if isinstance(layer, dict) else None
        if outputs:
            types[_format_type(str(outputs[0].get("Format/Datatype", "")))] += 1
    return dict(types)


def _share(multiplications: Mapping[str, int], datatype: str) -> float:
    return multiplications.get(datatype, 0) / max(1, sum(multiplications.values()))


def _shares(multiplications: Mapping[str, int]) -> str:
    kinds = sorted(multiplications)
    return ", ".join(f"{_share(multiplications, kind):.0%} {kind}" for kind in kinds) or "no multiplications"


def _layers(network: Any) -> Iterator[Any]:  # noqa: ANN401
    for index in range(network.num_layers):
        layer = network.get_layer(index)
        if layer.num_outputs:
            yield layer


def _type_name(datatype: Any) -> str:  # noqa: ANN401
    name: str = datatype.name
    return TYPE_NAMES.get(name, name.lower())


def _format_type(text: str) -> str:
    words = text.lower().replace("/", " ").split()
    return next((FORMAT_WORDS[word] for word in words if word in FORMAT_WORDS), "other")


def _multiplications(trt: Any, layer: Any) -> int:  # noqa: ANN401
    """At batch 1: every element of the output is a sum over `depth` products; attention has two products."""
    source = tuple(layer.get_input(0).shape)
    if layer.type.name == "ATTENTION_INPUT":
        keys = layer.get_input(1).shape[-2]
        return 2 * math.prod(max(1, int(size)) for size in (*source, keys))
    classes = {"CONVOLUTION": trt.IConvolutionLayer, "DECONVOLUTION": trt.IDeconvolutionLayer}
    if layer.type.name in classes:
        layer.__class__ = classes[layer.type.name]  # the bindings' own way to a layer's special properties
        depths = (source[1] // layer.num_groups, *layer.kernel_size_nd)
    else:
        depths = source[-1:]
    return math.prod(max(1, size) for size in (*depths, *layer.get_output(0).shape))
