"""What a client takes for numbers, before anything is sent."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from reflex.client import acting
from reflex.client.acting import Observation, act_call
from reflex.errors import InvalidRequestError


def sent(**arguments: Any) -> dict[str, Any]:
    call = act_call(Observation(**{"state": [0.0], "request_id": "r", **arguments}))
    assert call.body is not None
    fields: dict[str, Any] = json.loads(call.body)
    return fields


@pytest.mark.parametrize(
    "value",
    ["0.1", "", b"1", bytearray(b"1"), True, False, np.bool_(True), np.str_("0.1"), np.bytes_(b"1"), None, [1.0], {},
     1j, np.array([1.0, 2.0]), np.array([True]), np.array("1"), 10**400],
    ids=repr,
)  # fmt: skip
@pytest.mark.parametrize("before", [0, 2])
def test_what_is_no_number_is_refused_by_its_index(value: object, before: int) -> None:
    with pytest.raises(InvalidRequestError, match=rf"^wrong_type: state\[{before}\] is ") as caught:
        sent(state=[0.5] * before + [value, "later"])
    assert caught.value.code == "wrong_type"


@pytest.mark.parametrize(
    "state", ["0.1", b"12", np.array([True, False]), np.array(1.0), np.array(["1", "2"]), 5, None], ids=repr
)
def test_a_state_that_is_no_sequence_of_numbers_is_refused(state: object) -> None:
    with pytest.raises(InvalidRequestError, match="flat sequence of numbers"):
        sent(state=state)


@pytest.mark.parametrize(
    "state",
    [
        [1, 2.5], (1, 2.5), np.array([1, 2.5], np.float32), np.array([1, 2.5], np.float16), iter([1, 2.5]),
        [np.float64(1), np.float32(2.5)], [np.int64(1), Fraction(5, 2)], [np.array(1), np.array(2.5)],
        np.array([1, 2.5], np.longdouble), np.array([1, 2.5], object), [1.0, np.array(2.5)],
    ],
    ids=lambda state: type(state).__name__,
)  # fmt: skip
def test_numbers_of_python_and_numpy_are_welcome(state: Any) -> None:
    assert sent(state=state)["state"] == [1.0, 2.5]


class Stored:
    """An array of a file, as h5py and zarr have them: numpy's in all but its methods."""

    ndim = 1
    dtype = np.dtype(np.float32)

    def __iter__(self) -> Iterator[np.float32]:
        return iter(np.array([1, 2.5], np.float32))


def test_an_array_of_a_file_is_welcome() -> None:
    assert sent(state=Stored())["state"] == [1.0, 2.5]


def test_integers_of_numpy_are_welcome() -> None:
    assert sent(state=np.array([1, 2], np.uint8))["state"] == [1.0, 2.0]


@pytest.mark.parametrize("of", [list, np.array, np.float32], ids=["floats", "array", "float32"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_what_has_no_value_is_refused_by_its_index(value: float, of: Callable[[list[float]], Any]) -> None:
    with pytest.raises(InvalidRequestError, match=rf"^not_finite: state\[1\] is {value}; "):
        sent(state=of([0.5, value, 1.0]))


@pytest.mark.parametrize("rows", [[[0.5, 1.0]] * 50, np.ones((50, 2), np.float32)], ids=["lists", "array"])
def test_no_single_number_of_a_chunk_of_floats_is_looked_at(rows: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(acting, "_number")
    assert len(sent(prev_actions=rows)["prev_actions"]) == 50


@pytest.mark.parametrize("seed", ["5", True, 1.5, np.bool_(True), b"5"], ids=repr)
def test_a_seed_that_is_no_whole_number_is_refused(seed: object) -> None:
    with pytest.raises(InvalidRequestError, match=r"^wrong_type: seed is "):
        sent(seed=seed)


def test_what_is_said_of_the_chunk_before_is_sent_as_it_is_and_absent_without() -> None:
    found = sent(inference_delay_steps=np.int64(2), prev_actions=np.array([[0.5, 1], [2, 3]], np.float32))
    assert (found["inference_delay_steps"], found["prev_actions"]) == (2, [[0.5, 1.0], [2.0, 3.0]])
    assert sent(executed_steps=3)["executed_steps"] == 3
    assert not {"executed_steps", "inference_delay_steps", "prev_actions"} & set(sent())


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        ({"executed_steps": 1.5}, "wrong_type", "executed_steps is a float"),
        ({"inference_delay_steps": True}, "wrong_type", "inference_delay_steps is a bool"),
        ({"prev_actions": 3}, "wrong_type", "prev_actions must be"),
        ({"prev_actions": [0.5]}, "wrong_type", r"prev_actions\[0\] must be"),
        ({"prev_actions": [[0.5], ["1"]]}, "wrong_type", r"prev_actions\[1\]\[0\] is a str"),
        ({"prev_actions": [[float("nan")]]}, "not_finite", r"prev_actions\[0\]\[0\] is nan"),
    ],
)
def test_what_is_no_number_of_actions_or_no_action_is_refused_by_its_name(
    arguments: dict[str, Any], code: str, told: str
) -> None:
    with pytest.raises(InvalidRequestError, match=told) as caught:
        sent(**arguments)
    assert caught.value.code == code


def test_a_whole_number_of_numpy_is_a_seed() -> None:
    assert sent(seed=np.int64(5))["seed"] == 5
