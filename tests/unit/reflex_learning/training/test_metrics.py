"""The trainer's numbers, unrounded; two losses in a row that are none end the run."""

from __future__ import annotations

import json
from typing import Any

import pytest

from reflex.training.port import Metric
from reflex_learning.training.metrics import Numbers


def line(step: int, **values: Any) -> bytes:
    return json.dumps({"step": step, "metrics": values}).encode() + b"\n"


def test_a_metric_is_made_of_each_whole_line() -> None:
    numbers = Numbers()
    said = line(1230, loss=0.0661234, grad_norm=7.9, lr=2e-4, update_s=0.27, dataloading_s=0.01, l1_loss=0.05)

    assert list(numbers.feed(said[:40])) == []
    assert list(numbers.feed(said[40:])) == [
        Metric(step=1230, loss=0.0661234, grad_norm=7.9, lr=2e-4, update_s=0.27, data_s=0.01, others={"l1_loss": 0.05})
    ]


@pytest.mark.parametrize(
    "said", [b"no json\n", b"[]\n", b'{"step": "1", "metrics": {}}\n', b'{"step": 1}\n', b"[" * 9999]
)
def test_what_is_no_line_of_ours_is_passed_over(said: bytes) -> None:
    assert list(Numbers().feed(said + b"\n")) == []


@pytest.mark.parametrize(
    "value", ["NaN", "-Infinity", "1e999", "1" + "0" * 400, "-1" + "0" * 400, "true", '"1"', "[1]"]
)
def test_what_is_no_number_that_a_loss_can_have_is_none(value: str) -> None:
    said = f'{{"step": 1, "metrics": {{"loss": {value}, "lr": 0.5, "more": {value}}}}}\n'
    assert list(Numbers().feed(said.encode())) == [Metric(step=1, lr=0.5)]


def test_one_loss_that_is_not_finite_is_passed_over_and_two_are_not() -> None:
    numbers = Numbers()
    for loss in (None, 0.5, None):
        list(numbers.feed(line(1, loss=loss)))
    assert not numbers.is_lost

    list(numbers.feed(line(4, loss=None)))
    assert numbers.is_lost
