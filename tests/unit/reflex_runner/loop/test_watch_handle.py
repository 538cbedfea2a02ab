"""How another process stops the robot is JSON: anything else is refused, and what is not safe is not done."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from reflex.errors import SetupError
from reflex_runner.loop.watch_handle import first_safe_rungs, parse_handle
from support.runner.arms import HOLDS, RESTS
from support.runner.stoppable import noted

FUNCTION = {"function": "support.runner.stoppable:note", "arguments": {"path": "x"}}


def test_it_goes_through_json_unchanged() -> None:
    for given in (FUNCTION, {"command": ["arm", "stop"], "rungs": ["release"], "descriptors": [7]}):
        handle = parse_handle(given)
        assert parse_handle(json.loads(json.dumps(handle.as_json()))) == handle
    assert parse_handle(FUNCTION).rungs == ("hold",)


def test_a_function_is_called_with_the_rung_and_its_arguments(tmp_path: Path) -> None:
    parse_handle(FUNCTION | {"arguments": {"path": str(tmp_path / "noted")}}).bound()("hold")
    assert [what for _, what in noted(tmp_path / "noted")] == ["hold"]


@pytest.mark.parametrize("name", ["no_such_module_of_ours:stop", "support.runner.stoppable:nothing"])
def test_a_function_that_is_not_there_is_refused_when_it_is_loaded(name: str) -> None:
    with pytest.raises(SetupError, match=f"watch_handle: {name} cannot be loaded .*correct the connector"):
        parse_handle({"function": name}).bound()


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (None, "an object of some of"),
        (["arm"], "an object of some of"),
        ({"function": "a:b", "timeout": 3}, "an object of some of"),
        ({}, "either a command or a function"),
        ({"function": "a:b", "command": ["c"]}, "either a command or a function"),
        ({"function": "a"}, "a function as module:name"),
        ({"function": ":b"}, "a function as module:name"),
        ({"function": 3}, "a function as module:name"),
        ({"command": "arm stop"}, "a command as a list of texts"),
        ({"command": [1]}, "a command as a list of texts"),
        ({"command": []}, "a command as a list of texts"),
        ({"function": "a:b", "rungs": []}, "rungs out of hold and release"),
        ({"function": "a:b", "rungs": ["return_to_rest"]}, "rungs out of hold and release"),
        ({"function": "a:b", "rungs": ["float"]}, "rungs out of hold and release"),
    ],
)
def test_anything_else_is_refused_with_what_was_expected(given: object, wanted: str) -> None:
    with pytest.raises(SetupError, match=rf"watch_handle: expected {wanted}.*, not .*correct the connector"):
        parse_handle(given)


def test_the_first_safe_rung_is_to_hold_and_releasing_only_where_it_is_declared_safe() -> None:
    both = parse_handle(FUNCTION | {"rungs": ["release", "hold"]})
    safe = replace(RESTS, rungs=("return_to_rest", "release"), release_is_safe=True)
    assert first_safe_rungs(RESTS, both) == ("hold",)
    assert first_safe_rungs(safe, both) == ("hold", "release")
    assert first_safe_rungs(safe, parse_handle(FUNCTION | {"rungs": ["release"]})) == ("release",)


def test_a_handle_that_can_do_nothing_safe_is_refused() -> None:
    with pytest.raises(SetupError, match="it can release, and the stop ladder allows hold"):
        first_safe_rungs(HOLDS, parse_handle(FUNCTION | {"rungs": ["release"]}))
