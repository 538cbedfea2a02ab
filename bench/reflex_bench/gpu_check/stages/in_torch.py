"""The same mathematics in PyTorch, eager and compiled, each replayed as a CUDA graph, where PyTorch is installed.

The graph with one denoising step is translated and run as often as the policy has steps: a compiler takes minutes for
ten steps unrolled, and nobody writes them so in PyTorch. On the processor there is no CUDA graph, and compiling stops
before the code generation, which wants a compiler of C++.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from reflex_bench.gpu_check.plan import Plan
from reflex_bench.gpu_check.policies import MadePolicy, made_policy, make_policy
from reflex_bench.gpu_check.rows import Emit, Keys, LeftOut, Row
from reflex_bench.gpu_check.timed_graphs import DTYPES, made_up, median_ms
from reflex_bench.gpu_check.ways import Way, make_session

__all__ = ["measure_torch"]

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
    for family in FAMILIES[: 1 if plan.is_small else None]:
        cameras = next(count for name, count in plan.policies if name == family)
        made = made_policy(scratch, family, cameras) or make_policy(plan, golden, scratch, family, cameras)
        times = _Policy(plan, made, device).measured(emit)
        alone_ms = model_ms(family, cameras)
        if alone_ms is not None and times:
            note = f"{alone_ms:.2f} over {min(times):.2f} ms; target on a card: at most 1.25"
            emit(Row(f"{family}: ONNX Runtime over PyTorch's best", alone_ms / min(times), "x", note))


class _Policy:
    """One policy on one device."""

    def __init__(self, plan: Plan, made: MadePolicy, device: str) -> None:
        self._plan, self._made, self._device = plan, made, device

    def measured(self, emit: Emit) -> list[float]:
        """Milliseconds of whole chunks, of each kind that ran."""
        encoder, prefix = self._translated(self._made.encoder, {}, emit)
        denoise, _ = self._translated(self._made.denoise(one_step=True), prefix, emit)
        together = []
        for kind in ("eager", "compiled"):
            parts = {"encoder": self._ms(encoder, kind, 1), "denoise": self._ms(denoise, kind, self._plan.steps)}
            parts["together"] = sum(parts.values())
            together.append(parts["together"])
            for part, ms in parts.items():
                keys: Keys = {"family": self._made.family, "cameras": self._made.cameras, "torch": kind, "of": part}
                emit(Row(f"{self._made.family}, PyTorch {kind}: {part}", ms, "ms", self._kind_note(), keys))
        return together

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

    def _kind_note(self) -> str:
        return "" if self._device == "cpu" else "CUDA graph"


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
