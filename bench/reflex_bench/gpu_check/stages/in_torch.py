"""The same mathematics in PyTorch, eager and compiled, each replayed as a CUDA graph, where PyTorch is installed.

The graph with one denoising step is translated and run as often as the policy has steps: a compiler takes minutes for
ten steps unrolled, and nobody writes them so in PyTorch. On the processor there is no CUDA graph, and compiling stops
before the code generation, which wants a compiler of C++.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np

from reflex_bench.gpu_check.plan import Plan
from reflex_bench.gpu_check.policies import MadePolicy, made_policy, make_policy
from reflex_bench.gpu_check.rows import Emit, Keys, LeftOut, Row, left_out_if_raised
from reflex_bench.gpu_check.timed_graphs import DTYPES, made_up, median_ms
from reflex_bench.gpu_check.ways import Way, make_session

__all__ = ["TimedPolicy", "measure_kinds", "measure_torch"]

FAMILIES: Final = ("smolvla", "pi0")
MOST_DIFFERENCE: Final[Mapping[str, float]] = {"fp32": 1e-3, "fp16": 5e-2}
"""From ONNX Runtime on the processor, of the greatest value: a wrong translation is off by order one."""

ModelMs = Callable[[str, int], float | None]
Run = Callable[[], object]


def measure_torch(plan: Plan, way: Way, model_ms: ModelMs, golden: Path, scratch: Path, emit: Emit) -> None:
    """Encoder and denoise of the two families; the answer is compared with ONNX Runtime's before anything is timed."""
    if importlib.util.find_spec("torch") is None:
        emit(LeftOut("PyTorch is not installed here"))
        return
    import torch  # a gigabyte, which only this stage needs

    device = "cpu" if way == "cpu" else "cuda"
    if device == "cuda" and not torch.cuda.is_available():
        emit(LeftOut(f"PyTorch {torch.__version__} sees no card"))
        return
    torch.backends.cuda.matmul.allow_tf32 = False
    note = "" if device == "cpu" else "CUDA graph"
    measure_kinds(_policies(plan, device, golden, scratch, emit), note, model_ms, emit)


def measure_kinds(policies: Iterable[TimedPolicy], note: str, model_ms: ModelMs, emit: Emit) -> None:
    """All of them eager before anything is compiled, which takes minutes, and a compiler of C that may not be there."""
    translated = []
    for policy in policies:
        translated.append(policy)
        _measure(policy, "eager", note, model_ms, emit)
    for policy in translated:
        _measure(policy, "compiled", note, model_ms, emit)


def _measure(policy: TimedPolicy, kind: str, note: str, model_ms: ModelMs, emit: Emit) -> None:
    family, alone_ms = policy.family, model_ms(policy.family, policy.cameras)

    def put(part: str, ms: float) -> float:
        keys: Keys = {"family": family, "cameras": policy.cameras, "torch": kind, "of": part}
        emit(Row(f"{family}, PyTorch {kind}: {part}", ms, "ms", note, keys))
        return ms

    with left_out_if_raised(f"{family}, PyTorch {kind}", emit):
        together_ms = put("together", sum(put(part, policy.part_ms(part, kind)) for part in ("encoder", "denoise")))
        if alone_ms is not None:
            beside = f"{alone_ms:.2f} over {together_ms:.2f} ms; target on a card: at most 1.25 of the better kind"
            emit(Row(f"{family}: ONNX Runtime over PyTorch {kind}", alone_ms / together_ms, "x", beside))


def _policies(plan: Plan, device: str, golden: Path, scratch: Path, emit: Emit) -> Iterator[TimedPolicy]:
    """Those that can be translated, each when it is asked for."""
    for family in FAMILIES[: 1 if plan.is_small else None]:
        cameras = next(count for name, count in plan.policies if name == family)
        policy: TimedPolicy | None = None
        with left_out_if_raised(f"{family} in PyTorch", emit):
            made = made_policy(scratch, family, cameras) or make_policy(plan, golden, scratch, family, cameras)
            policy = _Policy(plan, made, device, emit)
        if policy is not None:
            yield policy


