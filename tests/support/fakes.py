"""A Triton that does as it is told, a clock that only moves when everybody waits, and a small policy to serve."""

from __future__ import annotations

import asyncio
import selectors
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer, models, pre_tokenizers

from reflex.embodiments import load_embodiment
from reflex.guard import ActionGuard
from reflex.policy_config import PolicyConfig
from reflex.wire import SlotName
from reflex_frontend.act.act import ActService
from reflex_frontend.act.resent import ResentAnswers
from reflex_frontend.errors import TritonCallError
from reflex_frontend.exchange.instance import Instance
from reflex_frontend.exchange.routing import Router, Slot
from reflex_frontend.observation.observation import NoiseSource
from reflex_frontend.observation.prompt import PromptEncoder
from reflex_frontend.observing.metrics import Metrics
from reflex_frontend.policy.admission import Admission
from reflex_frontend.policy.breaker import Breaker
from reflex_frontend.policy.inference import ModelRunner
from reflex_frontend.policy.loaded_policy import LoadedPolicy
from reflex_frontend.policy.policy import Canary, ServedPolicy
from reflex_frontend.policy.vitals import Vitals
from reflex_frontend.policy.workers import Workers
from reflex_frontend.triton.gateway import Metadata, Outputs, RawTensor, Target

__all__ = [
    "FakeTriton",
    "InlineExecutor",
    "act_service",
    "chunk",
    "loaded",
    "outputs",
    "policy_config",
    "run_virtual",
    "served_policy",
]

T = TypeVar("T")
Answer = Callable[[], Awaitable[Outputs]]
HORIZON, ACTION_DIM, STATE_DIM = 4, 7, 6
FRANKA_REST = (0.0, -0.785, 0.0, -2.356, 0.0, 1.571, 0.04)


@dataclass
class FakeTriton:
    """Satisfies `reflex_frontend.triton.gateway.Triton`.

    Each call takes the next step of `script`, then `default` for ever. A step is outputs, an exception, or an async
    function of no arguments that gives outputs.
    """

    default: Outputs | Exception | Answer = field(default_factory=lambda: outputs())
    script: deque[Outputs | Exception | Answer] = field(default_factory=deque)
    live: bool = True
    ready: bool = True
    silence_s: float = 0.0
    """How long a probe of a Triton that is not live takes: nothing when its port is closed, its time-out in a hang."""
    calls: list[Sequence[RawTensor]] = field(default_factory=list)
    metadata: list[Metadata] = field(default_factory=list)
    live_probes: int = 0
    closed: bool = False
    instances: int = 1

    async def infer(self, inputs: Sequence[RawTensor], metadata: Metadata = ()) -> Outputs:
        if self.closed:
            raise TritonCallError("cancelled", "the connection to Triton is closed")
        self.calls.append(inputs)
        self.metadata.append(metadata)
        step = self.script.popleft() if self.script else self.default
        if isinstance(step, Exception):
            raise step
        return step if isinstance(step, Mapping) else await step()

    async def infer_raw(
        self,
        target: Target,
        inputs: Sequence[RawTensor],
        outputs: tuple[str, ...] | None = None,
        metadata: Metadata = (),
    ) -> Sequence[RawTensor]:
        raise AssertionError(f"{target} was asked for {outputs} of {inputs}, {metadata}, and is part of an ensemble")

    async def is_model_ready(self) -> bool:
        await self._silence()
        return self.live and self.ready and not self.closed

    async def is_live(self) -> bool:
        self.live_probes += 1
        await self._silence()
        return self.live and not self.closed

    async def instances_of(self, models: Sequence[str]) -> Mapping[str, int]:
        return dict.fromkeys(models or ["the only one"], self.instances)

    async def close(self) -> None:
        self.closed = True

    async def _silence(self) -> None:
        if not self.live:
            await asyncio.sleep(self.silence_s)


