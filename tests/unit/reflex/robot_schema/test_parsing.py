"""`parse_robot_schema`: what is whole is read in every form, anything doubtful is refused with its field."""

from __future__ import annotations

import copy
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from reflex.embodiments import load_embodiment
from reflex.errors import SetupError
from reflex.robot_schema import Camera, parse_robot_schema

EXAMPLE = Path(__file__).parents[4] / "examples" / "so101.schema.json"
TEXT = EXAMPLE.read_text(encoding="utf-8")
GOOD: dict[str, Any] = json.loads(TEXT)
OPTIONAL = ("simulation",)


def changed(path: str, value: object) -> dict[str, Any]:
    """The example with another value at `safe_stop.ladder`; Ellipsis takes the field away."""
    content = copy.deepcopy(GOOD)
    *above, last = path.split(".")
    inner: Any = content
    for name in above:
        inner = inner[int(name)] if isinstance(inner, list) else inner[name]
    if value is ...:
        del inner[last]
    else:
        inner[last] = value
    return content


def test_the_example_is_the_bundled_arm_with_cameras_and_a_safe_stop() -> None:
    schema, arm = parse_robot_schema(TEXT, "so101.schema.json"), load_embodiment("so101")
    assert replace(schema.embodiment, sources=arm.sources, stop_ladder=arm.stop_ladder) == arm
    assert schema.cameras == (Camera("front", required=True), Camera("wrist", required=False))
    assert schema.safe_stop.ladder == ("hold", "return_to_rest")
    assert schema.simulation is False


def test_json_yaml_bytes_a_mapping_and_camel_case_are_the_same_schema() -> None:
    def camel(value: Any) -> Any:
        if isinstance(value, dict):
            return {re.sub("_([a-z])", lambda found: found[1].upper(), key): camel(each) for key, each in value.items()}
        return [camel(each) for each in value] if isinstance(value, list) else value

    schema = parse_robot_schema(TEXT, "so101")
    forms = (yaml.safe_dump(GOOD), TEXT.encode(), GOOD, camel(GOOD), yaml.safe_dump(camel(GOOD), sort_keys=False))
    assert [parse_robot_schema(form, "so101") for form in forms] == [schema] * 5
    assert "holdAfterMs" in forms[4]


@pytest.mark.parametrize("field", sorted(GOOD.keys() - set(OPTIONAL)))
def test_a_field_that_is_missing_is_named(field: str) -> None:
    complaint = rf"^robot schema arm\.yaml: {field}: the field is missing; correct it and give it again$"
    with pytest.raises(SetupError, match=complaint):
        parse_robot_schema(changed(field, ...), "arm.yaml")


def test_a_field_that_nobody_knows_is_named_in_words_of_its_file() -> None:
    with pytest.raises(SetupError, match=r"^robot schema arm: colour: no such field is known; correct it"):
        parse_robot_schema({**GOOD, "colour": "red"}, "arm")


def test_a_schema_is_of_a_real_robot_unless_it_says_otherwise() -> None:
    assert parse_robot_schema(changed("simulation", ...), "x").simulation is False
    assert parse_robot_schema(changed("simulation", True), "x").simulation is True


BAD: list[tuple[str, object, str]] = [
    ("simulation", "yes", "simulation: "),
    ("simulation", 1, "simulation: "),
    ("simulation", None, "simulation: "),
    ("cameras", {}, "cameras: "),
    ("cameras", ["front"], r"cameras\.0: "),
    ("cameras.0.required", ..., r"cameras\.0\.required: "),
    ("cameras.0.required", "true", r"cameras\.0\.required: "),
    ("cameras.0.fps", 30, r"cameras\.0\.fps: "),
    ("cameras.1.name", "front", "cameras must have different names"),
    ("cameras.1.name", "", r"cameras\.1: name must have"),
    ("safe_stop", None, "safe_stop: "),
    ("safe_stop", "hold", "safe_stop: "),
    ("safe_stop.hold_after_ms", ..., r"safe_stop\.hold_after_ms: "),
    ("safe_stop.hold_after_ms", "200", r"safe_stop\.hold_after_ms: "),
    ("safe_stop.hold_after_ms", True, r"safe_stop\.hold_after_ms: "),
    ("safe_stop.hold_after_ms", 0, "safe_stop: hold_after_ms must be above 0"),
    ("safe_stop.stop_after_ms", int("9" * 30), "safe_stop: hold_after_ms"),
    ("safe_stop.ladder", ..., r"safe_stop\.ladder: "),
    ("safe_stop.ladder", [], "safe_stop: ladder must have at least one"),
    ("safe_stop.ladder", ["fall"], r"safe_stop\.ladder\.0: "),
    ("safe_stop.ladder", ["hold", "release"], "safe_stop: rest_pose and rest_speed"),
    ("safe_stop.rest_pose", ..., "safe_stop: rest_pose and rest_speed"),
    ("safe_stop.rest_pose", [0.0], r"safe_stop\.rest_pose must have 6 values"),
    ("safe_stop.rest_pose", [float("nan")] * 6, r"safe_stop\.rest_pose\.0: "),
    ("safe_stop.rest_speed", 2, "safe_stop: rest_speed must be above 0"),
    ("safe_stop.ladderr", [], r"safe_stop\.ladderr: "),
    ("joints", 6, "joints: "),
    ("action_low", [float("-inf")] * 6, r"action_low\.0: "),
    ("action_low", [200.0] * 6, "shoulder_pan: action_low must be below action_high"),
    ("control_hz", "30", "control_hz: "),
    ("control_hz", int("9" * 500), "control_hz: "),
    ("name", "SO 101", "name must be 1 to 64"),
    ("mean_state", [200.0, 0, 0, 0, 0, 0], "shoulder_pan: mean_state lies outside"),
]


@pytest.mark.parametrize(("path", "value", "complaint"), BAD, ids=lambda value: str(value)[:30])
def test_a_bad_field_is_refused_by_its_name(path: str, value: object, complaint: str) -> None:
    with pytest.raises(SetupError, match=f"^robot schema arm: {complaint}"):
        parse_robot_schema(changed(path, value), "arm")


@pytest.mark.parametrize(
    "hostile", ["\x1b[2J: 1", '{"' + "a" * 60_000 + '": 1}', '{"\\u001b[2J\\n": 1}', '{"name": "\\ud800"}']
)
def test_a_refusal_is_one_short_line_that_can_be_shown(hostile: str) -> None:
    with pytest.raises(SetupError) as caught:
        parse_robot_schema(TEXT.rstrip()[:-1] + f", {hostile[1:]}" if hostile[0] == "{" else hostile, "arm")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500


def test_yaml_that_hides_a_value_is_refused() -> None:
    text = yaml.safe_dump(GOOD).replace("control_hz: 30", "control_hz: &rate 30\nrate: *rate")
    with pytest.raises(SetupError, match=r"^robot schema arm: is no YAML that is read here: the alias \*rate"):
        parse_robot_schema(text, "arm")
