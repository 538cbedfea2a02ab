from __future__ import annotations

import json
from typing import Any

import pytest

from docs.documents import REPOSITORY
from lerobot_policy_reflex.fitting import Expected, require_fitting
from reflex.client import MockTransport, ReflexClient
from reflex.errors import SetupError, TransportError

DEMO: dict[str, Any] = json.loads((REPOSITORY / "model_repository/demo/reflex_config.json").read_bytes())
WRITTEN = Expected(state_dim=6, action_dim=7, cameras=("image",))


def asked(config: dict[str, Any], expected: Expected = WRITTEN) -> None:
    require_fitting(ReflexClient(transport=MockTransport([config])), expected)


def test_the_policy_that_the_folder_was_written_for_fits_and_so_do_two_of_its_kind() -> None:
    asked(DEMO)
    asked({"a": DEMO, "b": {**DEMO, "policy_id": "other"}})


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"state_dim": 7}, "7 state values instead of 6"),
        ({"action_dim": 6}, "6 axes instead of 7"),
        ({"cameras": [{"name": "wrist", "required": True}]}, "no camera image"),
        ({"state_dim": 7, "action_dim": 6}, "7 state values instead of 6, 6 axes instead of 7"),
    ],
)
def test_another_policy_is_refused_in_either_slot(changed: dict[str, Any], message: str) -> None:
    for config in (DEMO | changed, {"a": DEMO, "b": DEMO | changed}):
        with pytest.raises(SetupError, match=rf"policy demo is not .*: {message}; write it anew"):
            asked(config)


def test_a_folder_that_sends_fewer_cameras_is_the_server_s_affair() -> None:
    asked(DEMO, Expected(state_dim=6, action_dim=7, cameras=()))


def test_what_is_no_server_of_reflex_is_refused() -> None:
    with pytest.raises(TransportError, match="describes no policy"):
        asked({"hello": "world"})
