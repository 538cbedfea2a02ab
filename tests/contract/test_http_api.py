"""`POST /act` row by row: what a request may hold and what a 200 holds, on a real server over a real socket."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from reflex.embodiments import load_embodiment
from support.bodies import image_b64, valid_body
from support.hostile_served import Served
from support.images import as_base64, encoded, photo, png_file

ANSWER_FIELDS = {
    "actions": list, "num_actions": int, "action_dim": int, "latency_ms": float, "hz": float, "denoising_steps": int,
    "inference_mode": str, "guard_clamped": bool, "guard_violations": list, "request_id": str, "model_version": str,
    "timing": dict, "n_action_steps": int, "robot_id": str,
}  # fmt: skip


def refusal(server: Served, body: Any, headers: Mapping[str, str] | None = None) -> tuple[int, str]:
    answer = server.act(body, headers)
    envelope = answer.json()
    assert {"error", "message", "request_id"} <= envelope.keys()
    return answer.status_code, envelope["error"]


def actions_of(server: Served, **fields: Any) -> Any:
    answer = server.act(valid_body(**{"seed": 1, **fields}))
    assert answer.status_code == 200, answer.text
    return answer.json()["actions"]


def test_a_200_has_exactly_the_promised_fields_and_types(demo: Served) -> None:
    answer = demo.act().json()
    assert {name: type(value) for name, value in answer.items()} == ANSWER_FIELDS
    assert answer["robot_id"] == "arm-7"


def test_without_a_configured_robot_id_the_answer_has_none(unguarded: Served) -> None:
    assert unguarded.act().json().keys() == ANSWER_FIELDS.keys() - {"robot_id", "n_action_steps"}


def test_the_chunk_is_num_actions_by_action_dim_and_finite(demo: Served) -> None:
    answer = demo.act().json()
    assert (answer["num_actions"], answer["action_dim"]) == (50, 7)
    assert np.asarray(answer["actions"]).shape == (50, 7)
    assert np.isfinite(answer["actions"]).all()


def test_every_action_is_inside_the_embodiments_range_and_step_limit(demo: Served) -> None:
    limits = load_embodiment("franka")
    for seed in range(5):
        actions = np.asarray(actions_of(demo, seed=seed))
        assert (actions >= limits.action_low).all()
        assert (actions <= limits.action_high).all()
        assert (np.abs(np.diff(actions, axis=0)) <= np.asarray(limits.action_max_step) + 1e-6).all()


def test_denoising_steps_and_mode_are_those_of_the_policy(demo: Served) -> None:
    answer, config = demo.act().json(), demo.client.get("/config").json()
    assert answer["denoising_steps"] == config["denoising_steps"] == 10
    assert answer["inference_mode"] == config["inference_mode"]


def test_latency_is_the_whole_request_and_hz_its_inverse(demo: Served) -> None:
    answer = demo.act().json()
    assert answer["hz"] == pytest.approx(1000 / answer["latency_ms"], rel=1e-3)
    assert set(answer["timing"]) == {"decode_ms", "queue_ms", "infer_ms", "guard_ms"}
    assert 0 < sum(answer["timing"].values()) <= answer["latency_ms"] + 0.01


def test_the_guard_clamps_and_reports_each_violation(nonce: Served) -> None:
    answer = nonce.act(valid_body(state=[1000.0, 0.0, 0.0, 0.0, 0.0, 0.0])).json()
    high = load_embodiment("franka").action_high[0]
    assert answer["guard_clamped"] is True
    assert max(step[0] for step in answer["actions"]) <= high
    first = answer["guard_violations"][0]
    assert first == {"step": 0, "axis": 0, "name": "panda_joint1", "value": 1000.0, "limit": pytest.approx(high),
                     "kind": "above_range"}  # fmt: skip


def test_without_the_guard_the_models_own_actions_are_answered(unguarded: Served) -> None:
    answer = unguarded.act(valid_body(state=[1000.0, -4.0, 0.0, 0.0, 0.0, 0.0])).json()
    assert (answer["guard_clamped"], answer["guard_violations"]) == (False, [])
    assert {tuple(step[:2]) for step in answer["actions"]} == {(1000.0, -4.0)}


@pytest.mark.parametrize("field", ["instruction", "state"])
@pytest.mark.parametrize("how", ["absent", "null"])
def test_a_required_field_that_is_absent_or_null_is_missing(demo: Served, field: str, how: str) -> None:
    body = valid_body()
    del body[field]
    assert refusal(demo, body if how == "absent" else {**body, field: None}) == (400, "missing_field")


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"instruction": 7}, 400, "wrong_type"),
        ({"instruction": ["a"]}, 400, "wrong_type"),
        ({"instruction": "x" * 513}, 422, "instruction_too_long"),
        ({"state": "0,0,0,0,0,0"}, 400, "wrong_type"),
        ({"state": {"0": 0}}, 400, "wrong_type"),
        ({"state": [0, 0, 0, 0, 0, "0"]}, 400, "wrong_type"),
        ({"state": [0, 0, 0, 0, 0, None]}, 400, "wrong_type"),
        ({"state": [0, 0, 0, 0, 0, True]}, 400, "wrong_type"),
        ({"state": [[0, 0, 0, 0, 0, 0]]}, 400, "wrong_type"),
        ({"state": [0, 0, 0, 0, 0, 1.000001e9]}, 400, "not_finite"),
        ({"state": [0, 0, 0, 0, 0, -(10**10)]}, 400, "not_finite"),
        ({"state": [0, 0, 0, 0, 0, 10**40]}, 400, "not_finite"),
        ({"state": [0, 0, 0, 0, 0, math.nan]}, 400, "not_finite"),
        ({"state": [0, 0, 0, 0, 0, math.inf]}, 400, "not_finite"),
        ({"state": [0, 0, 0, 0, 0, -math.inf]}, 400, "not_finite"),
        ({"state": []}, 422, "state_dim_mismatch"),
        ({"state": [0.0] * 5}, 422, "state_dim_mismatch"),
        ({"state": [0.0] * 7}, 422, "state_dim_mismatch"),
        ({"image_b64": ""}, 422, "image_required"),
        ({"image_b64": 7}, 400, "wrong_type"),
        ({"image_b64": [[[0, 0, 0]]]}, 400, "wrong_type"),
        ({"image_b64": "no base64!"}, 400, "invalid_image"),
        ({"image_b64": "AAAA"}, 400, "invalid_image"),
        ({"image_b64": as_base64(b"GIF89a")}, 400, "invalid_image"),
        ({"image_b64": image_b64()[:400]}, 400, "invalid_image"),
        ({"image_b64": as_base64(png_file(2000, 2001))}, 400, "image_too_large"),
        ({"image": {"pixels": 0}}, 400, "wrong_type"),
        ({"image": image_b64()}, 400, "wrong_type"),  # beside image_b64
        ({"images": {"image": image_b64()}}, 400, "wrong_type"),  # beside image_b64
        ({"images": [image_b64()]}, 400, "wrong_type"),
        ({"episode_id": ""}, 400, "wrong_type"),
        ({"episode_id": "x" * 257}, 400, "wrong_type"),
        ({"episode_id": "a\x00b"}, 400, "wrong_type"),
        ({"episode_id": "a\nb"}, 400, "wrong_type"),
        ({"episode_id": 7}, 400, "wrong_type"),
        ({"request_id": ""}, 400, "wrong_type"),
        ({"request_id": "x" * 257}, 400, "wrong_type"),
        ({"request_id": "a\x7fb"}, 400, "wrong_type"),
        ({"request_id": 7}, 400, "wrong_type"),
        ({"seed": -1}, 400, "wrong_type"),
        ({"seed": 2**63}, 400, "wrong_type"),
        ({"seed": 1.5}, 400, "wrong_type"),
        ({"seed": "1"}, 400, "wrong_type"),
        ({"seed": True}, 400, "wrong_type"),
    ],
)
def test_a_field_that_breaks_its_rule_is_refused_with_its_code(
    demo: Served, fields: dict[str, Any], status: int, code: str
) -> None:
    assert refusal(demo, valid_body(**fields)) == (status, code)


@pytest.mark.parametrize(
    ("image", "code"),
    [
        ([], "invalid_image"),
        ([[]], "invalid_image"),
        ([[[]]], "invalid_image"),
        ([[0, 0, 0]], "invalid_image"),
        ([[[0, 0]]], "invalid_image"),
        ([[[0, 0, 0, 0]]], "invalid_image"),
        ([[[0, 0, 0]], [[0, 0, 0], [0, 0, 0]]], "invalid_image"),
        ([[[0, 0, 256]]], "invalid_image"),
        ([[[0, 0, -1]]], "invalid_image"),
        ([[[0, 0, 0.5]]], "wrong_type"),
        ([[[0, 0, "0"]]], "wrong_type"),
        ([[[0, 0, None]]], "wrong_type"),
        ([[[0, 0, True]]], "wrong_type"),
        ([[[0, 0, 2**63]]], "invalid_image"),
        ([[[0, 0, "x" * 1_000_000]] + [[0, 0, 0]] * 300_000], "wrong_type"),
        ([[[0, 0, 0]] * 600] * 600, "image_too_large"),
        ([[[0, 0, 0]] * 2001] * 2000, "payload_too_large"),
    ],
)
def test_an_image_array_must_be_height_by_width_by_three_bytes(demo: Served, image: Any, code: str) -> None:
    status = 413 if code == "payload_too_large" else 400
    assert refusal(demo, valid_body(image_b64=None, image=image)) == (status, code)


@pytest.mark.parametrize(
    "fields",
    [
        {"instruction": ""},
        {"instruction": "x" * 512},
        {"instruction": "\N{ROBOT FACE}" * 512},
        {"instruction": "nul \x00 and \u2028"},
        {"state": [0, -0.0, 1, 5e-324, 1e9, -(10**9)]},
        {"image": "", "images": None},
        {"episode_id": "x" * 256},
        {"episode_id": "\u0440\u043e\u0431\u043e\u0442 1"},
        {"request_id": "x" * 256},
        {"seed": 0},
        {"seed": 7.0},
        {"seed": 2**63 - 1},
    ],
)
def test_a_field_at_the_edge_of_its_rule_is_answered(unguarded: Served, fields: dict[str, Any]) -> None:
    assert unguarded.act(valid_body(**fields)).status_code == 200


@pytest.mark.parametrize("field", ["image", "images", "episode_id", "request_id", "seed"])
def test_null_means_absent(demo: Served, field: str) -> None:
    assert demo.act({**valid_body(), field: None}).status_code == 200


@pytest.mark.parametrize("value", [1e9, -1e9, 5e-324])
def test_no_state_that_is_taken_makes_the_model_fail(demo: Served, value: float) -> None:
    assert demo.act(valid_body(state=[value] * 6)).status_code == 200


def test_unknown_fields_are_ignored(demo: Served) -> None:
    known = actions_of(demo)
    assert actions_of(demo, rtc={"x": [1]}, **{"": 0, "\u00e9": "new"}) == known


def test_the_last_of_two_equal_keys_counts(unguarded: Served) -> None:
    body = json.dumps(valid_body())[:-1] + ', "state": [9, 8, 0, 0, 0, 0]}'
    assert unguarded.act(body.encode()).json()["actions"][0][:2] == [9.0, 8.0]


PIXELS = photo(3)
PNG = as_base64(encoded(PIXELS, "PNG"))


@pytest.mark.parametrize(
    "fields",
    [
        {"image_b64": "data:image/png;base64," + PNG},
        {"image_b64": "\r\n".join(PNG[start : start + 76] for start in range(0, len(PNG), 76)) + "\n"},
        {"image": PIXELS.tolist()},
        {"image": PNG},
        {"image": "data:image/png;base64," + PNG},
        {"images": {"image": PNG}},
        {"images": {"image": "data:image/png;base64," + PNG}},
        {"image_b64": PNG, "image": ""},
        {"image_b64": "", "image": PIXELS.tolist()},
        {"image_b64": "", "images": {"image": PNG}, "image": ""},
    ],
    ids=lambda fields: "+".join(fields),
)
def test_every_form_of_an_image_gives_the_same_answer(demo: Served, fields: dict[str, Any]) -> None:
    plain = actions_of(demo, image_b64=PNG)
    assert actions_of(demo, **{"image_b64": None, **fields}) == plain


@pytest.mark.parametrize(
    "fields",
    [
        {"image_b64": as_base64(encoded(photo(4), "PNG"))},
        {"instruction": "put the cup down"},
        {"state": [0.3, 0.5, 0.0, 0.0, 0.0, 0.0]},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_image_text_and_state_each_change_the_answer(demo: Served, fields: dict[str, Any]) -> None:
    assert actions_of(demo, image_b64=PNG) != actions_of(demo, **{"image_b64": PNG, **fields})


def test_the_image_reaches_the_model(unguarded: Served) -> None:
    red = [[[255, 0, 0]] * 4] * 4
    assert unguarded.act(valid_body(image_b64=None, image=red)).json()["actions"][0][2] == 1.0


def test_the_same_seed_gives_the_same_answer_and_another_seed_another(demo: Served) -> None:
    assert actions_of(demo, seed=5) == actions_of(demo, seed=5)
    assert actions_of(demo, seed=5) != actions_of(demo, seed=6)


def test_without_a_seed_two_answers_differ(demo: Served) -> None:
    first, second = demo.act().json(), demo.act().json()
    assert first["actions"] != second["actions"]


def test_a_request_id_is_echoed_and_filled_in_when_there_is_none(demo: Served) -> None:
    assert demo.act(valid_body(request_id="mine \u00e9")).json()["request_id"] == "mine \u00e9"
    assert demo.act().json()["request_id"] != demo.act().json()["request_id"]


def test_an_error_carries_the_clients_request_id(demo: Served) -> None:
    assert demo.act(valid_body(request_id="mine", state=[0.0])).json()["request_id"] == "mine"


def test_a_resent_request_gets_the_identical_answer(demo: Served) -> None:
    body = valid_body(episode_id="e-resent", request_id="r-1")
    first, again = demo.act(body), demo.act(body)
    assert first.status_code == 200
    assert again.content == first.content


def test_a_request_id_of_another_episode_is_another_request(demo: Served) -> None:
    first = demo.act(valid_body(episode_id="e-a", request_id="r-2"))
    other = demo.act(valid_body(episode_id="e-b", request_id="r-2"))
    assert first.json()["actions"] != other.json()["actions"]


def test_a_new_observation_under_an_old_request_id_is_never_answered_with_the_old_chunk(unguarded: Served) -> None:
    ids = {"episode_id": "e-reused", "request_id": "r-3"}
    unguarded.act(valid_body(**ids, state=[1.0, 0, 0, 0, 0, 0]))
    answer = unguarded.act(valid_body(**ids, state=[2.0, 0, 0, 0, 0, 0]))
    assert answer.json()["actions"][0][0] == 2.0


def test_an_unknown_camera_is_refused_and_the_known_ones_are_named(two_cameras: Served) -> None:
    images = {"image": PNG, "wrist": PNG, "ceiling": PNG}
    body = valid_body(image_b64=None, images=images)
    assert refusal(two_cameras, body) == (422, "unknown_camera")
    assert two_cameras.act(body).json()["cameras"] == ["image", "wrist"]


@pytest.mark.parametrize("images", [{"image": PNG}, {"wrist": PNG}, {"image": PNG, "wrist": ""}])
def test_a_required_camera_that_is_missing_is_refused(two_cameras: Served, images: dict[str, str]) -> None:
    assert refusal(two_cameras, valid_body(image_b64=None, images=images)) == (422, "missing_camera")


@pytest.mark.parametrize("fields", [{}, {"images": {}}, {"image": ""}, {"images": {"image": None}}])
def test_without_any_image_the_answer_is_image_required(demo: Served, fields: dict[str, Any]) -> None:
    body = valid_body(image_b64=None) | fields
    assert refusal(demo, body) == (422, "image_required")
