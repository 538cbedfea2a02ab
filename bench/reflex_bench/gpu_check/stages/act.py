"""`/act` end to end through `reflex serve` and its embedded Triton, beside what the model alone takes."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from reflex.policy_config import PolicyConfig
from reflex.serve_options import SERVE_OPTIONS
from reflex_bench.gpu_check.plan import Plan
from reflex_bench.gpu_check.policies import MadePolicy, made_policy, make_policy
from reflex_bench.gpu_check.rows import Emit, Keys, LeftOut, Row, left_out_if_raised
from reflex_bench.gpu_check.ways import Way
from reflex_bench.loads import percentile
from reflex_bench.server import reflex_server

__all__ = ["measure_act"]

DEADLINE_MS: Final = 10_000
SIDE_PX: Final = 224
WARM_ACTS: Final = 5
START_S: Final = 300.0
"""More than the stage has: its own end comes first."""

ModelMs = Callable[[str, int], float | None]
"""What encoder and denoise of a family with so many cameras took, where that was measured."""


def measure_act(plan: Plan, way: Way, model_ms: ModelMs, golden: Path, scratch: Path, emit: Emit) -> None:
    """One robot that asks as fast as it is answered, of the small family first."""
    if way != "cpu" and not any(option.name == "device" for option in SERVE_OPTIONS):
        emit(LeftOut("this version's embedded server has no --device: its models run on the processor alone"))
        return
    for family in ("smolvla", "pi0") if not plan.is_small else ("smolvla",):
        cameras = next(count for name, count in plan.policies if name == family)
        with left_out_if_raised(f"{family}, {cameras} camera(s): /act", emit):
            made = made_policy(scratch, family, cameras) or make_policy(plan, golden, scratch, family, cameras)
            _serve(plan, made, way, model_ms(family, cameras), emit)


def _serve(plan: Plan, made: MadePolicy, way: Way, alone_ms: float | None, emit: Emit) -> None:
    device = () if way == "cpu" else ("--device", way)
    with reflex_server(made.repository, "--policy", "checked", "--no-guard", *device, start_s=START_S) as served:
        _rows(plan, made, served.port, alone_ms, emit)


def _rows(plan: Plan, made: MadePolicy, port: int, alone_ms: float | None, emit: Emit) -> None:
    answers = _answers(port, made.config, plan.acts)
    of = f"{made.family}, {made.cameras} camera(s): /act"
    keys: Keys = {"family": made.family, "cameras": made.cameras}
    p50 = percentile([ms for ms, _ in answers], 0.5)
    infer = percentile([timing["infer_ms"] for _, timing in answers], 0.5)
    emit(Row(f"{of}, p50", p50, "ms", f"p99 {percentile([ms for ms, _ in answers], 0.99):.2f}", {**keys, "act": "p50"}))
    emit(Row(f"{of}, p50 of its models in Triton", infer, "ms", "", {**keys, "act": "infer"}))
    if alone_ms is None:
        emit(LeftOut(f"{of} over its model's own time: that was not measured"))
    else:
        note = f"target on a card: at most 2.5; the model alone takes {alone_ms:.2f}"
        emit(Row(f"{of}, p50 over the model's own time", p50 - alone_ms, "ms", note, {**keys, "act": "over model"}))


def _answers(port: int, config: PolicyConfig, count: int) -> list[tuple[float, dict[str, float]]]:
    """Milliseconds that the client saw, and the server's own account, once warm."""
    from reflex_bench.observation import INSTRUCTION, jpeg_base64  # with all that serves, which only this stage needs

    images = dict.fromkeys((camera.name for camera in config.cameras), jpeg_base64(SIDE_PX))
    said: dict[str, Any] = {"instruction": INSTRUCTION, "state": [0.0] * config.state_dim, "images": images}
    body = json.dumps(said).encode()
    headers = {"Content-Type": "application/json", "X-Reflex-Deadline-Ms": str(DEADLINE_MS)}
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=2 * DEADLINE_MS / 1e3)) as connection:
        answers = [_ask(connection, body, headers) for _ in range(WARM_ACTS + count)]
    return answers[WARM_ACTS:]


def _ask(
    connection: http.client.HTTPConnection, body: bytes, headers: dict[str, str]
) -> tuple[float, dict[str, float]]:
    started = time.perf_counter()
    connection.request("POST", "/act", body, headers)
    answer = connection.getresponse()
    content = answer.read()
    ms = 1e3 * (time.perf_counter() - started)
    if answer.status != http.client.OK:
        raise RuntimeError(f"/act answered {answer.status}: {content[:200]!r}")
    return ms, json.loads(content)["timing"]
