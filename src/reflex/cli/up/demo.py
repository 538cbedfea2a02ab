"""What there is to try things with: the demo policy, a simulated arm for it, and a deployment of both."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from reflex.control import ControlClient
from reflex.embodiments import load_embodiment
from reflex.sdk.files import ExportedPolicy, read_policy

__all__ = ["Demo", "register_demo"]

SCHEMA: Final = "demo-arm"
ROBOT: Final = "demo-arm-1"
SAFE_STOP: Final = {"hold_after_ms": 200, "stop_after_ms": 1000, "ladder": ["hold"]}


@dataclass(frozen=True)
class Demo:
    """The ids that the next commands need."""

    deployment_id: str
    robot_id: str


def register_demo(client: ControlClient, policy_folder: Path, act_url: str) -> Demo:
    """Find them as an earlier start left them, or register them."""
    policy = read_policy(policy_folder)
    model_id = _model(client, policy)
    schema_id = _schema(client, policy)
    robot_id = _robot(client, schema_id)
    for known in client.list_deployments()["deployments"]:
        if known["modelId"] == model_id and (known["runtime"] or {}).get("actUrl") in (act_url, [act_url]):
            return Demo(known["id"], robot_id)
    # The port and the policy in its name: what is served otherwise is another deployment.
    name = f"demo on {act_url.rpartition(':')[2]}, {policy.content_hash[-12:]}"
    made = client.create_deployment(
        name=name, model_id=model_id, robot_schema_id=schema_id, runtime={"actUrl": act_url}, mode="apply_actions"
    )
    return Demo(made["id"], robot_id)


def _model(client: ControlClient, policy: ExportedPolicy) -> str:
    for known in client.list_models()["models"]:
        if known["contentHash"] == policy.content_hash and known["revokedAt"] is None:
            return known["id"]
    made = client.register_model(
        name=policy.name, content_hash=policy.content_hash, config=policy.config, source=policy.source
    )
    return made["id"]


def _schema(client: ControlClient, policy: ExportedPolicy) -> str:
    for known in client.list_robot_schemas()["robotSchemas"]:
        if known["name"] == SCHEMA:
            return known["id"]
    return client.register_robot_schema(name=SCHEMA, schema=_arm_for(policy))["id"]


def _arm_for(policy: ExportedPolicy) -> dict[str, Any]:
    """The policy's own embodiment, in simulation, which holds its last position when nothing comes."""
    arm = dataclasses.asdict(load_embodiment(policy.config["embodiment"]))
    cameras = [{"name": each["name"], "required": each["required"]} for each in policy.config["cameras"]]
    return {**arm, "cameras": cameras, "safe_stop": SAFE_STOP, "simulation": True}


def _robot(client: ControlClient, schema_id: str) -> str:
    for known in client.list_robots()["robots"]:
        if known["robotSchemaId"] == schema_id and known["revokedAt"] is None:
            return known["id"]
    return client.register_robot(name=ROBOT, robot_schema_id=schema_id)["id"]
