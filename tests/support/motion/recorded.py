"""A recorded case of real-time chunking through the whole of `/act`, in this process: body in, body out.

The first answer of the episode is made up, so that what is left of it is the recorded rest; the second is the case's.
"""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import orjson
from PIL import Image

from reflex.model_repository import model_file
from reflex.policy_config import PolicyConfig
from reflex_export.checkpoint import Checkpoint
from reflex_frontend.act.act import ActService
from reflex_frontend.act.resent import ResentAnswers
from reflex_frontend.exchange.exchange import Exchange
from reflex_frontend.exchange.instance import Instance
from reflex_frontend.exchange.routing import Router, Slot
from reflex_frontend.motion.rtc import RealTimeChunking
from reflex_frontend.observation.observation import NoiseSource
from reflex_frontend.observing.metrics import Metrics
from reflex_frontend.policy.admission import Admission
from reflex_frontend.policy.breaker import Breaker
from reflex_frontend.policy.inference import ModelRunner
from reflex_frontend.policy.loaded_policy import LoadedPolicy
from reflex_frontend.policy.policy import ServedPolicy
from reflex_frontend.policy.vitals import Vitals
from reflex_frontend.policy.workers import Workers
from reflex_frontend.triton.gateway import Metadata, Outputs, RawTensor, Triton
from support.fakes import FakeTriton, InlineExecutor

__all__ = ["ExportedGraphs", "Recorded", "answered"]

Array = npt.NDArray[Any]
NUMPY = {"FP32": np.float32, "INT64": np.int64, "UINT8": np.uint8, "BOOL": np.bool_}


class RecordedNoise(NoiseSource):
    """Draws the noise of a case, whatever the seed."""

    def __init__(self, noise: Array) -> None:
        super().__init__()
        self._recorded = noise

    def draw(self, shape: Sequence[int], seed: int | None, *, stream: str = "noise") -> bytes:  # noqa: ARG002 - of a case
        return self._recorded.reshape(tuple(shape)).astype(np.float32).tobytes()


class ExportedGraphs(FakeTriton):
    """Runs a policy's exported files one after the other, as Triton's ensemble does."""

    def __init__(self, repository: Path, config: PolicyConfig) -> None:
        super().__init__()
        self.known: dict[str, Array] = {}
        """Every tensor of the last call."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._sessions = [
            onnxruntime.InferenceSession(model_file(repository, model), options, providers=["CPUExecutionProvider"])
            for model in config.models[1:]
        ]

    async def infer(self, inputs: Sequence[RawTensor], metadata: Metadata = ()) -> Outputs:  # noqa: ARG002 - of Triton
        self.known = known = {
            tensor.name: np.frombuffer(bytes(tensor.data), NUMPY[tensor.datatype]).reshape(tensor.shape)
            for tensor in inputs
        }
        for session in self._sessions:
            names = [value.name for value in session.get_outputs()]
            feeds = {value.name: known[value.name] for value in session.get_inputs()}
            known.update(zip(names, session.run(names, feeds), strict=True))
        return {name: known[name] for name in ("actions", "actions_normalized")}


@dataclass
class Primed(FakeTriton):
    """Answers the first call with a plan that is made up, and has every other one answered by `then`."""

    plan: Array = field(default_factory=lambda: np.zeros((0, 0)))
    then: Triton = field(default_factory=FakeTriton)

    async def infer(self, inputs: Sequence[RawTensor], metadata: Metadata = ()) -> Outputs:
        self.calls.append(inputs)
        if len(self.calls) == 1:
            return {"actions": self.plan[None], "actions_normalized": self.plan[None]}
        return await self.then.infer(inputs, metadata)


@dataclass(frozen=True)
class Recorded:
    """The answer to a case, and what the model was given for it."""

    answer: Mapping[str, Any]
    previous: Array
    """[horizon, noise_dim]."""
    weights: Array
    bound: float


async def answered(
    policy: ServedPolicy, triton: Triton, case: Mapping[str, Array], checkpoint: Checkpoint, **rtc: Any
) -> Recorded:
    """Ask twice in one episode; `rtc` are options of `RealTimeChunking` in place of the case's own."""
    rest = case["rtc.prev_chunk_left_over"].reshape(-1, policy.config.action_dim)
    executed = policy.config.horizon - len(rest)
    plan = np.concatenate([np.full((executed, policy.config.action_dim), 9, np.float32), rest])
    primed = Primed(plan=plan, then=triton)
    service = _service(policy, primed, case["noise"], RealTimeChunking(time.monotonic, **{**_options(case), **rtc}))
    body = _body(case, checkpoint)
    steps = {"executed_steps": executed, "inference_delay_steps": int(case["rtc.inference_delay"])}
    first = await _asked(service, body)
    assert first["rtc_reason"] == "first_chunk"
    answer = await _asked(service, {**body, **steps})
    given = {
        tensor.name: np.frombuffer(bytes(tensor.data), np.float32).reshape(tensor.shape[1:])
        for tensor in primed.calls[1]
        if tensor.datatype == "FP32"
    }
    bound = given.get("rtc_max_guidance", np.zeros(1, np.float32))
    return Recorded(answer, given["prev_chunk"], given["rtc_weights"], float(bound[0]))


async def _asked(service: ActService, body: Mapping[str, Any]) -> dict[str, Any]:
    answer = await service.answer(orjson.dumps(body), Exchange.begin(time.monotonic(), 10_000))
    parsed: dict[str, Any] = orjson.loads(answer)
    return parsed


def _options(case: Mapping[str, Array]) -> dict[str, Any]:
    called = str(case["rtc.call_execution_horizon"])
    return {
        "schedule": str(case["rtc.schedule"]).lower(),
        "execution_horizon": int(case["rtc.execution_horizon"]) if called == "none" else int(called),
        "max_guidance": float(case["rtc.max_guidance_weight"]),
    }


def _body(case: Mapping[str, Array], checkpoint: Checkpoint) -> dict[str, Any]:
    images = {
        camera.name: _png(case[f"image.{camera.key}"]) for camera in checkpoint.cameras if f"image.{camera.key}" in case
    }
    return {
        "instruction": str(case["task"]),
        "state": case["state_raw"].astype(float).tolist(),
        "images": images,
        "episode_id": "recorded",
    }


def _png(pixels: Array) -> str:
    encoded = io.BytesIO()
    Image.fromarray(pixels).save(encoded, "PNG")
    return base64.b64encode(encoded.getvalue()).decode()


def _service(policy: ServedPolicy, triton: Triton, noise: Array, rtc: RealTimeChunking) -> ActService:
    now, workers = time.monotonic, Workers(InlineExecutor(), time.monotonic)
    vitals = Vitals(now, Breaker(now), warming_reason=None)
    admission = Admission(policy.config.policy_id, 1, 1, now)
    runner = ModelRunner(policy, triton, admission, vitals)
    loaded = LoadedPolicy(policy, None, admission, runner, vitals, triton, RecordedNoise(noise), workers)
    metrics = Metrics.of_one(policy, None)
    return ActService(Router({"a": Slot("a", loaded)}), Instance(now), metrics, ResentAnswers(now), workers, rtc=rtc)
