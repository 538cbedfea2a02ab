"""How many operators the published sizes take: a GPU's time for a small batch is their number, more than their work."""

from __future__ import annotations

from functools import cache

import pytest

from reflex_export.checkpoint import Family
from reflex_export.families.common import FamilyGraphs
from reflex_export.families.family_graphs import build_graphs
from support.checkpoints.full_size import full_size, node_counts

SPELLED_OUT = ("Softmax", "ReduceMean", "Sqrt", "Erf", "Tanh")
"""What norms, attention and Gelu consist of where they are no single operator."""


@cache
def graphs(family: Family) -> FamilyGraphs:
    return build_graphs(full_size(family), (10,), "fp16")


@pytest.mark.parametrize(("family", "most"), [("smolvla", 610)])
def test_an_encoder_of_three_cameras_has_few_operators(family: Family, most: int) -> None:
    counted = node_counts(graphs(family).encoder)

    assert counted.total() <= most
    assert not {name for name in SPELLED_OUT if counted[name]}


@pytest.mark.parametrize(("family", "most", "most_kernels"), [("smolvla", 3800, 3430)])
def test_ten_steps_have_few_operators(family: Family, most: int, most_kernels: int) -> None:
    """A Reshape is no kernel: it lets a product take a weight as it is stored."""
    counted = node_counts(graphs(family).denoise[10])

    assert counted.total() <= most
    assert counted.total() - counted["Reshape"] <= most_kernels
    assert not {name for name in SPELLED_OUT[:2] if counted[name]}
