"""The functions of the SDK: their signatures to the letter, the key and address they use, and what they return."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pytest

import reflex
import reflex.sdk
from reflex.control.errors import BackendUnreachableError, KeyRejectedError, MissingKeyError
from reflex.errors import SetupError
from support.control.scripted import ScriptedControl, scripted_control

__all__ = ["scripted_control"]

WHERE = "api_key=None, convex_url=None, backend_url=None"
SIGNATURES = f"""
create_deployment(*, name, model_id, robot_schema_id=None, runtime=None, mode='dry_run', spec=None, {WHERE})
create_deployment_from_spec(path, *, {WHERE})
list_deployments(*, {WHERE})
get_deployment(deployment_id, *, {WHERE})
run_deployment_doctor(deployment_id, *, {WHERE})
authorize_session(*, artifact_id=None, deployment_id=None, robot_id=None, base_model='pi0.5', runtime=None,
  mode='dry_run', client_session_id=None, {WHERE})
promote_session(session_id, *, mode='apply_actions', {WHERE})
close_session(session_id, *, reason='sdk_closed', {WHERE})
list_sessions(*, status=None, {WHERE})
register_robot_schema(*, name, schema, robot_kind=None, {WHERE})
list_robot_schemas(*, {WHERE})
register_robot(*, name, robot_schema_id, robot_kind=None, calibration_id=None, {WHERE})
list_robots(*, {WHERE})
create_pairing_token(robot_id, *, ttl_seconds=None, {WHERE})
claim_pairing_token(token, *, {WHERE})
heartbeat_robot(robot_id, *, session_id=None, deployment_id=None, mode=None, steps=None, applied_steps=None,
  safe_stops=None, guard_violations=None, refused_chunks=None, calibration_id=None, latency_ms=None, sent_at=None,
  {WHERE})
list_receipts(*, deployment_id=None, session_id=None, robot_id=None, kind=None, after=None, limit=None, {WHERE})
register_model(*, name, content_hash, config, source=None, {WHERE})
list_models(*, {WHERE})
whoami(*, {WHERE})
create_key(*, name, scopes, expires_in_seconds=None, {WHERE})
rotate_key(key_id, *, overlap_seconds=3600, {WHERE})
revoke_key(key_id, *, reason=None, {WHERE})
list_keys(*, {WHERE})
register_dataset(path, *, place=None, name=None, {WHERE})
validate_dataset(dataset_id, *, folder=None, {WHERE})
list_datasets(*, {WHERE})
get_dataset(dataset_id, *, {WHERE})
start_training_run(*, dataset_id, base, method='full_finetune', steps=20000, batch_size=8, seed=1000, save_every=None,
  warmup_steps=None, dtype='float32', learning_rate=None, lora=None, then=(), name=None, request_id=None, {WHERE})
