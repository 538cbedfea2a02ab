"""What strangers tell is read strictly in what is needed, and without a stumble over the rest."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from reflex.embodiments import load_embodiment
from reflex_control.doctor.told import read_config, read_health, registered_policy
from unit.reflex_control.doctor.doctor_scene import CONFIG, HASH

OTHER = "sha256:" + "cd" * 32
HEALTH: dict[str, Any] = {
    "status": "ready", "model_loaded": True, "policy_hash": HASH, "guard_active": True,
    "time": "2026-01-01T00:00:00.000Z",
}  # fmt: skip
TOLD: dict[str, Any] = {**CONFIG, "embodiment_details": dataclasses.asdict(load_embodiment("so101"))}


def as_json(told: object) -> bytes:
    return json.dumps(told).encode()


def test_what_is_new_beside_what_is_needed_is_passed_over() -> None:
    health = read_health(as_json({**HEALTH, "new": [1], "slots": {"a": {"policy_hash": OTHER, "new": 1}}}))
    policy = read_config(
        as_json({**TOLD, "new": 1, "embodiment_details": {**TOLD["embodiment_details"], "new": 1}}), HASH, "x"
    )

    assert (set(health.hashes), health.time_ms) == ({HASH, OTHER}, 1_767_225_600_000)
    assert (policy.origin, policy.policy_hash, policy.parity, policy.embodiment) == (
        "x", HASH, "passed", load_embodiment("so101"),
    )  # fmt: skip


def test_of_two_policies_the_one_that_is_wanted_is_read_else_the_first() -> None:
    slots = {"a": {**TOLD, "policy_hash": OTHER}, "b": TOLD}
    assert read_config(as_json(slots), HASH, "x").policy_hash == HASH
    assert read_config(as_json(slots), "sha256:none", "x").policy_hash == OTHER


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b"7", b"[" * 60_000, b"\xff", b"1" * 60_000, b'{"a":' * 20_000, as_json({}),
     as_json({"a": 1, "b": 2}), as_json({"a": {}, "b": {}})],
)  # fmt: skip
def test_what_is_none_is_a_sentence(body: bytes) -> None:
    for read in (read_health, lambda given: read_config(given, HASH, "x")):
        with pytest.raises(ValueError, match=r"."):
            read(body)


@pytest.mark.parametrize(
    ("name", "value"),
    [("status", 1), ("model_loaded", "yes"), ("policy_hash", None), ("guard_active", 1), ("time", "now"), ("time", 7),
     ("slots", []), ("slots", {"a": {}})],
)  # fmt: skip
def test_a_health_that_says_it_otherwise_is_refused(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=name if name != "time" else "."):
        read_health(as_json({**HEALTH, name: value}))


@pytest.mark.parametrize(
    ("name", "value"),
    [("trained", 1), ("trained", None), ("cameras", {}), ("state_dim", 6.0), ("action_dim", "7"), ("parity", []),
     ("normalization", [{}]), ("warnings", "x"), ("embodiment_details", None), ("embodiment_details", {"name": "x"})],
)  # fmt: skip
def test_a_configuration_that_says_it_otherwise_is_refused(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_config(as_json({**TOLD, name: value}), HASH, "x")


def test_of_several_faults_the_first_is_named_with_its_place() -> None:
    with pytest.raises(ValueError, match=r"^status is missing, or has"):
        read_health(as_json({**HEALTH, "status": 1, "guard_active": 1}))
    with pytest.raises(ValueError, match=r"^slots\.a\.policy_hash is missing, or has"):
        read_health(as_json({**HEALTH, "slots": {"a": {}, "b": {}}}))


def test_what_was_registered_names_its_robot_and_brings_no_word_of_its_own_for_it() -> None:
    lying = {**CONFIG, "embodiment_details": {**TOLD["embodiment_details"], "control_hz": 1}}
    for config, arm in ((lying, load_embodiment("so101")), ({**CONFIG, "embodiment": "mine"}, None)):
        policy = registered_policy(config)
        assert policy is not None
        assert policy.embodiment == arm
    assert registered_policy({**CONFIG, "trained": None}) is None
    assert registered_policy({**CONFIG, "embodiment": ["so101"]}) is None
