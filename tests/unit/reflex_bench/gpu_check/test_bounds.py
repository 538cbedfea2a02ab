"""The least that a chunk costs: the published table of bounds comes out, and sizes are those of the checkpoints."""

from __future__ import annotations

import json
import math
from itertools import product
from typing import Any, Final

import pytest

from reflex_bench.gpu_check.bounds import KNOWN_CARDS, SIZES, load_of, lower_bound
from support.checkpoints.golden import golden_folder

PROMPT: Final = {"pi0": 20, "smolvla": None}
"""Tokens of the table's prompts; SmolVLA pads to its longest."""
BOUNDS: Final = {
    ("pi0", "H200"): (2.6, 3.8, 5.1),
    ("pi0", "H100"): (3.3, 4.4, 5.6),
    ("pi0", "RTX 4090"): (13.9, 21.3, 28.7),
    ("smolvla", "H200"): (0.7, 0.9, 1.15),
    ("smolvla", "RTX 4090"): (3.6, 4.9, 6.4),
}
"""Milliseconds for one, two and three cameras, as docs/gpu.md quotes them."""


@pytest.mark.parametrize(("family", "card"), BOUNDS)
def test_the_table_of_bounds_comes_out(family: str, card: str) -> None:
    found = [
        lower_bound(SIZES[family], KNOWN_CARDS[card], cameras=cameras, prompt=PROMPT[family]).together_ms
        for cameras in (1, 2, 3)
    ]

    assert found == pytest.approx(BOUNDS[family, card], abs=0.1)


def test_operations_and_bytes_of_pi0_are_the_published_ones() -> None:
    loads = [load_of(SIZES["pi0"], cameras=cameras, prompt=20) for cameras in (1, 2, 3)]

    assert [round((encoder.flop + denoise.flop) / 1e12, 2) for encoder, denoise in loads] == [1.61, 2.83, 4.08]
    assert loads[0][0].bytes + loads[0][1].bytes / 10 == pytest.approx(5.42e9, rel=0.06)


@pytest.mark.parametrize("family", SIZES)
def test_the_sizes_are_those_of_the_published_checkpoint(family: str) -> None:
    listed = json.loads((golden_folder("keys") / f"{family}_full.json").read_text())["tensors"]
    sizes = SIZES[family]
    counted = {
        "vision": sizes.vision.layers * sizes.vision.parameters,
        "prefix": sizes.prefix.layers * sizes.prefix.parameters,
        "expert": sizes.expert.layers * sizes.expert.parameters,
    }

    assert counted == {name: pytest.approx(_listed(listed, name), rel=0.03) for name in counted}


def _listed(tensors: dict[str, Any], part: str) -> int:
    """Weights of the layers' matrices."""
    inside = {
        "vision": ("vision_",),
        "prefix": ("language_model.", "text_model."),
        "expert": ("gemma_expert.", "lm_expert."),
    }[part]
    names = [name for name in tensors if ".layers." in name and any(word in name for word in inside)]
    return sum(
        math.prod(tensors[name]["shape"])
        for name in names
        if "_proj.weight" in name or (".fc" in name and name.endswith("weight"))
    )


def test_a_batch_costs_the_denoise_no_more_than_its_keys_and_values_while_weights_are_what_it_reads() -> None:
    one, four = (load_of(SIZES["pi0"], cameras=3, batch=batch)[1] for batch in (1, 4))

    assert four.bytes < 1.1 * one.bytes
    assert four.flop == 4 * one.flop


def test_nothing_gets_cheaper_with_more_cameras_or_robots() -> None:
    for family, card in product(SIZES, KNOWN_CARDS.values()):
        chunks = [lower_bound(SIZES[family], card, cameras=cameras).together_ms for cameras in (1, 2, 3)]
        batches = [lower_bound(SIZES[family], card, cameras=3, batch=batch).together_ms for batch in (1, 2, 4, 8)]

        assert chunks == sorted(chunks)
        assert batches == sorted(batches)
