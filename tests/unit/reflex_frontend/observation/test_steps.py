"""What a request says of the chunk that is being executed: read, and refused, field by field."""

from __future__ import annotations

import math
from typing import Any

import orjson
import pytest

from reflex.errors import InvalidRequestError, ServiceError
from reflex.wire import LARGEST_STATE, MAX_CHUNK_STEPS
from reflex_frontend.observation.observation import check_steps
from reflex_frontend.observation.request import ActRequest, parse_act
from reflex_frontend.observation.steps import parse_rows
from support.motion.continuing import continuing_config

CONFIG = continuing_config()
STEPS = ("executed_steps", "inference_delay_steps")


def parsed(**fields: Any) -> ActRequest:
    return parse_act(orjson.dumps({"instruction": "", "state": [0.1] * 6, **fields}))


def refusal(**fields: Any) -> ServiceError:
    with pytest.raises(InvalidRequestError) as caught:
        check_steps(parsed(**fields), CONFIG)
    return caught.value


def test_they_are_carried_over_and_null_means_absent() -> None:
    request = parsed(executed_steps=3, inference_delay_steps=2.0)
    assert (request.executed_steps, request.inference_delay_steps, request.prev_actions) == (3, 2, None)
    assert parsed(prev_actions=[[1, 2.5], []]).prev_actions == ((1, 2.5), ())
    assert parsed(prev_actions=[]).prev_actions == ()
    absent = parsed(executed_steps=None, inference_delay_steps=None, prev_actions=None)
    assert (absent.executed_steps, absent.inference_delay_steps, absent.prev_actions) == (None, None, None)


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize("value", [-1, 1.5, True, "3", [3], {}, MAX_CHUNK_STEPS + 1, 1e300])
def test_steps_are_whole_numbers_from_0(name: str, value: object) -> None:
    error = refusal(**{name: value})
    assert (error.code, error.context["field"]) == ("wrong_type", name)


@pytest.mark.parametrize(
    "value",
    [{}, "x", 3, [3], ["abc"], [[1, "2"]], [[True]], [[None]], [[[1]]], [[1], {}], [[]] * (MAX_CHUNK_STEPS + 1)],
)
def test_actions_are_arrays_of_numbers(value: object) -> None:
    error = refusal(prev_actions=value)
    assert (error.code, error.context["field"]) == ("wrong_type", "prev_actions")


@pytest.mark.parametrize("value", [LARGEST_STATE * 1.01, -1e300])
def test_no_robot_has_such_a_number(value: float) -> None:
    assert refusal(prev_actions=[[0.0], [1.0, value]]).code == "not_finite"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", range(3))
@pytest.mark.parametrize("field", ["prev_actions", "actions"])
def test_what_has_no_value_is_refused_wherever_it_stands(value: float, place: int, field: str) -> None:
    row = [1.0, 2.0, 3.0]
    row[place] = value
    with pytest.raises(InvalidRequestError, match=rf"{field}\[1\] must be finite") as caught:
        parse_rows([[0.0], row], field)
    assert caught.value.code == "not_finite"


def test_what_is_left_and_what_is_executed_say_the_same_thing_twice() -> None:
    assert refusal(executed_steps=0, prev_actions=[]).code == "wrong_type"
    assert parsed(executed_steps=None, inference_delay_steps=2, prev_actions=[]).inference_delay_steps == 2


@pytest.mark.parametrize(
    ("fields", "context"),
    [
        ({"executed_steps": 5}, {"field": "executed_steps", "limit": 4, "received": 5}),
        ({"inference_delay_steps": 9}, {"field": "inference_delay_steps", "limit": 4, "received": 9}),
        ({"prev_actions": [[0.0] * 7] * 5}, {"field": "prev_actions", "limit": 4, "received": 5}),
        ({"prev_actions": [[0.0] * 7, [0.0] * 6]}, {"field": "prev_actions", "expected": 7, "received": 6}),
        ({"prev_actions": [[]]}, {"field": "prev_actions", "expected": 7, "received": 0}),
    ],
)
def test_what_no_chunk_of_this_policy_can_be_is_422_and_says_what_could(
    fields: dict[str, Any], context: dict[str, Any]
) -> None:
    error = refusal(**fields)
    assert (error.code, error.status, dict(error.context)) == ("chunk_mismatch", 422, context)


def test_the_whole_chunk_may_be_executed_or_left() -> None:
    check_steps(parsed(executed_steps=4, inference_delay_steps=4), CONFIG)
    check_steps(parsed(prev_actions=[[0.0] * 7] * 4), CONFIG)
