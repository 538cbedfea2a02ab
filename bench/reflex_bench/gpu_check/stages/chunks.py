"""Milliseconds of a chunk, by family, cameras and batch, beside what the card could do at best."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from reflex_bench.gpu_check.bounds import SIZES, Ceilings, lower_bound
from reflex_bench.gpu_check.plan import Plan
from reflex_bench.gpu_check.policies import (
    MadePolicy,
    drop_checkpoint,
    drop_policy,
    drop_unfinished,
    make_policy,
)
from reflex_bench.gpu_check.rows import Emit, Keys, LeftOut, Row, left_out_if_raised
from reflex_bench.gpu_check.timed_graphs import GraphPair
from reflex_bench.gpu_check.ways import Way

__all__ = ["measure_chunks"]

PARTS = ("encoder", "denoise", "together")
MASKED = "denoise with masks"


def measure_chunks(
    plan: Plan, ways: Sequence[Way], ceilings: Ceilings | None, golden: Path, scratch: Path, emit: Emit
) -> None:
    """The first policy of each family is measured in all batches, and stays on the disk for the stages that come."""
    if plan.is_small:
        emit(LeftOut("lower bounds beside the figures: those are of the published sizes, these policies are small"))
    seen: set[str] = set()
    for number, (family, cameras) in enumerate(plan.policies):
        made: MadePolicy | None = None
        with left_out_if_raised(f"{family}, {cameras} camera(s): it could not be made", emit):
            made = make_policy(plan, golden, scratch, family, cameras)
        if made is None:
            drop_unfinished(scratch, family, cameras)
            continue
        batches = plan.batches[:1] if family in seen else plan.batches
        for way in ways:
            with left_out_if_raised(f"{family}, {cameras} camera(s), {way}", emit):
                _measure(plan, made, way, batches, None if plan.is_small else ceilings, emit)
        if family in seen:
            drop_policy(made)
        seen.add(family)
        if all(later != family for later, _ in plan.policies[number + 1 :]):
            drop_checkpoint(scratch, family)


def _measure(
    plan: Plan, made: MadePolicy, way: Way, batches: Sequence[int], ceilings: Ceilings | None, emit: Emit
) -> None:
    served, of_all = made.denoise_on(way), made.denoise()
    measured: list[Row | LeftOut] = []

    def kept(told: Row | LeftOut) -> None:
        measured.append(told)
        emit(told)

    if served != of_all:
        forms = f"{made.family}, {made.cameras} camera(s), {way}"
        with left_out_if_raised(f"{forms}: the denoise with masks", emit):
            _, ms, _ = GraphPair(made.encoder, of_all, way).measure(1, plan.rounds)
            emit(_row(made, way, MASKED, 1, ms, "as every other runtime has it"))
        with left_out_if_raised(f"{forms}: the denoise without masks", emit):
            _measure_form(plan, made, way, served, batches, ceilings, kept)
    if not measured:  # else these are of another form than those that are told
        _measure_form(plan, made, way, of_all, batches, ceilings, emit)


def _measure_form(
    plan: Plan,
    made: MadePolicy,
    way: Way,
    denoise: Path,
    batches: Sequence[int],
    ceilings: Ceilings | None,
    emit: Emit,
) -> None:
    pair = GraphPair(made.encoder, denoise, way)
    for batch in batches:
        figures = dict(zip(PARTS, pair.measure(batch, plan.rounds), strict=True))
        for part, ms in figures.items():
            note = "; ".join(filter(None, (_beside(made, part, ms, batch, plan.steps, ceilings), pair.note)))
            emit(_row(made, way, part, batch, ms, note))


def _row(made: MadePolicy, way: Way, part: str, batch: int, ms: float, note: str) -> Row:
    keys: Keys = {"family": made.family, "cameras": made.cameras, "way": way, "part": part, "batch": batch}
    return Row(f"{made.family}, {made.cameras} camera(s), {way}, batch {batch}: {part}", ms, "ms", note, keys)


def _beside(made: MadePolicy, part: str, ms: float, batch: int, steps: int, ceilings: Ceilings | None) -> str:
    if ceilings is None:
        return ""
    bound = lower_bound(SIZES[made.family], ceilings, cameras=made.cameras, batch=batch, steps=steps)
    least = {"encoder": bound.encoder_ms, "denoise": bound.denoise_ms, "together": bound.together_ms}[part]
    return f"{ms / least:.1f} x the bound of {least:.2f}"
