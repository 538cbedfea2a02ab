from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from typing import Any

import pytest

from reflex.embodiments import load_embodiment
from reflex.errors import TransportError
from reflex.guard import ActionGuard
from reflex.wire import EMBODIMENT_FIELD

FRANKA = load_embodiment("franka")
DETAILS: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(FRANKA)))
ONE = {"policy_id": "demo", EMBODIMENT_FIELD: DETAILS}


@pytest.mark.parametrize("config", [ONE, {"a": ONE, "b": {**ONE, "policy_id": "other"}}], ids=["one", "two"])
def test_the_embodiment_of_a_server_is_the_type_that_the_guard_takes(connect: Any, config: dict[str, Any]) -> None:
    embodiment = connect(script=[config]).embodiment()

    assert embodiment == FRANKA
    assert ActionGuard(embodiment).embodiment == FRANKA


def test_what_a_newer_server_says_beyond_it_is_left_out(connect: Any) -> None:
    newer = {**ONE, EMBODIMENT_FIELD: {**DETAILS, "payload_kg": 3.0}}

    assert connect(script=[newer]).embodiment() == FRANKA


@pytest.mark.parametrize(
    "config",
    [
        {"policy_id": "demo"},
        {"status": "ready"},
        {"a": None},
        {EMBODIMENT_FIELD: "franka"},
        {EMBODIMENT_FIELD: {}},
        {EMBODIMENT_FIELD: {**DETAILS, "control_hz": "fast"}},
        {EMBODIMENT_FIELD: {**DETAILS, "control_hz": -1}},
        {EMBODIMENT_FIELD: {**DETAILS, "action_low": DETAILS["action_high"]}},
        {EMBODIMENT_FIELD: {name: DETAILS[name] for name in DETAILS if name != "action_max_step"}},
    ],
)
def test_limits_that_are_missing_or_contradict_themselves_are_never_handed_on(
    connect: Any, config: dict[str, Any]
) -> None:
    with pytest.raises(TransportError, match="/config"):
        connect(script=[config]).embodiment()


def test_a_client_that_does_not_ask_for_it_does_not_pay_for_it() -> None:
    script = "import sys, reflex.client; print('pydantic' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "False"
