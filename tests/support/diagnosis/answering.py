"""A server without a socket that answers by a fitted policy, its guard included."""

from __future__ import annotations

import base64
import dataclasses
import io
import json
import time
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

__all__ = ["client_of"]

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
    told = config_of(fitted, models, mode=mode, executed=executed).model_dump(mode="json") | {
        EMBODIMENT_FIELD: dataclasses.asdict(robot)
    }
    policy, guard = InProcess(fitted), ActionGuard(robot)

    def answer(request: httpx.Request) -> MockAnswer:
        if request.url.path == "/config":
            return told
        time.sleep(latency_s)
        body = json.loads(request.content)
        checked = guard.check(policy.run(_inputs(body), tuple(body["images"].values())))
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
    return given | {f"image.{name}": _pixels(of) for name, of in body["images"].items()}


def _pixels(told: str) -> Any:
    with Image.open(io.BytesIO(base64.b64decode(told))) as picture:
        return np.asarray(picture.convert("RGB"), np.uint8)
