"""The published schema is the one of the code, and says of files what reading them says."""

from __future__ import annotations

import os
from typing import Any, Final

import jsonschema
import pytest

from docs.documents import REPOSITORY
from reflex_runner.config.schema import robot_schema, schema_text

PUBLISHED: Final = REPOSITORY / "docs" / "robot.schema.json"
SIM: Final = {"hardware": {"kind": "sim"}}


def test_the_published_schema_is_that_of_the_code() -> None:
    if os.environ.get("REFLEX_WRITE_SNAPSHOTS"):
        PUBLISHED.write_text(schema_text(), encoding="utf-8")
    assert PUBLISHED.read_text(encoding="utf-8") == schema_text(), "run `make snapshots`"


@pytest.mark.slow
@pytest.mark.parametrize(
    "given",
    [
        SIM,
        {"hardware": {"kind": "lerobot:so101_follower", "port": "x"}},
        SIM | {"session": {"mode": "apply_actions", "max_steps": 3, "control_period_s": None}},
        SIM | {"target": {"image_size": [224, 224]}, "safety": {"limits": {"gripper": {"high": 3}}}},
        SIM | {"cameras": {"front": {"kind": "opencv", "device": 0, "rotate": 90}}},
    ],
)
def test_what_can_be_read_is_of_the_schema(given: dict[str, Any]) -> None:
    jsonschema.validate(given, robot_schema())


@pytest.mark.slow
@pytest.mark.parametrize(
    "given",
    [
        {},
        {"hardware": {}},
        {"hardware": {"kind": "so102"}},
        SIM | {"sesion": {}},
        SIM | {"session": {"mode": "apply"}},
        SIM | {"session": {"max_steps": "3"}},
        SIM | {"target": {"image_size": [224]}},
        SIM | {"cameras": {"front": {"rotate": 45}}},
        SIM | {"safety": {"limits": {"gripper": {"lo": 3}}}},
        SIM | {"recording": {"formats": ["json"]}},
    ],
)
def test_what_cannot_be_read_is_not(given: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(given, robot_schema())