class InlineExecutor(Executor):
    """Runs what it is given at once, so that virtual time cannot overtake it."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as exc:
            future.set_exception(exc)
        return future


def chunk(value: float | None = None) -> npt.NDArray[np.float32]:
    """float32 [4, 7]: the arm at rest, or every value the same."""
    rest = np.asarray(FRANKA_REST, np.float32)
    return np.tile(rest if value is None else np.full(ACTION_DIM, value, np.float32), (HORIZON, 1))


def outputs(actions: npt.NDArray[Any] | None = None) -> Outputs:
    """What Triton answers, with its batch axis."""
    return {"actions": (chunk() if actions is None else actions)[None]}


def policy_config(*, cameras: Mapping[str, bool] | None = None, **changes: Any) -> PolicyConfig:
    """A small valid configuration for the franka arm; `cameras` maps name to required."""
    names = {"base": True} if cameras is None else cameras
    tensors: dict[str, tuple[str, tuple[int, ...]]] = {
        **{f"image.{name}": ("UINT8", (-1, -1, 3)) for name in names},
        "camera_mask": ("BOOL", (len(names),)),
        "state": ("FP32", (STATE_DIM,)),
        "tokens": ("INT64", (6,)),
        "token_mask": ("BOOL", (6,)),
        "noise": ("FP32", (HORIZON, ACTION_DIM)),
    }
    fields: dict[str, Any] = {
        "schema_version": 1,
        "policy_id": "small",
        "policy_hash": "sha256:" + "ab" * 32,
        "export_id": "export-0001",
        "family": "test",
        "trained": False,
        "embodiment": "franka",
        "cameras": tuple({"name": name, "required": required} for name, required in names.items()),
        "state_dim": STATE_DIM,
        "action_dim": ACTION_DIM,
        "noise_dim": ACTION_DIM,
        "horizon": HORIZON,
        "denoising_steps": 10,
        "prompt": {"template": "{instruction}", "max_tokens": 6},
        "precision": "fp32",
        "engine": "onnx",
        "inference_mode": "onnx_cpu",
        "inputs": tuple({"name": name, "datatype": kind, "shape": shape} for name, (kind, shape) in tensors.items()),
        "outputs": ({"name": "actions", "datatype": "FP32", "shape": (HORIZON, ACTION_DIM)},),
    }
    return PolicyConfig.model_validate(fields | changes)


def tokenizer() -> Tokenizer:
    words = Tokenizer(models.WordLevel({"?": 0, "pick": 1, "up": 2, "the": 3, "red": 4, "cup": 5}, unk_token="?"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    return words


def served_policy(config: PolicyConfig | None = None, *, canary: Canary | None = None) -> ServedPolicy:
    config = config or policy_config()
    return ServedPolicy(
        config=config,
        embodiment=load_embodiment(config.embodiment),
        prompts=PromptEncoder(config.prompt, tokenizer()) if config.prompt else None,
        canary=canary,
        max_batch=1,
        instances=1,
    )


def loaded(
    triton: FakeTriton, now: Callable[[], float], *, guarded: bool = True, config: PolicyConfig | None = None
) -> LoadedPolicy:
    """A ready policy over `triton`: two places in flight, one in the queue."""
    policy = served_policy(config)
    vitals = Vitals(now, Breaker(now, jitter=lambda: 0.5), warming_reason=None)
    admission = Admission(policy.config.policy_id, policy.max_in_flight(policy.instances), 1, now)
    runner = ModelRunner(policy, triton, admission, vitals)
    guard = ActionGuard(policy.embodiment) if guarded else None
    return LoadedPolicy(policy, guard, admission, runner, vitals, triton, NoiseSource(), Workers(InlineExecutor(), now))


def act_service(
    triton: FakeTriton,
    now: Callable[[], float],
    *,
    guarded: bool = True,
    config: PolicyConfig | None = None,
    second: FakeTriton | None = None,
    second_config: PolicyConfig | None = None,
    split: int = 100,
) -> ActService:
    """A ready service over `triton`; with `second`, a second policy in slot b."""
    slots: dict[SlotName, Slot] = {"a": Slot("a", loaded(triton, now, guarded=guarded, config=config))}
    if second is not None:
        other = second_config or policy_config(policy_id="other")
        slots["b"] = Slot("b", loaded(second, now, guarded=guarded, config=other))
    policies = {name: slot.loaded.policy for name, slot in slots.items()}
    return ActService(
        router=Router(slots, split),
        instance=Instance(now),
        metrics=Metrics(policies, None),
        resent=ResentAnswers(now),
        workers=slots["a"].loaded.workers,
    )


class _SkippingSelector(selectors.DefaultSelector):
    """Where the loop would sleep, the clock jumps."""

    now_s = 1_000.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("everybody waits for something that will never come")
        events = super().select(0)
        if not events and timeout > 0:
            self.now_s += timeout
        return events


class _VirtualTimeLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._clock = _SkippingSelector()
        super().__init__(self._clock)

    def time(self) -> float:
        return self._clock.now_s


def run_virtual(main: Callable[[Callable[[], float]], Coroutine[Any, Any, T]]) -> T:
    """`asyncio.run` in which hours pass in no time; `main` is given the clock that the loop's own timers follow."""
    loop_clock: list[Callable[[], float]] = []

    def make_loop() -> asyncio.AbstractEventLoop:
        loop = _VirtualTimeLoop()
        loop_clock.append(loop.time)
        return loop

    with asyncio.Runner(loop_factory=make_loop) as runner:
        return runner.run(main(lambda: loop_clock[0]()))