class TimedPolicy(Protocol):
    """A policy whose parts can be run in PyTorch."""

    family: str
    cameras: int

    def part_ms(self, part: str, kind: str) -> float:
        """Milliseconds of the encoder, or of all steps of the denoise."""


class _Policy:
    """One policy on one device."""

    def __init__(self, plan: Plan, made: MadePolicy, device: str, emit: Emit) -> None:
        self._plan, self._made, self._device = plan, made, device
        self.family, self.cameras = made.family, made.cameras
        encoder, prefix = self._translated(made.encoder, {}, emit)
        denoise, _ = self._translated(made.denoise(one_step=True), prefix, emit)
        self._parts = {"encoder": (encoder, 1), "denoise": (denoise, plan.steps)}

    def part_ms(self, part: str, kind: str) -> float:
        module, times = self._parts[part]
        return self._ms(module, kind, times)

    def _translated(self, path: Path, given: Mapping[str, Any], emit: Emit) -> tuple[tuple[Any, list[Any]], Any]:
        """The module with its inputs, and its outputs by name as arrays."""
        translation = importlib.import_module("reflex_bench.gpu_check.translation.module")
        torch = importlib.import_module("torch")
        session = make_session(path, "cpu")
        feeds = {value.name: given.get(value.name, _made_up(value)) for value in session.get_inputs()}
        example = {name: torch.from_numpy(np.array(array)).to(self._device) for name, array in feeds.items()}
        module = translation.translate(path, example, self._device)
        with torch.inference_mode():
            found = {
                name: value.cpu().numpy() for name, value in zip(module.outputs, module(*example.values()), strict=True)
            }
        if self._plan.is_small or self._made.family == "smolvla":
            self._compare(path, dict(zip(found, session.run(list(found), feeds), strict=True)), found, emit)
        return (module, list(example.values())), found

    def _compare(self, path: Path, expected: Mapping[str, Any], found: Mapping[str, Any], emit: Emit) -> None:
        off = max(_difference(expected[name], found[name]) for name in expected)
        of = f"{self._made.family}, PyTorch from ONNX Runtime: {path.parent.parent.name}"
        emit(Row(of, off, "of the most", "", {"torch": "difference", "model": path.parent.parent.name}))
        if off > MOST_DIFFERENCE[self._made.config.precision]:
            raise ArithmeticError(f"the translation of {path.parent.parent.name} is off by {off:.1e}")

    def _ms(self, module: tuple[Any, Sequence[Any]], kind: str, times: int) -> float:
        torch = importlib.import_module("torch")
        graph, inputs = module
        called = (
            graph if kind == "eager" else torch.compile(graph, dynamic=False, fullgraph=True, backend=self._backend())
        )
        with torch.inference_mode():

            def run() -> None:
                for _ in range(times):
                    called(*inputs)

            replay = run if self._device == "cpu" else _captured(torch, run)
            return median_ms(replay, self._plan.rounds)

    def _backend(self) -> str:
        return "eager" if self._device == "cpu" else "inductor"


def _captured(torch: Any, run: Run) -> Run:  # noqa: ANN401
    """As one CUDA graph, whose replay is waited for."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            run()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        run()

    def replay() -> None:
        graph.replay()
        torch.cuda.synchronize()

    return replay


def _difference(expected: Any, found: Any) -> float:  # noqa: ANN401
    """Of the greatest value."""
    exact = expected.astype(np.float64)
    return float(np.abs(exact - found.astype(np.float64)).max() / max(np.abs(exact).max(), 1.0))


def _made_up(value: Any) -> Any:  # noqa: ANN401
    return made_up((1, *value.shape[1:]), DTYPES[value.type])
