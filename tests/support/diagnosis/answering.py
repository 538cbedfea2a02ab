"""A server without a socket that answers by a policy in this process, its guard included."""

from __future__ import annotations

import base64
import dataclasses
import io
import json
import time
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
from PIL import Image

from reflex.client import ReflexClient
from reflex.client.mock import MockAnswer, MockTransport, chunk
from reflex.embodiments import Embodiment
from reflex.guard import ActionGuard
from reflex.wire import EMBODIMENT_FIELD
from reflex_export.publishing.staged import StagedModel
from reflex_export.publishing.triton_config import Component
from reflex_runner.simulation.axes import SIMULATED
from reflex_runner.simulation.eyes import CAMERAS
from support.diagnosis.fitted import AXES, HORIZON, Fitted, InProcess, config_of, graphs_of, tokens_of

__all__ = ["client_by", "client_of", "pixels_of"]

ROLES = ("preprocess", "encoder", "denoise")


def client_of(
    fitted: Fitted,
    mode: str = "MEAN_STD",
    robot: Embodiment = SIMULATED,
    latency_s: float = 0.0,
    executed: int = HORIZON,
) -> ReflexClient:
    """For any number of requests."""
    models = [
        StagedModel(f"fitted_{role}", Component(role, graph.inputs, graph.outputs, 4), "0")
        for role, graph in zip(ROLES, graphs_of(fitted), strict=True)
    ]
    told = config_of(fitted, models, mode=mode, executed=executed).model_dump(mode="json")
    policy = InProcess(fitted)
    return client_by(told, lambda body: policy.run(_inputs(body), tuple(body["images"].values())), robot, latency_s)


def client_by(
    config: dict[str, Any], run: Callable[[dict[str, Any]], Any], robot: Embodiment, latency_s: float
) -> ReflexClient:
    """Of a policy that `run` computes: the body of a request to actions."""
    told = config | {EMBODIMENT_FIELD: dataclasses.asdict(robot)}
    guard = ActionGuard(robot)

    def answer(request: httpx.Request) -> MockAnswer:
        if request.url.path == "/config":
            return told
        time.sleep(latency_s)
        body = json.loads(request.content)
        checked = guard.check(run(body))
        violations = [dict(each._asdict()) for each in checked.violations]
        return chunk(
            checked.actions.tolist(),
            guard_clamped=bool(violations),
            guard_violations=violations,
            request_id=body["request_id"],
        )

    return ReflexClient(transport=MockTransport(answer), deadline_s=10.0)


def _inputs(body: dict[str, Any]) -> dict[str, Any]:
    tokens, mask = tokens_of(body["instruction"])
    given: dict[str, Any] = {"state": np.array(body["state"], np.float32), "tokens": tokens, "token_mask": mask}
    given["camera_mask"] = np.ones(len(CAMERAS), np.bool_)
    given["noise"] = np.random.default_rng(body["seed"]).standard_normal((HORIZON, AXES)).astype(np.float32)
    return given | {f"image.{name}": pixels_of(of) for name, of in body["images"].items()}


def pixels_of(told: str) -> Any:
    """Of a picture in a body."""
    with Image.open(io.BytesIO(base64.b64decode(told))) as picture:
        return np.asarray(picture.convert("RGB"), np.uint8)
