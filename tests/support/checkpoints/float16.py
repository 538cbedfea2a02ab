"""Running the FP16 graphs of a family with every FP16 value really rounded: see `reflex_export.checking.rounding`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy.typing as npt

from reflex_export.checking.rounding import rounding_session
from reflex_export.families.common import FamilyGraphs
from reflex_export.graph.graph import OnnxModel

__all__ = ["run_graphs_rounded"]

Array = npt.NDArray[Any]


def run_graphs_rounded(graphs: FamilyGraphs, steps: int, feeds: Mapping[str, Array]) -> dict[str, Array]:
    """Preprocess, encoder and denoise one after the other; every tensor that was there."""
    known = dict(feeds)
    for model in (graphs.preprocess, graphs.encoder, graphs.denoise[steps]):
        known.update(_run(model, known))
    return known


def _run(model: OnnxModel, feeds: Mapping[str, Array]) -> dict[str, Array]:
    session = rounding_session(model.content)
    names = [value.name for value in session.get_outputs()]
    answers = session.run(names, {value.name: feeds[value.name] for value in session.get_inputs()})
    return dict(zip(names, answers, strict=True))