list_training_runs(*, all=False, state=None, {WHERE})
get_training_run(run_id, *, {WHERE})
training_run_logs(run_id, *, follow=False, {WHERE})
cancel_training_run(run_id, *, reason=None, {WHERE})
wait_for_training_run(run_id, *, timeout_s=None, {WHERE})
"""
TABLE = dict(re.findall(r"^(\w+)(\(.*\))$", SIGNATURES.replace("\n  ", " "), re.MULTILINE))
ROBOTS: Any = {"robots": [{"id": "robot_1"}]}


def bare(signature: inspect.Signature) -> str:
    """Without the types."""
    parameters = [each.replace(annotation=inspect.Parameter.empty) for each in signature.parameters.values()]
    return str(inspect.Signature(parameters))


@pytest.mark.parametrize("name", sorted(TABLE))
def test_a_function_has_the_arguments_and_defaults_that_are_promised(name: str) -> None:
    assert bare(inspect.signature(getattr(reflex, name))) == TABLE[name]
    assert getattr(reflex, name).__doc__


def test_every_function_of_the_sdk_is_in_the_table_and_of_reflex_itself() -> None:
    assert set(reflex.sdk.__all__) == set(TABLE)
    assert set(TABLE) < set(reflex.__all__)


@pytest.mark.parametrize("name", ["convex_url", "backend_url"])
def test_the_address_is_the_argument_under_either_name(
    scripted_control: ScriptedControl, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("REFLEX_CONVEX_URL", "http://127.0.0.1:9")
    scripted_control.answers["GET /v1/robots"] = ROBOTS

    assert reflex.list_robots(api_key="rfx_mine", **{name: scripted_control.url}) == ROBOTS
    assert scripted_control.received[0].headers["Authorization"] == "Bearer rfx_mine"


def test_two_addresses_are_one_too_many() -> None:
    with pytest.raises(SetupError, match="the same thing"):
        reflex.list_robots(api_key="rfx_mine", convex_url="http://a:1", backend_url="http://b:1")


def test_the_key_of_the_environment_is_used(scripted_control: ScriptedControl, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REFLEX_API_KEY", "rfx_of_the_environment")
    scripted_control.answers["GET /v1/robots"] = ROBOTS
    reflex.list_robots()

    assert scripted_control.received[0].headers["Authorization"] == "Bearer rfx_of_the_environment"


def test_without_a_key_it_is_said_how_to_get_one(scripted_control: ScriptedControl) -> None:
    with pytest.raises(MissingKeyError, match=r"^API key is required\. Run 'reflex login' or set REFLEX_API_KEY\.$"):
        reflex.list_robots()
    assert scripted_control.received == []


def test_a_rejected_key_is_told_from_a_missing_one(scripted_control: ScriptedControl) -> None:
    refusal = {"error": "unauthorized", "message": "no such key", "request_id": "req_7"}
    scripted_control.answers["GET /v1/whoami"] = (401, refusal)

    with pytest.raises(KeyRejectedError, match=r"^401 Unauthorized: the key was found but the server rejected it"):
        reflex.whoami(api_key="rfx_old")


def test_a_backend_that_is_not_there_is_named() -> None:
    found = r"^Cannot reach the Reflex backend at http://127\.0\.0\.1:9: "
    with pytest.raises(BackendUnreachableError, match=found) as refused:
        reflex.whoami(api_key="rfx_mine", convex_url="http://127.0.0.1:9")

    assert "reflex control serve" in str(refused.value)
    assert "reflex serve" not in str(refused.value)


def test_a_deployment_is_created_from_a_file(scripted_control: ScriptedControl, tmp_path: Path) -> None:
    scripted_control.answers["POST /v1/deployments"] = (201, {"id": "deploy_1"})
    spec = tmp_path / "kitchen.yaml"
    spec.write_text("name: kitchen\nmodel_id: model_1\nruntime: {act_url: 'http://gpu:8000'}\n")

    assert reflex.create_deployment_from_spec(spec, api_key="rfx_mine")["id"] == "deploy_1"
    assert scripted_control.received[0].body == {
        "name": "kitchen", "modelId": "model_1", "runtime": {"actUrl": "http://gpu:8000"}, "mode": "dry_run",
    }  # fmt: skip


def test_a_schema_is_registered_from_a_mapping_as_from_a_file(
    scripted_control: ScriptedControl, tmp_path: Path
) -> None:
    scripted_control.answers["POST /v1/robot-schemas"] = (201, {"id": "schema_1"})
    (tmp_path / "arm.json").write_text('{"name": "arm"}')
    for schema in ({"name": "arm"}, str(tmp_path / "arm.json")):
        reflex.register_robot_schema(name="arm-v1", schema=schema, api_key="rfx_mine")

    first, second = scripted_control.received
    assert first.body == second.body == {"name": "arm-v1", "schema": {"name": "arm"}}


def test_receipts_come_as_they_are_on_the_wire(scripted_control: ScriptedControl) -> None:
    page: Any = {"receipts": [{"id": "rcpt_1", "timestamp": "2026-01-01T00:00:00.000Z"}], "nextAfter": None}
    scripted_control.answers["GET /v1/receipts?deploymentId=deploy_abc123"] = page

    assert reflex.list_receipts(deployment_id="deploy_abc123", api_key="rfx_mine") == page
