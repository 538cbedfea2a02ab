"""A run out of bounds is refused with all that is wrong with it at once."""

from __future__ import annotations

import pytest

from reflex.errors import ServiceError
from reflex.training.refusing import require_within_bounds
from reflex.training.request import TrainingRequest


def test_all_that_is_out_of_bounds_is_named_at_once() -> None:
    with pytest.raises(ServiceError, match=r"steps .*; batch size .*; nothing was queued") as refused:
        require_within_bounds(TrainingRequest(dataset_id="data_1", base="act", steps=0, batch_size=0))
    assert (refused.value.status, len(refused.value.context["problems"])) == (422, 2)


def test_what_is_within_them_is_let_through() -> None:
    require_within_bounds(TrainingRequest(dataset_id="data_1", base="act"))
