"""Whether this machine can run what has been built, asked before it tries: the kernel's answer to no is a kill."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from reflex.errors import SetupError
from reflex_export.families.common import FamilyGraphs, Precision
from reflex_export.graph.onnx_model import OnnxModel

__all__ = ["available_bytes", "check_bytes", "require_memory"]

MEMINFO: Final = Path("/proc/meminfo")
COPIES: Final[dict[Precision, int]] = {"fp32": 2, "fp16": 4}
"""Of the weights while a check runs: ONNX Runtime keeps them once more, arranged for the processor. On a CPU it
computes FP16 in FP32, twice as large, and the FP32 graphs that it is compared with lie beside it."""


def check_bytes(graphs: FamilyGraphs, precision: Precision) -> int:
    """What running the graphs of an export may need."""
    return COPIES[precision] * _stored_bytes([graphs.preprocess, graphs.encoder, *graphs.denoise.values()])


def available_bytes(meminfo: Path = MEMINFO) -> int | None:
    """What the kernel thinks it can hand out without swapping; None where it does not say."""
    try:
        lines = meminfo.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    found = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return int(found[0]) * 1024 if found else None


def require_memory(needed: int, available: int | None) -> None:
    """`SetupError` when a check would need more bytes than there are."""
    if available is not None and available < needed:
        raise SetupError(
            f"checking the graphs means running them, which needs about {needed / 2**30:.1f} GiB of memory, and "
            f"{available / 2**30:.1f} GiB are available; export on a larger machine, or with --no-check, which "
            "publishes them without having run them"
        )


def _stored_bytes(models: Iterable[OnnxModel]) -> int:
    return sum(len(model.content) + model.data_bytes for model in models)
