"""What `reflex inspect` does. Its options are declared in reflex.cli, which calls this."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, Unpack

import typer

from reflex.console import print_json, reported_errors
from reflex.errors import SetupError
from reflex.export_options import ReadingOptions
from reflex.policy_config import MergedAdapterConfig, PromptConfig
from reflex.readiness.precision_proof import proof_in_words
from reflex_export.checking.inspection import (
    GPUS,
    CameraSize,
    Inspection,
    Phase,
    find_policy,
    inspect_checkpoint,
    inspect_policy,
)
from reflex_export.reading import read_checkpoint

__all__ = ["inspect_command"]

CAVEAT: Final = (
    "Lower bounds, not measurements: no FP16 run of this policy at batch 1 can be faster; real ones are slower.\n"
    "Per phase, the larger of weight bytes / memory bandwidth and FLOPs / dense FP16 rate; nothing else is counted.\n"
    "Memory is what limits only where a phase's weights do not fit into the GPU's cache."
)
BYTES_OF: Final = {"fp32": 4, "fp16": 2}
LABEL_WIDTH: Final = 16
SHOWN_IN_MS: Final = 0.1
_PREFIXES: Final = ("", "k", "M", "G", "T")


def inspect_command(
    source: str,
    *,
    policy: str | None = None,
    steps: int | None = None,
    as_json: bool = False,
    **reading: Unpack[ReadingOptions],
) -> int:
    """Print what a checkpoint or a repository's policy is and needs; the exit code."""
    with reported_errors(as_json=as_json):
        folder = find_policy(Path(source), policy)
        if folder is not None and steps is not None:
            raise SetupError(f"{folder} has its steps in its graphs; leave --steps out, or inspect the checkpoint")
        if folder is not None:
            found = inspect_policy(folder)
        else:
            found = inspect_checkpoint(read_checkpoint(source, **reading), steps=steps)
    if as_json:
        print_json(_as_json(found))
    else:
        typer.echo("\n".join(_lines(found)))
    return 0


def _as_json(found: Inspection) -> dict[str, Any]:
    return {
        "source": found.source,
        "family": found.family,
        "cameras": [asdict(camera) for camera in found.cameras],
        "state_dim": found.state_dim,
        "action_dim": found.action_dim,
        "horizon": found.horizon,
        "n_action_steps": found.executed,
        "denoising_steps": found.steps,
        "normalization": [row.model_dump(mode="json") for row in found.normalization],
        "warnings": list(found.warnings),
        "prompt": None if found.prompt is None else found.prompt.model_dump(mode="json"),
        "precision": found.precision,
        "engine": found.engine,
        "exported_from": found.exported_from,
        "adapter": None if found.adapter is None else found.adapter.model_dump(mode="json"),
        "parity": found.parity,
        "precision_proof": found.precision_proof,
        "parameters": {"live": found.parameters, "stored": found.stored_parameters, "parts": dict(found.parts)},
        "weight_bytes": {name: found.parameters * size for name, size in BYTES_OF.items()},
        "cache": {"shape": list(found.cache_shape), "bytes": found.cache_bytes},
        "flops_per_chunk": found.flops,
        "phases": [asdict(phase) for phase in found.phases],
        "lower_bounds_are": "not measurements; FP16, batch 1",
        "lower_bounds": [
            {**asdict(bound), "chunk_ms": bound.chunk_ms, "rates_from": gpu.source}
            for bound, gpu in zip(found.bounds, GPUS, strict=True)
        ],
    }


def _lines(found: Inspection) -> Iterator[str]:
    yield from _about(found)
    yield ""
    if found.normalization:
        yield from _table(
            ("normalisation", "mode", "statistics", "never moved", "from"), list(_normalization_rows(found))
        )
        yield ""
    if found.warnings:
        yield from (f"warning: {told}" for told in found.warnings)
        yield ""
    yield from _table(("parameters", "count", "FP16 size"), list(_parameter_rows(found)))
    yield ""
    yield from _table(
        ("work per chunk", "runs", "weights read", "FLOP", "nodes"), [_work(phase) for phase in found.phases]
    )
    yield ""
    yield from _table(("GPU", "per chunk", "encoder", "denoise", "limited by", "rates from"), list(_bound_rows(found)))
    yield ""
    yield CAVEAT


