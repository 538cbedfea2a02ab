"""`POST /act/correct`, through the application."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import orjson
import pytest

from reflex.embodiments import load_embodiment
from reflex.wire import CorrectBody, CorrectResult
from reflex.wire.packing import pack, unpack
from reflex_frontend.act.act import ActService
from reflex_frontend.callers.keys import KeyRing
from reflex_frontend.http.app import Server, build_app
from reflex_frontend.motion.correction import Corrector
from reflex_frontend.settings import Settings
from support.fakes import FakeTriton, act_service
from support.motion.drifting import HORIZON, drifting_policy, following, seen, where
from unit.reflex_frontend.motion.test_correction import STARTS, fitting, trained

STATE = seen((0.3, 0.1))
REST: CorrectBody = {"state": list(STATE), "actions": following(STATE)[4:].tolist(), "request_id": "r"}


def service(corrector: Corrector | None, **changes: Any) -> ActService:
    made = act_service(FakeTriton(), time.monotonic, config=drifting_policy())
    return dataclasses.replace(made, corrector=corrector, **changes)


def asked(
    of: ActService, body: object, *, method: str = "POST", path: str = "/act/correct", **how: Any
) -> httpx.Response:
    async def ask() -> httpx.Response:
        app = build_app(Server(of, Settings.load({})))
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://robot") as client:
            sent = {"content": body} if isinstance(body, bytes) else {"json": body}
            return await client.request(method, path, **sent, **how)

    return asyncio.run(ask())


@pytest.mark.slow
def test_the_trained_head_removes_at_least_half_of_the_error_of_a_rest_that_is_100_ms_old() -> None:
    corrects = service(Corrector(trained()))
    errors: dict[str, list[float]] = {"stale": [], "corrected": []}
    for angle, radius in STARTS:
        stale = following(seen(where(angle, radius, 0.0)))[2:]
        body = {"state": list(seen(where(angle, radius, 0.1))), "actions": stale.tolist(), "position": 2}
        answer = asked(corrects, body).json()
        assert answer["a2c2_applied"] is True
        for step in range(3):
            right = np.array(where(angle, radius, 0.1 + step / 20))
            for name, chunk in (("stale", stale), ("corrected", np.array(answer["actions"]))):
                errors[name].append(float(np.linalg.norm(chunk[step, :2] - right)))

    assert np.mean(errors["corrected"]) < 0.5 * np.mean(errors["stale"]), errors


def test_an_answer_has_the_fields_of_the_contract_and_runs_no_model() -> None:
    corrects = service(Corrector(fitting()))
    answer = asked(corrects, REST)
    told = answer.json()

    always = set(CorrectResult.__required_keys__)
    assert set(told) == always
    assert (told["num_actions"], told["action_dim"], told["request_id"]) == (HORIZON - 4, 7, "r")
    assert told["a2c2_applied"] is True
    moved = np.array(told["actions"]) - np.array(REST["actions"])
    arm = load_embodiment("franka")
    limit = 0.1 * np.subtract(arm.action_high, arm.action_low)
    assert np.allclose(moved[:, :6], np.minimum(limit, 0.5)[:6], atol=1e-5)
    triton: Any = corrects.router.first.loaded.triton
    assert triton.calls == []
    assert "reflex_act_total{" not in corrects.metrics.exposition().decode()


def test_without_a_position_the_actions_are_the_last_ones_of_their_chunk() -> None:
    corrects = service(Corrector(fitting()))

    whole = asked(corrects, {**REST, "actions": following(STATE).tolist()}).json()
    first = asked(corrects, {**REST, "position": 0}).json()

    assert (whole["a2c2_applied"], whole["a2c2_reason"]) == (False, "latency_low"), "step 0 of a chunk is not stale"
    assert (first["a2c2_applied"], first["a2c2_reason"]) == (False, "latency_low")
    np.testing.assert_array_equal(np.array(whole["actions"], np.float32), following(STATE))


def test_what_is_not_corrected_is_held_to_the_limits_all_the_same() -> None:
    high = load_embodiment("franka").action_high[0]
    rest = following(STATE)[:3]
    rest[:, 0] = high + 1.0

    answer = asked(service(Corrector(fitting(training=None))), {**REST, "actions": rest.tolist()}).json()

    assert (answer["a2c2_reason"], answer["guard_clamped"]) == ("untrained", True)
    assert max(row[0] for row in answer["actions"]) <= high


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"state": [0.1]}, 422, "state_dim_mismatch"),
        ({"actions": [[0.0] * 6]}, 422, "chunk_mismatch"),
        ({"actions": [[0.0] * 7] * (HORIZON + 1)}, 422, "chunk_mismatch"),
        ({"position": 5}, 422, "chunk_mismatch"),
        ({"actions": []}, 400, "wrong_type"),
        ({"actions": None}, 400, "missing_field"),
        ({"actions": "x"}, 400, "wrong_type"),
        ({"actions": [[True] * 7]}, 400, "wrong_type"),
        ({"actions": [[1e300] * 7]}, 400, "not_finite"),
        ({"position": -1}, 400, "wrong_type"),
        ({"position": 1.5}, 400, "wrong_type"),
        ({"state": None}, 400, "missing_field"),
        ({"episode_id": ""}, 400, "wrong_type"),
    ],
)
def test_what_is_no_rest_of_a_chunk_is_refused_with_the_requests_own_id(
    changes: dict[str, Any], status: int, code: str
) -> None:
    answer = asked(service(Corrector(fitting())), {**REST, **changes})

    assert (answer.status_code, answer.json()["error"], answer.json()["request_id"]) == (status, code, "r")


def test_broken_bodies_and_other_methods_are_refused_by_the_same_envelope() -> None:
    corrects = service(Corrector(fitting()))
    for body, code in ((b"{", "invalid_json"), (b"[]", "wrong_type"), (b'{"state": [NaN]}', "not_finite")):
        told = asked(corrects, body, headers={"content-type": "application/json"}).json()
        assert told["error"] == code
    other = asked(corrects, b"", method="GET")
    assert (other.status_code, other.headers["allow"]) == (405, "POST")
    assert "/act/correct" in other.json()["message"]
    late = asked(corrects, REST, headers={"x-reflex-deadline-ms": "0"})
    assert late.json()["error"] == "wrong_type"


def test_a_server_without_a_head_says_so_and_does_not_describe_the_route() -> None:
    without, with_one = service(None), service(Corrector(fitting()))

    answer = asked(without, REST)
    assert (answer.status_code, answer.json()["error"]) == (404, "not_found")
    assert "--a2c2-checkpoint" in answer.json()["message"]
    paths = [asked(of, b"", method="GET", path="/openapi.json").json()["paths"] for of in (without, with_one)]
    assert ["/act/correct" in each for each in paths] == [False, True]


def test_the_openapi_document_describes_the_fields_of_the_contract() -> None:
    document = asked(service(Corrector(fitting())), b"", method="GET", path="/openapi.json").json()
    route = document["paths"]["/act/correct"]["post"]
    body = route["requestBody"]["content"]["application/json"]["schema"]
    answer = route["responses"]["200"]["content"]["application/json"]["schema"]

    assert set(body["properties"]) == set(CorrectBody.__annotations__)
    assert set(answer["properties"]) == set(CorrectResult.__annotations__)
    assert set(answer["required"]) == CorrectResult.__required_keys__


def test_a_draining_server_and_one_that_asks_for_keys_refuse_as_for_act() -> None:
    corrects = service(Corrector(fitting()))
    corrects.instance.is_draining = True
    assert asked(corrects, REST).json()["error"] == "draining"
    keyed = service(Corrector(fitting()), keys=KeyRing(Path("no-such-file"), time.monotonic))
    assert asked(keyed, REST).status_code == 401


def test_msgpack_with_arrays_is_answered_in_kind() -> None:
    rest = np.array(REST["actions"], np.float32)
    array = {"__ndarray__": True, "dtype": rest.dtype.str, "shape": list(rest.shape), "data": rest.tobytes()}
    body = pack({"state": list(STATE), "actions": array})

    answer = asked(service(Corrector(fitting())), body, headers={"content-type": "application/msgpack"})

    told: Any = unpack(answer.content)
    assert answer.headers["content-type"] == "application/msgpack"
    assert told["a2c2_applied"] is True
    assert len(told["actions"]["data"]) == rest.nbytes


def test_an_answer_is_the_same_as_json_of_itself() -> None:
    answer = asked(service(Corrector(fitting())), REST)

    assert orjson.loads(answer.content) == answer.json()


def test_of_two_policies_the_head_corrects_its_own_and_the_other_says_why_not() -> None:
    other = drifting_policy(policy_id="other", policy_hash="sha256:" + "cd" * 32)
    own, triton = drifting_policy(), FakeTriton()
    two = act_service(triton, time.monotonic, config=own, second=triton, second_config=other, split=50)
    corrects = dataclasses.replace(two, corrector=Corrector(fitting()))

    answers = [asked(corrects, {**REST, "episode_id": f"e{number}"}).json() for number in range(12)]

    told = {(each["policy_slot"], each["a2c2_applied"], each.get("a2c2_reason")) for each in answers}
    assert told == {("a", True, None), ("b", False, "other_policy")}
    assert {each["model_version"].partition("@")[0] for each in answers} == {"small", "other"}
