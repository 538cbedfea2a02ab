"""Control plane, frontend and Triton for one run after the other; what a fault has killed is started again."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from docs.documents import REPOSITORY
from reflex.control import ControlClient
from reflex.model_repository import CONFIG_FILE
from support.kills.driving import driving
from support.kills.faults import CREDENTIAL_S, HOLD_AFTER_MS, STOP_AFTER_MS
from support.outside.control_plane import ControlProcess, prepared_store, running_control
from support.runner.driven import Driven, deployed
from support.server import ServerProcess, free_port, running_server
from support.waiting import wait_until

__all__ = ["RealArmServer", "SessionStack"]

POLICY: Final = REPOSITORY / "model_repository"
DOCTOR_HOLDS_S: Final = 300.0
SEEN_STEPS: Final = 50


class _Healed:
    """A server at one port, whatever happens to it."""

    def __init__(self, opened: ExitStack, options: tuple[str, ...], env: Mapping[str, str]) -> None:
        self._opened, self._options, self._env = opened, options, dict(env)
        self._port = free_port()
        self.server = self._start()

    def heal(self) -> ServerProcess:
        if self.server.process.poll() is not None:
            self.server = self._start()
        self.server.wait_ready()
        return self.server

    def _start(self) -> ServerProcess:
        return self._opened.enter_context(running_server(*self._options, env=self._env, port=self._port))


class RealArmServer:
    """The simulated arm's policy for the real one, whose axes are the same. No sessions."""

    def __init__(self, folder: Path) -> None:
        self._opened = ExitStack()
        models = folder / "models"
        models.mkdir()
        for each in POLICY.glob("sim_demo*"):
            shutil.copytree(each, models / each.name)
        file = models / "sim_demo" / CONFIG_FILE
        file.write_text(json.dumps(json.loads(file.read_text("utf-8")) | {"embodiment": "so101"}), "utf-8")
        self._healed = _Healed(self._opened, ("--model-repository", str(models), "--policy", "sim_demo"), {})

    def heal(self) -> ServerProcess:
        return self._healed.heal()

    def close(self) -> None:
        self._opened.close()


class SessionStack:
    """Every run is a session of the same robot. `close` it at the end."""

    def __init__(self, folder: Path) -> None:
        self._opened, self._folder = ExitStack(), folder / "data"
        self._looked_s = float("-inf")
        self._dry = folder / "dry"
        self._dry.mkdir()
        with prepared_store(self._folder) as (ours, _):
            self.key = ours.admin().secret
        self._port = free_port()
        self.control = self._start_control()
        self.operator = self._opened.enter_context(ControlClient(self.control.base_url, api_key=self.key))
        server_key = self.operator.create_key(name="frontend", scopes=["read"])["key"]
        options = ("--policy", "sim_demo", "--sessions-from", self.control.base_url)
        self._healed = _Healed(self._opened, options, {"REFLEX_CONTROL_KEY": server_key})
        self._driven: Driven = deployed(
            self.control, self.operator, self.key, self._healed.server, POLICY, "so101_sim"
        )  # fmt: skip
        self.deployment_id, self._robot_id = self._driven.deploy("driven")

    @property
    def server(self) -> ServerProcess:
        return self._healed.server

    @property
    def environment(self) -> dict[str, str]:
        """For a runner."""
        return {"REFLEX_API_KEY": self.key, "REFLEX_BACKEND_URL": self.control.base_url}

    def heal(self) -> None:
        """All are well, and the deployment may move a robot."""
        if self.control.process.poll() is not None:
            self.control = self._start_control()
        self._healed.heal()
        self._free_robot()
        if time.monotonic() - self._looked_s > DOCTOR_HOLDS_S:
            self._run_dry()
            self._looked_s = time.monotonic()

    def _free_robot(self) -> None:
        """Nobody drives it: a runner that was killed has left its session behind."""
        for each in self.operator.list_sessions(status="apply_actions")["sessions"]:
            self.operator.close_session(each["id"], reason="its runner is gone")
        self.operator.heartbeat_robot(self._robot_id, calibration_id="simulated")

    def settings(self, mode: str = "apply_actions", **session: Any) -> dict[str, Any]:
        """Of a run in a session."""
        return {
            "session": {
                "mode": mode, "instruction": "pick up the cube", "deployment_id": self.deployment_id,
                "robot_id": self._robot_id, "heartbeat_interval_s": 1.0, **session,
            },
            "target": {"kind": "act", "url": self.server.base_url, "timeout_s": 1.0, "connect_timeout_s": 60},
            "hardware": {"kind": "sim", "width": 32, "height": 32},
            "safety": {"hold_after_ms": HOLD_AFTER_MS, "stop_after_ms": STOP_AFTER_MS},
            "recording": {"formats": ["jsonl"], "dir": "recordings"},
        }  # fmt: skip

    def close(self) -> None:
        self._opened.close()

    def _start_control(self) -> ControlProcess:
        os.environ["SHORT_CREDENTIALS_S"] = str(CREDENTIAL_S)
        module = "support.kills.short_credentials"
        return self._opened.enter_context(running_control(self._folder, port=self._port, module=module))

    def _run_dry(self) -> None:
        """What the deployment's doctor wants to have seen."""
        settings = self.settings("dry_run", max_steps=SEEN_STEPS)
        settings["safety"] = {"hold_after_ms": 20_000, "stop_after_ms": 50_000}  # a busy machine is no silent server
        with driving(self._dry, settings, **self.environment) as run:
            told = run.wait()
        assert told.get("ok"), (told, run.last_words)
        report: Mapping[str, Any] = {}

        def is_ready() -> bool:
            nonlocal report
            report = self.operator.run_deployment_doctor(self.deployment_id)
            return bool(report["ready"])

        wait_until(is_ready, "the deployment is ready")
