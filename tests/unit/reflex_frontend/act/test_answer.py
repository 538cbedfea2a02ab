"""The bytes that leave: a 200, and the one envelope of every error."""

from __future__ import annotations

import numpy as np
import orjson
import pytest

from reflex.errors import STATUS_OF, service_error
from reflex.guard import GuardResult, Violation
from reflex.wire import Timing
from reflex_frontend.act.answer import act_body, act_result, error_body, error_headers, error_response
from support.fakes import chunk, policy_config

TIMING: Timing = {"decode_ms": 1.0, "queue_ms": 0.0, "infer_ms": 5.0, "guard_ms": 0.1}


def test_a_200_carries_the_chunk_in_32_bits_and_what_the_guard_did() -> None:
    violation = Violation(0, 2, "panda_joint3", 9.0, 2.8973, "above_range")
    result = GuardResult(actions=chunk(0.1), violations=(violation,))
    body = orjson.loads(act_body(act_result(policy_config(), result, "id", 8.0, TIMING)))
    assert np.array_equal(np.asarray(body["actions"], np.float32), chunk(0.1))
    assert body["guard_violations"] == [
        {"step": 0, "axis": 2, "name": "panda_joint3", "value": 9.0, "limit": 2.8973, "kind": "above_range"}
    ]
    assert (body["guard_clamped"], body["hz"], body["timing"]) == (True, 125.0, TIMING)
    assert body["model_version"] == policy_config().model_version


def test_an_answer_in_no_time_at_all_has_a_finite_rate() -> None:
    body = orjson.loads(act_body(act_result(policy_config(), GuardResult(chunk(), ()), "id", 0.0, TIMING)))
    assert body["hz"] == 1_000_000


@pytest.mark.parametrize("code", sorted(STATUS_OF))
def test_every_code_has_the_envelope_and_its_status(code: str) -> None:
    response = error_response(service_error(code, "do this", request_id="id"))
    assert response.status_code == STATUS_OF[code]
    assert orjson.loads(bytes(response.body)) == {"error": code, "message": "do this", "request_id": "id"}


def test_context_never_overrides_the_fixed_fields() -> None:
    context = {"error": "x", "message": "y", "request_id": "z", "limit": 5}
    body = orjson.loads(error_body(service_error("wrong_type", "do this", request_id="id", context=context)))
    assert body == {"error": "wrong_type", "message": "do this", "request_id": "id", "limit": 5}


def test_an_error_without_a_request_id_gets_one() -> None:
    bodies = [orjson.loads(error_body(service_error("not_found", "no"))) for _ in range(2)]
    assert len({body["request_id"] for body in bodies}) == 2


@pytest.mark.parametrize(("wait_s", "header"), [(0.0, "1"), (0.05, "1"), (1.0, "1"), (1.01, "2"), (4.2, "5")])
def test_retry_after_is_whole_seconds_rounded_up_and_at_least_one(wait_s: float, header: str) -> None:
    assert error_headers(service_error("queue_full", "wait", retry_after_s=wait_s)) == {"retry-after": header}


def test_an_error_that_a_retry_cannot_help_has_no_retry_after() -> None:
    assert error_headers(service_error("wrong_type", "change it")) == {}


def test_how_many_actions_to_execute_is_told_where_the_policy_records_it() -> None:
    for recorded in (None, 3):
        config = policy_config(n_action_steps=recorded)
        body = orjson.loads(act_body(act_result(config, GuardResult(chunk(), ()), "id", 0.0, TIMING)))
        assert body.get("n_action_steps") == recorded
