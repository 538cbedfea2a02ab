from __future__ import annotations

import contextlib
import json
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reflex.errors import InvalidRequestError, ServiceError
from reflex.wire import MAX_CHUNK_STEPS
from reflex.wire.arrays import PLAIN, array_map
from reflex.wire.packing import pack
from reflex_frontend.observation.rest import checked_position, parse_packed_rest, parse_rest
from support.fakes import policy_config

CONFIG = policy_config()
REST: dict[str, Any] = {"state": [0.1] * 6, "actions": [[0.0] * 7] * 2}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=12,
)


@pytest.mark.parametrize("place", range(7))
def test_an_array_with_a_nan_anywhere_is_refused(place: int) -> None:
    actions = np.zeros((2, 7), np.float32)
    actions[1, place] = np.nan
    with pytest.raises(ServiceError) as caught:
        parse_packed_rest(pack({**REST, "actions": array_map(actions, PLAIN)}))
    assert caught.value.code == "not_finite"


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=40))
def test_bytes_that_are_no_request_are_a_service_error(body: bytes) -> None:
    for parse in (parse_rest, parse_packed_rest):
        with contextlib.suppress(ServiceError):
            parse(body)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from(["state", "actions", "position", "episode_id", "request_id", "more"]), JSON))
def test_fields_of_any_kind_are_a_request_or_a_client_error(fields: dict[str, Any]) -> None:
    with contextlib.suppress(InvalidRequestError):
        request = parse_rest(json.dumps({**REST, **fields}).encode())
        assert 0 <= checked_position(request, CONFIG) <= CONFIG.horizon - len(request.actions)


@pytest.mark.parametrize(("given", "found"), [(None, 2), (0, 0), (2, 2), (1.0, 1)])
def test_without_a_position_the_actions_are_the_last_ones(given: float | None, found: int) -> None:
    request = parse_rest(orjson.dumps({**REST, "position": given}))

    assert checked_position(request, CONFIG) == found


def test_more_actions_than_any_chunk_has_are_refused_before_they_are_read() -> None:
    with pytest.raises(ServiceError) as caught:
        parse_rest(orjson.dumps({**REST, "actions": [["x"]] * (MAX_CHUNK_STEPS + 1)}))
    assert caught.value.code == "wrong_type"
    with pytest.raises(ServiceError, match="at most"):
        parse_rest(b"," * 1_000_001)


def test_an_array_of_another_shape_is_no_rest() -> None:
    flat = np.zeros(7, np.float32)
    array = {"__ndarray__": True, "dtype": flat.dtype.str, "shape": [7], "data": flat.tobytes()}
    with pytest.raises(ServiceError, match="array of numbers"):
        parse_packed_rest(pack({"state": [0.1] * 6, "actions": array}))
