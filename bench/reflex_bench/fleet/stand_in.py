"""A policy whose models take the measured times and do nothing: what a GPU would be to the request path.

All of its models share one GPU, a file that whoever runs holds locked, and sleep: two cores are enough for a fleet. As
one model it encodes and denoises what Triton gives it, as a backend does that has a policy's models in one process; as
three, encoder and denoise are models of their own and take turns.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final, Literal

from reflex_bench.fleet.measured import ModelTimes
from reflex_bench.nonce_policy import PythonPart, write_nonce_policy

__all__ = ["ENCODER_MAX_BATCH", "FORMS", "Form", "write_stand_in"]

Form = Literal["one", "three"]
FORMS: Final[tuple[Form, ...]] = ("one", "three")
ENCODER_MAX_BATCH: Final = 2
"""As exports have it."""
MODEL: Final = Path(__file__).parents[1] / "python_models" / "sleeping_model.py"


def write_stand_in(
    repository: Path,
    times: ModelTimes,
    *,
    form: Form = "one",
    max_batch: int | None = None,
    encoder_batch: int = ENCODER_MAX_BATCH,
) -> None:
    """The policy `nonce` with these times; with `max_batch` 1 nothing meets in a batch."""
    batch = times.max_batch if max_batch is None else max_batch
    sizes = range(1, batch + 1)
    gpu = repository / "gpu.lock"
    if form == "one":
        parts = {"denoise": _part("denoise", [times.whole_ms(size) for size in sizes], gpu)}
    else:
        encoder = min(batch, encoder_batch)
        parts = {
            "encoder": _part("encoder", [size * times.encoder_ms for size in range(1, encoder + 1)], gpu),
            "denoise": _part("denoise", [times.denoising_ms(size) for size in sizes], gpu),
        }
    write_nonce_policy(repository, parts=parts)


def _part(role: str, batch_ms: list[float], gpu: Path) -> PythonPart:
    options = {"role": role, "batch_ms": json.dumps(batch_ms), "gpu": str(gpu)}
    return PythonPart(MODEL, len(batch_ms), options)