def _about(found: Inspection) -> Iterator[str]:
    weights = "  ".join(f"{name} {_bytes(found.parameters * size)}" for name, size in BYTES_OF.items())
    facts = {
        "source": found.source,
        "family": found.family,
        **_publication(found),
        **({} if found.adapter is None else {"adapter": _adapter(found.adapter)}),
        "cameras": ", ".join(map(_camera, found.cameras)) or "none",
        "state, action": f"{found.state_dim}, {found.action_dim} dimensions",
        "chunk": f"{found.horizon} actions in {found.steps} denoising step{'s' if found.steps > 1 else ''}"
        + _executed(found),
        **({} if found.normalization else {"normalisation": "built into the graphs"}),
        "prompt": _prompt(found.prompt),
        "weights": weights,
        "K/V per request": f"{_bytes(found.cache_bytes)} in FP16 {list(found.cache_shape)} twice"
        if found.cache_shape
        else "none",
    }
    for label, fact in facts.items():
        yield f"{label:<{LABEL_WIDTH}}  {fact}"


def _executed(found: Inspection) -> str:
    if found.executed is None or found.executed == found.horizon:
        return ""
    return f", of which {found.executed} are executed before the next chunk"


def _publication(found: Inspection) -> dict[str, str]:
    """Only of a policy that lies in a repository."""
    if found.engine is None:
        return {}
    origin = f" from {found.exported_from}" if found.exported_from else ""
    told = {
        "exported": f"in {found.precision}{origin}, served by {found.engine}, parity {found.parity or 'not checked'}"
    }
    proof = found.precision_proof
    return told if proof is None else {**told, "precision": proof_in_words(proof)}


def _adapter(adapter: MergedAdapterConfig) -> str:
    kind = {"lora": "LoRA", "dora": "DoRA"}[adapter.kind]
    how = ", rank-stabilised" if adapter.rank_stabilized else ""
    weights = f" ({adapter.base_hash})" if adapter.base_hash else ""
    return f"{kind} of rank {adapter.rank}, alpha {adapter.alpha:g}{how}, merged into {adapter.base}{weights}"


def _camera(camera: CameraSize) -> str:
    size = f" {camera.width}x{camera.height}" if camera.width else ""
    return f"{camera.name}{size}{'' if camera.is_required else ' (optional)'}"


def _prompt(prompt: PromptConfig | None) -> str:
    if prompt is None:
        return "none: takes no instruction"
    return f"{prompt.style} {prompt.template!r}, {prompt.max_tokens} tokens, padded on the {prompt.padding_side}"


def _normalization_rows(found: Inspection) -> Iterator[tuple[str, ...]]:
    for row in found.normalization:
        entries = ", ".join(map(str, row.never_moved))
        statistics = ", ".join(row.statistics) or "none"
        yield row.feature, row.mode, statistics, entries, row.origin or "nothing: passed on as it is"


def _parameter_rows(found: Inspection) -> Iterator[tuple[str, ...]]:
    for part, count in (*found.parts.items(), ("all that is used", found.parameters)):
        yield part, _count(count), _bytes(count * BYTES_OF["fp16"])
    if found.stored_parameters is not None:
        yield "in the files", _count(found.stored_parameters), _bytes(found.stored_parameters * BYTES_OF["fp16"])


def _work(phase: Phase) -> tuple[str, ...]:
    read = _bytes(phase.weight_reads * BYTES_OF["fp16"])
    return phase.name, str(phase.runs), read, _scaled(phase.flops, ""), f"{phase.nodes:,}"


def _bound_rows(found: Inspection) -> Iterator[tuple[str, ...]]:
    for bound, gpu in zip(found.bounds, GPUS, strict=True):
        times = (f">= {_time(bound.chunk_ms)}", _time(bound.encoder_ms), _time(bound.denoise_ms))
        yield gpu.name, *times, f"{bound.encoder_limit}, {bound.denoise_limit}", gpu.source


def _table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """Columns as wide as their widest cell; those that hold numbers are flush right."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    is_right = [index > 0 and all(row[index][:1] in "0123456789>" for row in rows) for index in range(len(header))]
    for row in (header, *rows):
        cells = zip(row, widths, is_right, strict=True)
        yield "  ".join(f"{cell:>{w}}" if right else f"{cell:<{w}}" for cell, w, right in cells).rstrip()


def _time(value_ms: float) -> str:
    """Below 0.1 ms in microseconds: of a tiny policy a millisecond's digits are all zeros."""
    return f"{value_ms:.2f} ms" if value_ms >= SHOWN_IN_MS else f"{value_ms * 1000:.2g} us"


def _count(value: int) -> str:
    return _scaled(value, "")


def _bytes(value: int) -> str:
    return _scaled(value, "B")


def _scaled(value: float, unit: str) -> str:
    """Three digits and a decimal prefix: 5.42 GB."""
    power = min(len(_PREFIXES) - 1, int(math.log10(max(value, 1)) / 3))
    return f"{value / 1000**power:.3g} {_PREFIXES[power]}{unit}".rstrip()
