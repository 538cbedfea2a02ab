"""A control plane, a server that asks for its sessions, and deployments of one policy for arms of one kind."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from docs.documents import REPOSITORY
from reflex.control import ControlClient
from reflex.embodiments import load_embodiment
from reflex.model_repository import CONFIG_FILE
from support.outside.control_plane import ControlProcess
from support.server import ServerProcess, running_server

__all__ = ["Driven", "arm_schema", "deployed", "models_for", "served_for_sessions", "simulated_schema"]

POLICY: Final = "sim_demo"


@dataclass(frozen=True)
class Driven:
    """Each `deploy` has a robot of its own."""

    control: ControlProcess
    operator: ControlClient
    key: str
    server: ServerProcess
    model_id: str
    schema_id: str
    calibration_id: str | None
    """With which the arm says it runs."""

    def deploy(self, name: str) -> tuple[str, str]:
        """The deployment and its robot, which is paired."""
        robot = self.operator.register_robot(
            name=name, robot_schema_id=self.schema_id, calibration_id=self.calibration_id
        )["id"]  # fmt: skip
        self.operator.claim_pairing_token(self.operator.create_pairing_token(robot)["token"])
        made = self.operator.create_deployment(
            name=name, model_id=self.model_id, robot_schema_id=self.schema_id, mode="apply_actions",
            runtime=[self.server.base_url],
        )  # fmt: skip
        return made["id"], robot


def models_for(embodiment: str, folder: Path) -> Path:
    """A model repository with the demo policy of the simulated arm, as one for an arm with the same axes.

    An untrained policy is let move nothing real, so for a real arm it says that it is trained.
    """
    models = folder / embodiment
    for part in (REPOSITORY / "model_repository").glob(f"{POLICY}*"):
        shutil.copytree(part, models / part.name)
    file = models / POLICY / CONFIG_FILE
    told = {"embodiment": embodiment, "trained": not load_embodiment(embodiment).simulation}
    file.write_text(json.dumps(json.loads(file.read_text("utf-8")) | told), "utf-8")
    return models


def deployed(
    control: ControlProcess, operator: ControlClient, key: str, server: ServerProcess, models: Path, embodiment: str
) -> Driven:
    """With the policy and the arm's schema registered."""
    config = json.loads((models / POLICY / CONFIG_FILE).read_text(encoding="utf-8"))
    model = operator.register_model(name=embodiment, content_hash=config["policy_hash"], config=config)["id"]
    schema = operator.register_robot_schema(name=embodiment, schema=arm_schema(embodiment))["id"]
    calibration_id = "simulated" if load_embodiment(embodiment).simulation else None
    return Driven(control, operator, key, server, model, schema, calibration_id)


@contextlib.contextmanager
def served_for_sessions(control: ControlProcess, operator: ControlClient, models: Path) -> Iterator[ServerProcess]:
    """`reflex serve` of that policy, for sessions alone."""
    environment = {"REFLEX_CONTROL_KEY": operator.create_key(name="frontend", scopes=["read"])["key"]}
    options = ("--model-repository", str(models), "--policy", POLICY, "--sessions-from", control.base_url)
    with running_server(*options, env=environment) as server:
        yield server


def simulated_schema() -> dict[str, Any]:
    """Of the simulated arm, as the control plane takes it."""
    return arm_schema("so101_sim") | {"name": "sim"}


def arm_schema(embodiment: str) -> dict[str, Any]:
    """Of an arm with two cameras, as the control plane takes it."""
    arm: dict[str, Any] = json.loads(json.dumps(asdict(load_embodiment(embodiment))))
    del arm["stop_ladder"]
    cameras = [{"name": name, "required": True} for name in ("front", "wrist")]
    stop = {"hold_after_ms": 20_000, "stop_after_ms": 50_000, "ladder": ["hold"]}
    return arm | {"cameras": cameras, "safe_stop": stop}
